"""Retraining: the yardstick."""

from torch import nn

from unlearnbench import Method, Task
from unlearnbench.toolkit import train


class Retrain(Method):
    """Train a fresh model from scratch on the retain set, by the original's recipe.

    What exact unlearning means: every gap in a table is a distance to these models.

    Source: the definition of exact unlearning, Bourtoule et al. (arXiv 1912.03817), without shards.

    Differences: SalUn's and l1-sparse's code retrains for 10 epochs at a rate of 0.01 unless set
    otherwise. Here the recipe is always the original's.
    """

    paper = "https://arxiv.org/abs/1912.03817"
    equation = r"\theta_u = \operatorname{argmin}_\theta L(\theta; D_R) \text{ from fresh weights}"
    needs_retain = True
    starts_from_original = False

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Ignore the model handed in."""
        return train(task.untrained(task.seed), task.require_retain(), seed=task.seed)
