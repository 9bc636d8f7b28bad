"""Define a method in a script and put it into the table beside others."""

from torch import nn

import unlearnbench as ub
from unlearnbench.toolkit import finetune


class HeadOnly(ub.Method):
    """Fine-tune the last layer alone on the retain set."""

    paper = "https://arxiv.org/abs/2201.06640"
    needs_retain = True

    lr: float = ub.param(0.01, gt=0, help="learning rate")
    epochs: int = ub.param(5, ge=1, help="passes over the retain set")

    def unlearn(self, model: nn.Module, task: ub.Task) -> nn.Module:
        """Freeze all but the last weight and bias, then fine-tune."""
        for parameter in list(model.parameters())[:-2]:
            parameter.requires_grad_(False)
        retain = task.require_retain()
        return finetune(model, retain, lr=self.lr, epochs=self.epochs, seed=task.seed)


if __name__ == "__main__":
    methods = {"head-only": HeadOnly(), "head-only-fast": HeadOnly(lr=0.1, epochs=2), "ft": "ft"}
    results = ub.run(ub.benchmark("digits", seeds=3), methods=methods, keep_weights=True)
    print(results.condition().table("main").to_markdown())
    model = results.model("head-only", seed=1)
    print(f"An unlearned model: {sum(p.numel() for p in model.parameters()):,} parameters")
