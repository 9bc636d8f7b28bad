"""Settings of every kind: a list, a dictionary, a file, another method."""

import json
from pathlib import Path

import torch
from torch import nn

import unlearnbench as ub
from unlearnbench import Method, Task, param
from unlearnbench.toolkit import finetune, random_labels


class Configured(Method):
    """Fine-tune on wrong labels at one rate after another, scale layers, and hand the rest on."""

    paper = "https://example.org/configured"
    needs_retain = True

    rates: list[float] = param([0.01, 0.001], help="learning rates, an epoch each")
    scales: dict[str, float] = param({}, help="factors, by the beginning of a parameter's name")
    table: Path | None = param(None, help="JSON file with more scales", names="file")
    then: str = param("ft", help="method that ends it", names="method")
    steps: dict[str, int] = param({"epochs": 1}, help="that method's own settings")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Do one after the other."""
        scales = self.scales | (json.loads(self.table.read_text()) if self.table else {})
        with torch.no_grad():
            for name, weight in model.named_parameters():
                for start, factor in scales.items():
                    weight.mul_(factor if name.startswith(start) else 1.0)
        for rate in self.rates:
            wrong = random_labels(task.forget, task.classes, seed=task.seed)
            finetune(model, wrong, lr=rate, epochs=1, seed=task.seed)
        return task.hand_to(ub.method(self.then, **self.steps), model)
