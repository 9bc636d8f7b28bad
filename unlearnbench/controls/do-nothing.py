"""A control: no unlearning at all."""

from torch import nn

from unlearnbench import Method, Task


class DoNothing(Method):
    """Give the model back as it is: whatever the original leaks must show, and be flagged."""

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return the model untouched."""
        return model
