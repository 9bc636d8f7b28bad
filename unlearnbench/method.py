"""What the author of an unlearning method builds on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from unlearnbench.recipe import Strict

if TYPE_CHECKING:
    from torch import nn

    from unlearnbench.task import Task


class Method(Strict):
    """Stand for one unlearning method with its hyperparameters.

    A subclass lives in a file of its own, names its paper, declares each hyperparameter with
    `param` and writes `unlearn`. The file's name is the method's name. Its docstring has a line of
    what it does, a paragraph that begins with "Source:" and one that begins with "Differences:",
    which names each place where paper and authors' code differ, and which is followed.
    """

    paper: ClassVar[str] = ""
    """Address of the paper that defines it."""
    equation: ClassVar[str] = ""
    """What it minimises, in LaTeX; a line of the string is a line of the equation."""
    needs_retain: ClassVar[bool] = False
    """Whether the method is undefined without the retain set; it is skipped under forget-only."""
    starts_from_original: ClassVar[bool] = True
    """False for what trains from scratch: its run is then shared by all originals."""
    other_if: ClassVar[dict[str, object]] = {}
    """Settings with which `task.other`, a second original, is needed as well."""

    @property
    def needs_other(self) -> bool:
        """Whether a second original is needed with these settings."""
        return any(getattr(self, name) == value for name, value in self.other_if.items())

    @abstractmethod
    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return the model without its forget set.

        `model` is the method's own copy, on `task.device`, and may be changed in place. Nothing but
        `model` and `task` may be read, and every random draw must come from `task.seed`.
        """


def param(
    default: Any,
    *,
    help: str,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    search: tuple[float, float] | None = None,
    source: str = "",
) -> Any:
    """Declare a hyperparameter: default, help text, bounds and the range to search when tuning.

    A `search` range whose ends differ by a factor of ten or more is searched on a log scale.
    `source` says in a few words where the default is from: paper, authors' code, ourselves.
    """
    extra: dict[str, Any] = {}
    if search:
        extra["search"] = list(search)
    if source:
        extra["source"] = source
    return Field(
        default=default,
        description=help,
        gt=gt,
        ge=ge,
        lt=lt,
        le=le,
        json_schema_extra=extra or None,
    )
