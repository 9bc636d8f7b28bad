"""A control: no unlearning at all."""

from typing import ClassVar

from torch import nn

from unlearnbench import Method, Task
from unlearnbench.verdicts.verdict import NO_OP, Expectation, flagged


class DoNothing(Method):
    """Give the model back as it is: whatever the original leaks must show, and be flagged."""

    expects: ClassVar[Expectation] = flagged(NO_OP)

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return the model untouched."""
        return model
