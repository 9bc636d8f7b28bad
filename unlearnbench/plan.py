"""The graph of models to make, the cells of its tables, and the rows they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from unlearnbench import registry
from unlearnbench.benchmark import Benchmark
from unlearnbench.errors import UserError, unknown
from unlearnbench.method import Method
from unlearnbench.spec import Access, Spec

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


@dataclass(frozen=True)
class Row:
    """Hold one row of the tables: a method with its settings under a label."""

    label: str
    method: Method
    name: str


def resolve(
    benchmark: Benchmark, plugins: dict[str, registry.Plugin], wanted: Iterable[str] | None
) -> tuple[Benchmark, dict[str, str]]:
    """Write out which methods run, with every setting; `wanted` None: as the benchmark says.

    A label in the file is a method's name, or any word with a `method` key beside its settings.
    The retrain row is always there. Raises UserError for unknown methods and wrong settings; a
    broken method that nobody named is left out and returned with the reason.
    """
    listed = benchmark.methods
    named = [*listed] if wanted is None else list(wanted)
    others = sorted(set(plugins) - set(listed)) if wanted is None and benchmark.others else []
    methods: dict[str, dict[str, Any]] = {}
    broken: dict[str, str] = {}
    for label in dict.fromkeys([RETRAIN, *named, *others]):
        if label == ORIGINAL:
            continue
        settings = dict(listed.get(label, {}))
        name = str(settings.pop("method", label))
        if name not in plugins:
            raise unknown("method", name, {*plugins, *listed})
        try:
            method = registry.build(registry.settings_class(plugins[name]), label, settings)
        except UserError as error:
            if label not in others:
                raise
            broken[label] = str(error)
        else:
            methods[label] = {"method": name} | method.model_dump(mode="json")
    return benchmark.model_copy(update={"methods": methods}), broken


def rows(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> Iterator[Row]:
    """Yield the rows of a resolved benchmark."""
    for label, entry in benchmark.methods.items():
        settings = dict(entry)
        name = str(settings.pop("method"))
        if name not in plugins:
            raise UserError(
                f"This benchmark was run with the method '{name}', which is not there any more.",
                "Name its file with --plugin.",
            )
        method = registry.build(registry.settings_class(plugins[name]), label, settings)
        yield Row(label, method, name)
