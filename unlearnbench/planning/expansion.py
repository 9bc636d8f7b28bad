"""Turn a benchmark into the graph of models to make, and the cells of its tables."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from unlearnbench import registry
from unlearnbench.data.splits import Split
from unlearnbench.errors import unknown
from unlearnbench.outline import settings_class
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.plan import (
    HELD_OUT,
    ORIGINAL,
    RETRAIN,
    Access,
    Cell,
    Node,
    Plan,
    Spec,
)
from unlearnbench.planning.rows import Entrant, controls, entrants


class Builder:
    """Fill a plan; holds what all of its specs have in common."""

    def __init__(self, benchmark: Benchmark) -> None:
        """Begin an empty plan of a benchmark."""
        self.benchmark, self.plan = benchmark, Plan()
        # Yardstick and controls are the same whatever the methods are given.
        self.given_all = {RETRAIN, *registry.find("controls")}
        self._splits: dict[tuple[float, int, int, bool], Split] = {}
        self._ids: dict[Split, str] = {}
        self._common: dict[str, Any] = {
            "data": benchmark.data,
            "model": benchmark.model,
            "recipe": benchmark.recipe,
        }

    def accesses(self, row: Entrant) -> list[Access]:
        """List the accesses a row is run under, noting those it is skipped under."""
        accesses = []
        for access in self.benchmark.access:
            blind = row.method.needs_retain and access == "forget-only"
            if blind and row.label not in self.given_all:
                self.plan.skipped[row.label, access] = "needs the retain set, which is not given"
            else:
                accesses.append(access)
        return accesses

    def add(
        self, label: str, keep_weights: bool = False, needs: tuple[str, ...] = (), **spec: Any
    ) -> str:
        """Add a node once, with what its spec has of its own; return its id."""
        made = Spec(**spec, **self._common)
        curve = self.benchmark.curves and made.original is not None
        return self.plan.add(Node(made, label, needs, keep_weights, curve))

    def unlearn(
        self,
        row: Entrant,
        access: Access,
        split: Split,
        seed: int,
        *,
        original: str | None,
        start: str | None,
        other: str | None = None,
        keep_weights: bool = False,
        label: str | None = None,
    ) -> str:
        """Add one run of a method; the same run under two labels is one node."""
        given = "full" if row.label in self.given_all else access
        return self.add(
            label or row.label,
            keep_weights,
            tuple(dict.fromkeys(run for run in (original, start, other) if run)),
            kind="unlearn",
            seed=seed,
            method=row.row.method,
            settings=row.row.settings,
            access=given,
            split=split,
            original=original,
            start=start,
            other=other,
        )

    def other(self, row: Entrant, seed: int, split: Split | None = None) -> str | None:
        """Add the other original that a row needs beside the one of this seed; None if none.

        The next one of the benchmark, which it has anyway, or one more where it has only one.
        """
        if not row.method.needs_other:
            return None
        seeds = self.benchmark.seeds.originals
        following = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True)).get(seed, seed)
        seed = following if following != seed else seed + 1
        return self.add("original (other)", True, kind="original", seed=seed, split=split)

    def split(self, fraction: float, seed: int, request: int, *, swap: bool = False) -> Split:
        """Describe a forget set of the benchmark."""
        key = fraction, seed, request, swap
        if key not in self._splits:  # every method asks for the same ones
            self._splits[key] = self._new_split(*key)
        return self._splits[key]

    def _new_split(self, fraction: float, seed: int, request: int, swap: bool) -> Split:
        forget = self.benchmark.forget
        return Split(
            kind=forget.kind,
            fraction=fraction,
            seed=seed,
            target=forget.target,
            requests=forget.requests,
            request=request,
            swap=swap,
        )

    def split_id(self, split: Split) -> str:
        """Name the file of a forget set."""
        if split not in self._ids:
            made = Spec(kind="unlearn", seed=0, split=split, **self._common)
            self._ids[split] = str(made.split_id)
        return self._ids[split]


RunSeeds = tuple[int, ...]


@dataclass(frozen=True)
class Planned:
    """Hold a benchmark, the graph of its models, and the methods that it was expanded with."""

    benchmark: Benchmark
    plan: Plan
    plugins: dict[str, registry.Plugin]


def expand(
    benchmark: Benchmark, plugins: dict[str, registry.Plugin], *, keep_weights: bool = False
) -> Planned:
    """Expand a resolved benchmark. Nodes come as they should be worked off.

    Originals first, since most runs wait for them; then the long nodes that wait for nothing
    (references, retrains); then the short runs, which fill the gaps at the end. What only some
    tables need, swapped runs and U-LiRA's worlds, comes after all that the main table needs.
    keep_weights: of the models in the tables, beside those that others begin with.
    """
    registry.get(registry.find("datasets"), "dataset", benchmark.data.name)
    registry.get(registry.find("models"), "model", benchmark.model)
    plan = _Expansion(benchmark, plugins).plan
    if keep_weights:
        for run in {cell.run for cell in plan.cells}:
            plan.nodes[run] = replace(plan.nodes[run], keep_weights=True)
    return Planned(benchmark, plan, plugins)


class _Expansion:
    """Say what a plan holds: originals, references, rows, and what only some tables need."""

    def __init__(self, benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> None:
        self.benchmark, self.build = benchmark, Builder(benchmark)
        self.plan = self.build.plan
        self.originals = {
            seed: self.build.add(ORIGINAL, True, kind="original", seed=seed)
            for seed in benchmark.seeds.originals
        }
        self.plan.references = [
            self.build.add(
                "reference", kind="reference", seed=bank.seed, member=member, bank=bank.count
            )
            for bank in (benchmark.references,)
            for member in range(bank.count)
        ]
        self.rows = [*entrants(benchmark, plugins), *self._controls()]
        for row in sorted(self.rows, key=lambda row: row.method.starts_from_original):
            for access in self.build.accesses(row):
                self._add_row(row, access)
        self._add_original_cells()
        order = [ORIGINAL, RETRAIN, HELD_OUT, *(row.label for row in self.rows)]
        self.plan.cells.sort(key=lambda cell: order.index(cell.label))
        if benchmark.swap:
            self._add_swapped()
        if benchmark.ulira.shadows:
            self._add_shadows()

    def _controls(self) -> list[Entrant]:
        plugins = registry.find("controls") if self.benchmark.controls else {}
        return [
            Entrant(name, Row(method=name, settings=method.model_dump(mode="json")), method)
            for name in controls()
            if name in plugins
            for method in (settings_class(plugins[name])(),)
        ]

    def _add_row(self, row: Entrant, access: Access) -> None:
        """Add the runs of one row: every fraction and repetition, requests one after the other."""
        requests = self.benchmark.forget.requests
        for fraction, seeds in product(self.benchmark.forget.fractions, self._repetitions(row)):
            *original_seed, forget_seed, run_seed = seeds
            original = self.originals[original_seed[0]] if original_seed else None
            start = original
            other = self.build.other(row, original_seed[0]) if original_seed else None
            for request in range(1, requests + 1):
                split = self.build.split(fraction, forget_seed, request)
                keep = original is not None and request < requests
                run = self.build.unlearn(
                    row,
                    access,
                    split,
                    run_seed,
                    original=original,
                    start=start,
                    other=other,
                    keep_weights=keep,
                )
                start = run if original else None
                label = HELD_OUT if self._is_held_out(row, run_seed) else row.label
                made = Cell(
                    label, access, fraction, request, seeds, run, self.build.split_id(split)
                )
                self.plan.cells.append(made)

    def _is_held_out(self, row: Entrant, run_seed: int) -> bool:
        retrains = self.benchmark.seeds.retrains
        return row.label == RETRAIN and retrains >= 3 and run_seed == retrains

    def _add_original_cells(self) -> None:
        """Look at each original against each forget set that it is asked to forget."""
        forget = self.benchmark.forget
        requests = range(1, forget.requests + 1)
        pairs = dict.fromkeys(seeds[:2] for seeds in self._paired())
        every = product(self.benchmark.access, forget.fractions, requests, pairs)
        for access, fraction, request, pair in every:
            split = self.build.split_id(self.build.split(fraction, pair[1], request))
            run, seeds = self.originals[pair[0]], (*pair, pair[0])
            self.plan.cells.append(Cell(ORIGINAL, access, fraction, request, seeds, run, split))

    def _repetitions(self, row: Entrant) -> list[RunSeeds]:
        """List the seeds of a row: (original, forget set, run), or (forget set, run) from scratch.

        The models retrained for a forget set serve all originals.
        """
        if row.method.starts_from_original:
            return self._paired()
        retrains = range(1, self.benchmark.seeds.retrains + 1)
        return list(product(dict.fromkeys(self.benchmark.seeds.forget), retrains))

    def _paired(self) -> list[RunSeeds]:
        seeds = self.benchmark.seeds
        axes = (seeds.originals, seeds.forget, seeds.runs)
        return list(zip(*axes, strict=True)) if seeds.pairing == "zip" else list(product(*axes))

    def _add_swapped(self) -> None:
        """Add, for each cell, the same with as many test samples in the place of the forget set.

        What was retrained without the forget set has seen neither, so it serves both ways round.
        """
        by_label = {row.label: row for row in self.rows}
        for cell in self.plan.cells:
            split = self.build.split(cell.fraction, cell.seeds[-2], 1, swap=True)
            run = cell.run
            if len(cell.seeds) == 3:
                seed = cell.seeds[0]
                run = original = self.build.add(
                    "original (swapped)", True, kind="original", seed=seed, split=split
                )
                if cell.label != ORIGINAL:
                    run = self.build.unlearn(
                        by_label[cell.label],
                        cell.access,
                        split,
                        cell.seeds[-1],
                        original=original,
                        start=original,
                        other=self.build.other(by_label[cell.label], seed, split),
                        label=f"{cell.label} (swapped)",
                    )
            self.plan.swapped[cell] = Cell(
                cell.label,
                cell.access,
                cell.fraction,
                1,
                cell.seeds,
                run,
                self.build.split_id(split),
            )

    def _add_shadows(self) -> None:
        """Add U-LiRA's worlds: in each an original, and a run of every audited row."""
        ulira = self.benchmark.ulira
        labels = [row.label for row in self.rows]
        for label in ulira.methods:
            if label not in labels:
                raise unknown("method", label, labels)
        audited = [
            row
            for row in self.rows
            if not ulira.methods or row.label in self.build.given_all.union(ulira.methods)
        ]
        worlds = range(1, ulira.shadows + 1)
        for fraction, world in product(self.benchmark.forget.fractions, worlds):
            split = Split(
                kind="shadow",
                fraction=fraction,
                seed=ulira.seed,
                requests=ulira.shadows,
                request=world,
            )
            original = self.build.add(
                "original (shadow)", True, kind="original", seed=ulira.seed, split=split
            )

            made: list[tuple[str, Access, str]] = [
                (ORIGINAL, access, original) for access in self.benchmark.access
            ]
            for row in audited:
                scratch = not row.method.starts_from_original
                start = None if scratch else original
                other = self.build.other(row, ulira.seed, split)
                for access in self.build.accesses(row):
                    run = self.build.unlearn(
                        row,
                        access,
                        split,
                        world,
                        original=start,
                        start=start,
                        other=other,
                        label=f"{row.label} (shadow)",
                    )
                    made.append((row.label, access, run))
            seeds, name = (ulira.seed, world), self.build.split_id(split)
            self.plan.shadows += [
                Cell(label, access, fraction, world, seeds, run, name)
                for label, access, run in made
            ]
