"""The graph of models to make, and the cells of the tables that are read off it."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field, field_validator

from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.splits import Split
from unlearnbench.recipe import Recipe, Strict

Access = Literal["full", "forget-only"]


class Spec(Strict):
    """Describe one node of the plan: a model, the audit of one, or work that runs share.

    Its id depends on everything that decides the resulting weights, and on nothing else.
    """

    kind: Literal["original", "reference", "unlearn", "audit", "shared"]
    data: DataSpec
    model: str
    recipe: Recipe
    seed: int = Field(
        description="of the original, the reference bank, the unlearning run or the run audited"
    )
    member: int | None = Field(default=None, description="reference: its place in the bank, from 0")
    bank: int | None = Field(
        default=None,
        description="reference of version 0.1: how many there were; its half depended on that",
    )
    method: str | None = None
    audit: str | None = Field(default=None, description="audit: which one of a model, by name")
    settings: dict[str, Any] = Field(default_factory=dict)
    access: Access = "full"
    split: Split | None = Field(
        default=None, description="of an original: trained on what it leaves and what it forgets"
    )
    original: str | None = Field(
        default=None, description="id of the original, the model before request 1"
    )
    start: str | None = Field(
        default=None, description="id of the model that the method, or the audit, is given"
    )
    other: str | None = Field(
        default=None,
        description="id of another original, where a method needs one; audit: of a retrain",
    )
    shared: str | None = Field(
        default=None, description="id of the work that the run shares with others of its method"
    )
    given: str | None = Field(
        default=None, description="digest of the file that the model is from, made elsewhere"
    )

    @field_validator("method", "audit")
    @classmethod
    def _of_a_file(cls, name: str | None) -> str | None:
        if name is not None and (not name.isprintable() or re.search(r"^\.|[/\\]|^$", name)):
            raise ValueError("folders of runs cannot be called after it")
        return name

    @field_validator("settings")
    @classmethod
    def _in_order(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(settings.items()))  # so that the id does not depend on it

    @property
    def id(self) -> str:
        """12 hex digits."""
        parts = {"recipe": self.recipe, "data": self.data, "split": self.split}
        later = {name: part.undecisive for name, part in parts.items() if part}
        absent = {"other": self.other is None, "audit": self.audit is None}
        absent |= {"shared": self.shared is None, "given": self.given is None}
        return _short(self.model_dump_json(exclude={**later, **absent}))

    @property
    def made_by(self) -> str:
        """What it is made by, for people: an audit, a method, or else what kind of model it is."""
        return self.audit or self.method or self.kind

    @property
    def split_id(self) -> str | None:
        """Name of the split's file; depends on data and split only."""
        return split_id(self.data, self.split) if self.split else None


def split_id(data: DataSpec, split: Split) -> str:
    """Name the file of a forget set: 12 hex digits."""
    return _short("".join(part.model_dump_json(exclude=part.undecisive) for part in (data, split)))


def digest(value: object) -> str:
    """Hash JSON-able settings into 12 hex digits, whatever the order of their keys."""
    return _short(json.dumps(value, sort_keys=True, separators=(",", ":")))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


ORIGINAL, RETRAIN = "original", "retrain"
HELD_OUT = "held-out retrain"
"""One retrain a forget set that the yardstick does without, and that is judged as a method is."""
REFERENCE_ROWS = (ORIGINAL, RETRAIN, HELD_OUT)
"""Rows that methods are seen against, in the order of tables."""


@dataclass(frozen=True)
class Node:
    """Hold one model to be made, the ids of those it needs, and whether others need its weights.

    curve: note its accuracies after each epoch, which decides nothing about the model.
    """

    spec: Spec
    label: str
    needs: tuple[str, ...] = ()
    keep_weights: bool = False
    curve: bool = False


@dataclass(frozen=True)
class Cell:
    """Name one entry of the tables: a run, seen against one forget set."""

    label: str
    access: Access
    fraction: float
    request: int
    seeds: tuple[int, ...]
    """Of original, forget set and run; a retrain has no original."""
    run: str
    split: str

    @property
    def condition(self) -> tuple[Access, float, int]:
        """Identify the condition: access, fraction, request."""
        return self.access, self.fraction, self.request

    @property
    def forget_set(self) -> tuple[float, int, int]:
        """Identify the forget set: fraction, request, seed."""
        return self.fraction, self.request, self.seeds[-2]


@dataclass
class Plan:
    """Hold the graph, in the order in which it is best worked off, and what it leaves out."""

    nodes: dict[str, Node] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    skipped: dict[tuple[str, Access], str] = field(default_factory=dict)
    swapped: dict[Cell, Cell] = field(default_factory=dict)
    """By cell: the same with forget and test samples exchanged."""
    audited: dict[str, list[Cell]] = field(default_factory=dict)
    """By audit of models: the cells whose models it is made on, the run being the audit's own."""
    shadows: list[Cell] = field(default_factory=list)
    """U-LiRA's worlds: one cell a method and world, the world being its request."""

    def add(self, node: Node) -> str:
        """Add a node once, whoever asks for it; return its id."""
        run = node.spec.id
        self.nodes.setdefault(run, node)
        return run

    def keep(self, run: str) -> None:
        """Have the weights of a node kept."""
        self.nodes[run] = replace(self.nodes[run], keep_weights=True)


def same_runs(runs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return, by label, the first of the labels that have the very same runs; the others only.

    runs: pairs of a row's label and the id of a run, all of one condition.
    """
    made: dict[str, set[str]] = {}
    for label, run in runs:
        made.setdefault(label, set()).add(run)
    first: dict[frozenset[str], str] = {}
    for label, own in made.items():
        first.setdefault(frozenset(own), label)
    return {label: one for label, own in made.items() if (one := first[frozenset(own)]) != label}
