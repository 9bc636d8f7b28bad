"""What crosses process borders: the complete description of one model to be made."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, field_validator

from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.splits import Split
from unlearnbench.recipe import Recipe, Strict

Access = Literal["full", "forget-only"]
LATER = {"trades": None, "augment_training": True, "superclasses": None}
"""Settings that came after the first published results, and what their absence means there."""


class Spec(Strict):
    """Describe one node of the plan: an original, a reference or an unlearning run.

    Its id depends on everything that decides the resulting weights, and on nothing else.
    """

    kind: Literal["original", "reference", "unlearn"]
    data: DataSpec
    model: str
    recipe: Recipe
    seed: int = Field(description="of the original, the reference bank or the unlearning run")
    member: int | None = Field(default=None, description="reference: its place in the bank, from 0")
    bank: int | None = Field(default=None, description="reference: how many there are")
    method: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    access: Access = "full"
    split: Split | None = Field(
        default=None, description="of an original: trained on what it leaves and what it forgets"
    )
    original: str | None = Field(
        default=None, description="id of the original, the model before request 1"
    )
    start: str | None = Field(default=None, description="id of the model the method is given")
    other: str | None = Field(
        default=None, description="id of another original, where a method needs one"
    )

    @field_validator("settings")
    @classmethod
    def _in_order(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(settings.items()))  # so that the id does not depend on it

    @property
    def id(self) -> str:
        """12 hex digits."""
        unused: dict[str, Any] = {"recipe": _unused(self.recipe), "data": _unused(self.data)}
        if self.other is None:
            unused["other"] = True
        return _short(self.model_dump_json(exclude=unused))

    @property
    def split_id(self) -> str | None:
        """Name of the split's file; depends on data and split only."""
        if self.split is None:
            return None
        data = self.data.model_dump_json(exclude=_unused(self.data))
        return _short(data + self.split.model_dump_json())


def _unused(part: Recipe | DataSpec) -> set[str]:
    """List settings that came later and are not used: what was made before keeps its id."""
    own = LATER.keys() & type(part).model_fields.keys()
    return {name for name in own if getattr(part, name) == LATER[name]}


def digest(value: object) -> str:
    """Hash JSON-able settings into 12 hex digits, whatever the order of their keys."""
    return _short(json.dumps(value, sort_keys=True, separators=(",", ":")))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
