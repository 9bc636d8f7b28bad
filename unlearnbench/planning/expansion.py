"""Turn a benchmark into the graph of models to make, and the cells of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from unlearnbench import registry
from unlearnbench.data.splits import Split
from unlearnbench.errors import unknown
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.builder import Builder
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN, Cell, Plan
from unlearnbench.planning.rows import Row, rows
from unlearnbench.planning.spec import Access

Seeds = tuple[int, ...]


@dataclass(frozen=True)
class Planned:
    """Hold a benchmark, the graph of its models, and the methods that it was expanded with."""

    benchmark: Benchmark
    plan: Plan
    plugins: dict[str, registry.Plugin]


def expand(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> Planned:
    """Expand a resolved benchmark. Nodes come as they should be worked off.

    Originals first, since most runs wait for them; then the long nodes that wait for nothing
    (references, retrains); then the short runs, which fill the gaps at the end. What only some
    tables need, swapped runs and U-LiRA's worlds, comes after all that the main table needs.
    """
    registry.get(registry.find("datasets"), "dataset", benchmark.data.name)
    registry.get(registry.find("models"), "model", benchmark.model)
    return Planned(benchmark, _Expansion(benchmark, plugins).plan, plugins)


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
        self.rows = [*rows(benchmark, plugins), *self._controls()]
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

    def _controls(self) -> list[Row]:
        plugins = registry.find("controls") if self.benchmark.controls else {}
        named = [name for name in CONTROLS if name in plugins]
        return [Row(n, registry.settings_class(plugins[n])(), n) for n in named]

    def _add_row(self, row: Row, access: Access) -> None:
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

    def _is_held_out(self, row: Row, run_seed: int) -> bool:
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

    def _repetitions(self, row: Row) -> list[Seeds]:
        """List the seeds of a row: (original, forget set, run), or (forget set, run) from scratch.

        The models retrained for a forget set serve all originals.
        """
        if row.method.starts_from_original:
            return self._paired()
        retrains = range(1, self.benchmark.seeds.retrains + 1)
        return list(product(dict.fromkeys(self.benchmark.seeds.forget), retrains))

    def _paired(self) -> list[Seeds]:
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
            if not ulira.methods or row.label in (RETRAIN, *ulira.methods, *CONTROLS)
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
