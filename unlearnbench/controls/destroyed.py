"""A control: nothing left of the model."""

from torch import nn

from unlearnbench import Method, Task


class Destroyed(Method):
    """Give back random weights: no attack finds anything, and no user would have it."""

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return a freshly initialised model."""
        return task.untrained(task.seed)
