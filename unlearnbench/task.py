"""One request to forget, as a method sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearnbench.errors import MethodError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from unlearnbench.recipe import Recipe
    from unlearnbench.toolkit.examples import Examples


@dataclass(frozen=True)
class Task:
    """Hold all that a method may know; never test data, reference models or the retrained model."""

    forget: Examples
    """The forget set D_F of this request, with its true labels."""
    retain: Examples | None
    """The retain set D_R; None when access is forget-only."""
    classes: int
    """How many there are in the data."""
    seed: int
    """Where every random draw must come from, as in `seed_for(task.seed, "noise")`."""
    device: torch.device
    """Where the model and all examples are."""
    recipe: Recipe
    """How the original was trained."""
    original: nn.Module
    """The model before the first request, frozen and in eval mode."""
    validation: Examples | None
    """Samples that no model was trained on and no metric is computed on; None if not set aside."""
    build: Callable[[int], nn.Module] = field(repr=False)
    """Behind `untrained`."""
    other: nn.Module | None = None
    """Another original, trained on the same data from another seed; None unless `other_if` asks."""

    def untrained(self, seed: int) -> nn.Module:
        """Build a freshly initialised model of the same architecture on `device`."""
        return self.build(seed)

    def require_retain(self) -> Examples:
        """Return the retain set, or raise MethodError when access is forget-only."""
        if self.retain is None:
            raise MethodError(
                "This method needs the retain set: set needs_retain = True in its class."
            )
        return self.retain

    def require_other(self) -> nn.Module:
        """Return the other original, or raise MethodError where none was asked for."""
        if self.other is None:
            raise MethodError("This method needs another original: name when in its other_if.")
        return self.other
