"""The graph of models to make, and the cells of the tables that are read off it."""

from __future__ import annotations

from dataclasses import dataclass, field

from unlearnbench.planning.spec import Access, Spec

ORIGINAL, RETRAIN = "original", "retrain"
HELD_OUT = "held-out retrain"
"""One retrain a forget set that the yardstick does without, and that is judged as a method is."""
CONTROLS = ("do-nothing", "destroyed", "planted-leak")


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
    shadows: list[Cell] = field(default_factory=list)
    """U-LiRA's worlds: one cell a method and world, the world being its request."""

    def add(self, node: Node) -> str:
        """Add a node once, whoever asks for it; return its id."""
        run = node.spec.id
        self.nodes.setdefault(run, node)
        return run
