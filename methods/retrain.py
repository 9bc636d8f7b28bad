"""Retraining: the yardstick."""

from torch import nn

from unlearnbench import Method, Task
from unlearnbench.toolkit import train


class Retrain(Method):
    """Train a fresh model from scratch on the retain set, by the original's recipe.

    What exact unlearning means: every gap in a table is a distance to these models.
    """

    paper = "https://arxiv.org/abs/1912.03817"
    needs_retain = True
    starts_from_original = False

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Ignore the model handed in."""
        return train(task.untrained(task.seed), task.require_retain(), seed=task.seed)
