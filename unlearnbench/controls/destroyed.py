"""A control: nothing left of the model."""

from typing import ClassVar

from torch import nn

from unlearnbench import Method, Task
from unlearnbench.verdicts.verdict import LOST, Expectation, flagged


class Destroyed(Method):
    """Give back random weights: no attack finds anything, and no user would have it."""

    expects: ClassVar[Expectation] = flagged(LOST)

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return a freshly initialised model."""
        return task.untrained(task.seed)
