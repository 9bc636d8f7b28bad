"""Turn a benchmark into the graph of models to make, and the cells of its tables."""

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import Any

from unlearnbench import architectures, registry
from unlearnbench.authoring import ModelAudit
from unlearnbench.data.splits import Split
from unlearnbench.errors import UserError, unknown
from unlearnbench.planning import plan as graph
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import (
    HELD_OUT,
    ORIGINAL,
    REFERENCE_ROWS,
    RETRAIN,
    Access,
    Cell,
    Plan,
)
from unlearnbench.planning.rows import (
    Entrant,
    at_first,
    controls,
    entrant,
    entrants,
    model_audits,
)
from unlearnbench.planning.tables import Seeds
from unlearnbench.syntax import constant

RunSeeds = tuple[int, ...]
MOST = 250_000
"""Models of one benchmark; planning so many takes minutes."""


@dataclass(frozen=True)
class Planned:
    """Hold a benchmark, the graph of its models, and the methods and audits it is made with."""

    benchmark: Benchmark
    plan: Plan
    plugins: dict[str, registry.Plugin]
    audits: dict[str, registry.Plugin] = field(default_factory=dict)


def expand(
    benchmark: Benchmark,
    plugins: dict[str, registry.Plugin],
    *,
    audits: dict[str, registry.Plugin] | None = None,
    keep_weights: bool = False,
) -> Planned:
    """Expand a resolved benchmark. Nodes come as they should be worked off.

    Originals first, since most runs wait for them; then the long nodes that wait for nothing
    (references, retrains); then the short runs, which fill the gaps at the end. What only some
    tables need, audits of models, swapped runs and U-LiRA's worlds, comes after all that the main
    table needs.
    audits: of models, by default those that there are; keep_weights: of the models in the tables,
    beside those that others begin with.
    """
    if audits is None:
        audits = registry.find("model_audits", benchmark.plugins)
    _require_few(benchmark)
    plan = _Expansion(benchmark, plugins, audits).plan
    if keep_weights:
        for run in {cell.run for cell in plan.cells}:
            plan.keep(run)
    return Planned(benchmark, plan, plugins, audits)


def repetitions(seeds: Seeds) -> list[RunSeeds]:
    """List the seeds of original, forget set and run of each repetition."""
    axes = (seeds.originals, seeds.forget, seeds.runs)
    return list(zip(*axes, strict=True) if seeds.pairing == "zip" else product(*axes))


def models_at_most(benchmark: Benchmark) -> int:
    """Return how many models a benchmark may come to, counted without planning them."""
    seeds, forget, ulira = benchmark.seeds, benchmark.forget, benchmark.ulira
    pairs = len(seeds.runs)
    if seeds.pairing == "product":
        pairs *= len(seeds.originals) * len(seeds.forget)
    rows = len(benchmark.methods) * len(benchmark.access)
    runs = rows * pairs + len(seeds.forget) * seeds.retrains
    total = len(forget.fractions) * (forget.requests * runs + rows * ulira.shadows)
    total += len(seeds.originals) + benchmark.references.count
    return total + (benchmark.given.every_retrain if benchmark.given else 0)


def _require_few(benchmark: Benchmark) -> None:
    """Raise UserError where there are too many models to plan."""
    if (total := models_at_most(benchmark)) > MOST:
        raise UserError(
            f"This comes to about {total:,} models, and more than {MOST:,} cannot be planned.",
            "Take fewer seeds, fractions, requests, retrains, references or rows.",
        )


def require_parts(benchmark: Benchmark) -> None:
    """Raise UserError where data set or model are not there, or the images too small for it."""
    if benchmark.outputs_only:
        return
    own = benchmark.plugins
    data = registry.get(registry.find("datasets", own), "dataset", benchmark.data.name)
    side = benchmark.data.fit.side or constant(data.source(), "SIDE")
    architectures.require_side(benchmark.model, side, own)


class _Expansion:
    """Fill a plan: originals, references, rows, and what only some tables need."""

    def __init__(
        self,
        benchmark: Benchmark,
        plugins: dict[str, registry.Plugin],
        audits: dict[str, registry.Plugin],
    ) -> None:
        self.benchmark, self.plan = benchmark, Plan()
        self._originals: dict[tuple[int, Split | None], str] = {}
        self._split_ids: dict[Split, str] = {}
        self._shared_work: dict[object, str] = {}
        self._split = cache(self._new_split)  # every method asks for the same ones
        known, seeds, bank = registry.find("controls"), benchmark.seeds, benchmark.references
        # Yardstick and controls are the same whatever the methods are given.
        self.given_all = {RETRAIN, *known}
        self.paired = repetitions(seeds)
        self.given = benchmark.given
        for seed in seeds.originals if self.has_original else ():
            self._original(seed)
        self.plan.references = [
            self._add("reference", kind="reference", seed=bank.seed, member=place, given=one.digest)
            for place, one in enumerate(self.given.references if self.given else ())
        ]
        self.plan.references += [
            self._add("reference", kind="reference", seed=bank.seed, member=member)
            for member in range(bank.count)
        ]
        self.rows = list(entrants(benchmark, plugins))
        if self.given:
            self._add_given(self.given)
            self.rows = [row for row in self.rows if row.label != RETRAIN]
        self.controls = controls() if benchmark.controls else {}
        self.rows += [entrant(name, Row(method=name), known) for name in self.controls]
        self._at_first = {row.label: at_first(row, plugins) for row in self.rows}
        for row in sorted(self.rows, key=lambda row: row.method.starts_from_original):
            for access in self._accesses(row):
                self._add_row(row, access)
        if self.has_original:
            self._add_original_cells()
        order = [*REFERENCE_ROWS, *(self.given.unlearned if self.given else ())]
        order += [row.label for row in self.rows]
        self.plan.cells.sort(key=lambda cell: order.index(cell.label))
        for name, audit in model_audits(benchmark, audits).items():
            self.plan.audited[name] = self._audited(name, audit)
        if benchmark.swap:
            self._add_swapped()
        if benchmark.ulira.shadows:
            self._add_shadows()

    @property
    def has_original(self) -> bool:
        """Whether there are originals: not in every audit of models made elsewhere."""
        return self.given is None or self.given.original is not None

    def _add_given(self, given: Given) -> None:
        """Add models made elsewhere, and retrains that are made here; all are of one forget set."""
        fraction = self.benchmark.forget.fractions[0]
        seed, forget = (self.benchmark.seeds.originals[0], self.benchmark.seeds.forget[0])
        split = self._split(fraction, forget, 1)
        original = self._original(seed) if given.original else None
        made: dict[str, Any] = {"kind": "unlearn", "split": split}
        for label, model in given.unlearned.items():
            own = made | {"given": model.digest, "original": original, "start": original}
            run = self._add(label, seed=1, **own)
            self.plan.cells.append(self._cell(label, "full", split, (seed, forget, 1), run))
        for number in range(1, given.every_retrain + 1):
            from_elsewhere = given.retrains[number - 1 : number]
            digest = from_elsewhere[0].digest if from_elsewhere else None
            run = self._add(RETRAIN, seed=number, method=RETRAIN, given=digest, **made)
            held_out = self.benchmark.held_out and number == given.every_retrain
            label = HELD_OUT if held_out else RETRAIN
            self.plan.cells.append(self._cell(label, "full", split, (forget, number), run))

    def _accesses(self, row: Entrant) -> list[Access]:
        """List the accesses a row is run under, noting those it is skipped under."""
        blind = row.method.needs_retain and row.label not in self.given_all
        if blind and "forget-only" in self.benchmark.access:
            self.plan.skipped[row.label, "forget-only"] = "needs the retain set, which is not given"
        return [access for access in self.benchmark.access if access == "full" or not blind]

    def _add(self, label: str, keep_weights: bool = False, **own: Any) -> str:
        """Add a node once, with what its spec has of its own; return its id."""
        common = self.benchmark
        spec = graph.Spec(data=common.data, model=common.model, recipe=common.recipe, **own)
        needed = (spec.original, spec.start, spec.other, spec.shared)
        needs = tuple(dict.fromkeys(filter(None, needed)))
        curve = common.curves and spec.original is not None
        return self.plan.add(graph.Node(spec, label, needs, keep_weights, curve))

    def _original(self, seed: int, suffix: str = "", world: Split | None = None) -> str:
        """Add an original once, of the training set or of a world that a split describes."""
        if (seed, world) not in self._originals:
            own: dict[str, Any] = {"seed": seed, "split": world}
            if self.given and self.given.original:
                own["given"] = self.given.original.digest
            made = self._add(ORIGINAL + suffix, True, kind="original", **own)
            self._originals[seed, world] = made
        return self._originals[seed, world]

    def _other(self, seed: int, world: Split | None) -> str:
        """Add another original than that of this seed.

        The next one of the benchmark, which it has anyway, or one more where it has only one.
        """
        if self.given:
            raise UserError(
                "This method needs a second original, and models made elsewhere have one.",
                "Take another method, or other settings of it.",
            )
        seeds = self.benchmark.seeds.originals
        following = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True)).get(seed, seed)
        return self._original(following if following != seed else seed + 1, " (other)", world)

    def _unlearn(
        self,
        row: Entrant,
        access: Access,
        split: Split,
        seeds: RunSeeds,
        suffix: str = "",
        start: str | None = None,
    ) -> Cell:
        """Add one run of a method, begun from `start` or else from the original of its first seed.

        The same run under two labels is one node. suffix: of the label of a run in another world.
        """
        row = row if start else self._at_first[row.label]
        world, models, continued = split if suffix else None, {}, False
        if row.method.starts_from_original:
            original = self._original(seeds[0], suffix, world)
            models = {"original": original, "start": start or original}
            if row.method.needs_other:
                models["other"] = self._other(seeds[0], world)
            continued = world is None and split.request < split.requests
            if row.method.shared_settings is not None:
                models["shared"] = self._shared(row, split, seeds[0], suffix, models)
        run = self._add(
            row.label + suffix,
            continued,
            kind="unlearn",
            seed=seeds[-1],
            method=row.row.method,
            settings=row.row.settings,
            access="full" if row.label in self.given_all else access,
            split=split,
            **models,
        )
        return self._cell(row.label, access, split, seeds, run)

    def _shared(
        self, row: Entrant, split: Split, seed: int, suffix: str, models: dict[str, str]
    ) -> str:
        """Add once what a run shares with all of its method that agree in what it depends on.

        Its seed is that of the original, so that runs of other seeds share it too.
        """
        name, original, other = row.row.method, models["original"], models.get("other")
        known = {key: row.row.settings[key] for key in row.method.shared_settings or ()}
        key = (name, str(known), split, original, other)
        if key not in self._shared_work:
            self._shared_work[key] = self._add(
                f"{name} (shared){suffix}",
                True,
                kind="shared",
                seed=seed,
                method=name,
                settings=known,
                split=split,
                original=original,
                other=other,
            )
        return self._shared_work[key]

    def _new_split(self, fraction: float, seed: int, request: int, swap: bool = False) -> Split:
        return self.benchmark.forget.split(fraction, seed, request, swap=swap)

    def _cell(self, label: str, access: Access, split: Split, seeds: RunSeeds, run: str) -> Cell:
        """See a run against a forget set."""
        if split not in self._split_ids:
            self._split_ids[split] = graph.split_id(self.benchmark.data, split)
        name = self._split_ids[split]
        return Cell(label, access, split.fraction, split.request, seeds, run, name)

    def _add_row(self, row: Entrant, access: Access) -> None:
        """Add the runs of one row: every fraction and repetition, requests one after the other.

        A repetition has the seeds of (original, forget set, run), or of (forget set, run) from
        scratch: the models retrained for a forget set serve all originals.
        """
        forget, seeds, repetitions = self.benchmark.forget, self.benchmark.seeds, self.paired
        if not row.method.starts_from_original:
            repetitions = list(product(dict.fromkeys(seeds.forget), range(1, seeds.retrains + 1)))
        if row.label in self.controls:
            some = set([*dict.fromkeys(seeds.forget)][: self.controls[row.label].sets])
            repetitions = [drawn for drawn in repetitions if drawn[-2] in some]
        for fraction, drawn in product(forget.fractions, repetitions):
            last = row.label == RETRAIN and drawn[-1] == seeds.retrains
            held_out = last and self.benchmark.held_out
            start = None
            for request in range(1, forget.requests + 1):
                split = self._split(fraction, drawn[-2], request)
                cell = self._unlearn(row, access, split, drawn, start=start)
                start = cell.run
                self.plan.cells.append(replace(cell, label=HELD_OUT) if held_out else cell)

    def _add_original_cells(self) -> None:
        """Look at each original against each forget set that it is asked to forget."""
        forget = self.benchmark.forget
        requests = range(1, forget.requests + 1)
        pairs = dict.fromkeys(seeds[:2] for seeds in self.paired)
        every = product(self.benchmark.access, forget.fractions, requests, pairs)
        for access, fraction, request, pair in every:
            split, run = self._split(fraction, pair[1], request), self._original(pair[0])
            self.plan.cells.append(self._cell(ORIGINAL, access, split, (*pair, pair[0]), run))

    def _audited(self, name: str, audit: ModelAudit) -> list[Cell]:
        """Add an audit of every model of the table on the first forget sets, after all requests.

        Two cells of one run share its audit: what an audit may know does not depend on the access.
        """
        forget, known = self.benchmark.forget, dict.fromkeys(self.benchmark.seeds.forget)
        seeds = list(known)[: self.benchmark.model_audits[name].sets]
        last = [cell for cell in self.plan.cells if cell.request == forget.requests]
        looked_at = [cell for cell in last if cell.seeds[-2] in seeds]
        retrains: dict[object, list[str]] = {}
        for cell in looked_at:
            if cell.label == RETRAIN and audit.needs_retrain:
                retrains.setdefault(cell.forget_set, []).append(cell.run)
        audited = []
        for cell in looked_at:
            self.plan.keep(cell.run)
            others = [run for run in retrains.get(cell.forget_set, ()) if run != cell.run]
            run = self._add(
                f"{self.plan.nodes[cell.run].label} ({name})",
                kind="audit",
                seed=self.plan.nodes[cell.run].spec.seed,
                audit=name,
                settings=audit.model_dump(mode="json"),
                split=self._split(cell.fraction, cell.seeds[-2], cell.request),
                start=cell.run,
                other=next(iter(others), None),
            )
            audited.append(replace(cell, run=run))
        return audited

    def _add_swapped(self) -> None:
        """Add, for each cell, the same with as many test samples in place of the forget set.

        What was retrained without the forget set has seen neither, so it serves both ways round.
        """
        by_label, suffix = {row.label: row for row in self.rows}, " (swapped)"
        for cell in self.plan.cells:
            label, access, seeds = cell.label, cell.access, cell.seeds
            split = self._split(cell.fraction, seeds[-2], 1, swap=True)
            if len(seeds) == 3 and label != ORIGINAL:
                twin = self._unlearn(by_label[label], access, split, seeds, suffix)
            else:
                run = self._original(seeds[0], suffix, split) if label == ORIGINAL else cell.run
                twin = self._cell(label, access, split, seeds, run)
            self.plan.swapped[cell] = twin

    def _add_shadows(self) -> None:
        """Add U-LiRA's worlds: in each an original, and a run of every audited row."""
        ulira, labels, suffix = self.benchmark.ulira, [row.label for row in self.rows], " (shadow)"
        for label in ulira.methods:
            if label not in labels:
                raise unknown("method", label, labels)
        named = self.given_all.union(ulira.methods or labels)
        audited = [row for row in self.rows if row.label in named]
        forget, worlds = self.benchmark.forget, range(1, ulira.shadows + 1)
        for fraction, world in product(forget.fractions, worlds):
            split, seeds = forget.world(fraction, ulira, world), (ulira.seed, world)
            original = self._original(ulira.seed, suffix, split)
            self.plan.shadows += [
                self._cell(ORIGINAL, access, split, seeds, original)
                for access in self.benchmark.access
            ]
            self.plan.shadows += [
                self._unlearn(row, access, split, seeds, suffix)
                for row in audited
                for access in self._accesses(row)
            ]
