"""Turn a benchmark into the graph of models to make, and the cells of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from unlearnbench import registry
from unlearnbench.benchmark import Benchmark
from unlearnbench.errors import UserError, unknown
from unlearnbench.method import Method
from unlearnbench.spec import Access, Spec, Split

ORIGINAL, RETRAIN = "original", "retrain"


@dataclass(frozen=True)
class Node:
    """Hold one model to be made, the ids of those it needs, and whether others need its weights."""

    spec: Spec
    label: str
    needs: tuple[str, ...] = ()
    keep_weights: bool = False


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
    """Write out which methods run, with every setting; `wanted` None means all there are.

    A label in the file is a method's name, or any word with a `method` key beside its settings.
    The retrain row is always there. Raises UserError for unknown methods and wrong settings; a
    broken method that nobody named is left out and returned with the reason.
    """
    listed = benchmark.methods
    named = [*listed] if wanted is None else list(wanted)
    others = sorted(set(plugins) - set(listed)) if wanted is None else []
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


def expand(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> Plan:
    """Expand a resolved benchmark. Nodes come as they should be worked off.

    Originals first, since most runs wait for them; then the long nodes that wait for nothing
    (references, retrains); then the short runs, which fill the gaps at the end.
    """
    registry.get(registry.find("datasets"), "dataset", benchmark.data.name)
    registry.get(registry.find("models"), "model", benchmark.model)
    plan = Plan()
    common: dict[str, Any] = {
        "data": benchmark.data,
        "model": benchmark.model,
        "recipe": benchmark.recipe,
    }
    originals = {
        seed: plan.add(Node(Spec(kind="original", seed=seed, **common), ORIGINAL, (), True))
        for seed in benchmark.seeds.originals
    }
    bank = benchmark.references
    for member in range(bank.count):
        spec = Spec(kind="reference", seed=bank.seed, member=member, bank=bank.count, **common)
        plan.references.append(plan.add(Node(spec, "reference")))

    everything = list(rows(benchmark, plugins))
    for row in sorted(everything, key=lambda row: row.method.starts_from_original):
        for access in benchmark.access:
            if row.method.needs_retain and access == "forget-only" and row.label != RETRAIN:
                plan.skipped[row.label, access] = "needs the retain set, which is not given"
            else:
                _add_row(plan, benchmark, row, access, originals, common)
    order = {label: i for i, label in enumerate((ORIGINAL, *benchmark.methods))}
    plan.cells.sort(key=lambda cell: order[cell.label])
    return plan


def _add_row(
    plan: Plan,
    benchmark: Benchmark,
    row: Row,
    access: Access,
    originals: dict[int, str],
    common: dict[str, Any],
) -> None:
    """Add the runs of one row, and beside the retrain row the original's cells."""
    for fraction, seeds in product(benchmark.forget.fractions, _repetitions(benchmark, row)):
        *original_seed, forget_seed, run_seed = seeds
        original = originals[original_seed[0]] if original_seed else None
        start = original
        for request in range(1, benchmark.forget.requests + 1):
            split = Split(
                kind=benchmark.forget.kind,
                fraction=fraction,
                seed=forget_seed,
                target=benchmark.forget.target,
                requests=benchmark.forget.requests,
                request=request,
            )
            spec = Spec(
                kind="unlearn",
                seed=run_seed,
                method=row.name,
                settings=row.method.model_dump(mode="json"),
                # The yardstick is the same whatever the methods are given.
                access="full" if row.label == RETRAIN else access,
                split=split,
                original=original,
                start=start,
                **common,
            )
            needs = tuple(dict.fromkeys(run for run in (original, start) if run))
            continues = original is not None and request < benchmark.forget.requests
            run = plan.add(Node(spec, row.label, needs, continues))
            start = run if original else None
            cell = Cell(row.label, access, fraction, request, seeds, run, str(spec.split_id))
            plan.cells.append(cell)
    if row.label == RETRAIN:
        _add_original_cells(plan, benchmark, access, originals)


def _add_original_cells(
    plan: Plan, benchmark: Benchmark, access: Access, originals: dict[int, str]
) -> None:
    """Look at each original against each forget set that it is asked to forget."""
    splits = {cell.forget_set: cell.split for cell in plan.cells}
    requests = range(1, benchmark.forget.requests + 1)
    pairs = dict.fromkeys(seeds[:2] for seeds in _paired(benchmark))
    for fraction, request, pair in product(benchmark.forget.fractions, requests, pairs):
        run = originals[pair[0]]
        seeds = (*pair, pair[0])
        split = splits[fraction, request, pair[1]]
        plan.cells.append(Cell(ORIGINAL, access, fraction, request, seeds, run, split))


def _repetitions(benchmark: Benchmark, row: Row) -> list[tuple[int, ...]]:
    """List the seeds of a row: (original, forget set, run), or (forget set, run) from scratch."""
    if row.method.starts_from_original:
        return _paired(benchmark)
    retrains = range(1, benchmark.seeds.retrains + 1)
    return list(product(dict.fromkeys(benchmark.seeds.forget), retrains))


def _paired(benchmark: Benchmark) -> list[tuple[int, ...]]:
    seeds = benchmark.seeds
    axes = (seeds.originals, seeds.forget, seeds.runs)
    return list(zip(*axes, strict=True)) if seeds.pairing == "zip" else list(product(*axes))
