"""From stored signals to metrics: every finished cell against every attack and every retrain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from unlearnbench.audits.attacks import (
    HEADLINE,
    Attacked,
    Samples,
    View,
    attacked,
    possible,
    score,
    ulira,
)
from unlearnbench.audits.references import ReferenceModels
from unlearnbench.metrics.curves import Curves, curves
from unlearnbench.metrics.kinds import OfModel, OfModels, OfScores, Seen, ToRetrain
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, Access, Cell, Plan
from unlearnbench.storage.store import OTHER_DATA, Arrays, Store
from unlearnbench.verdicts.verdict import broken

NO_CHANGE = 1e-3
PARTS = ("forget", "test")
"""On which outputs are compared with retrain's."""
Outputs = dict[tuple[str, str], NDArray[Any]]
"""By output and part: margins [n] or logits [n, classes]."""

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Evaluation:
    """Hold every metric of one model, every attack on it, its curves."""

    values: dict[str, float]
    attacks: dict[str, Attacked]
    curves: Curves


def evaluate(
    view: View,
    references: ReferenceModels | None,
    attacks: list[str],
    forget_set: object,
    twin: tuple[View, NDArray[np.int64]] | None = None,
) -> Evaluation:
    """Compute every metric that needs no retrain, every attack, and the curves.

    Accuracies and AUCs are in percent, confidences in [0, 1]. twin: of the model for which forget
    and test samples changed places, and the test samples that it forgot. Without references there
    is no AUC that needs them.
    """
    swapped = None
    if twin is not None and references is not None:
        swapped = score(HEADLINE, twin[0], references), twin[1]
    seen, found = Seen(view, swapped), {}
    values = {
        name: metric.function(seen)
        for name, metric in METRICS.items()
        if isinstance(metric, OfModel)
    }
    for attack in possible(list(dict.fromkeys([HEADLINE, *attacks])), references):
        scores = score(attack, view, references)
        if attack == HEADLINE:
            values |= {
                name: metric.function(seen, scores)
                for name, metric in METRICS.items()
                if isinstance(metric, OfScores)
            }
        found[attack] = attacked(scores, view.samples.forget, view.samples.others, forget_set)
    known = {name: value for name, value in values.items() if value is not None}
    return Evaluation(known, found, curves(view, references))


@dataclass
class Measured:
    """Hold what was measured: by cell, and of U-LiRA by access, fraction and label.

    no_op: cells whose model is the one it was given; broken: why a cell could not be used.
    """

    cells: dict[Cell, Evaluation] = field(default_factory=dict)
    ulira: dict[tuple[Access, float], dict[str, list[Attacked]]] = field(default_factory=dict)
    no_op: set[Cell] = field(default_factory=set)
    broken: dict[Cell, str] = field(default_factory=dict)
    offline_a: float | None = None


class Measurement:
    """Read the store and measure. Arrays are read where they are needed and not kept."""

    def __init__(self, plan: Plan, store: Store, attacks: list[str]) -> None:
        """Measure what `plan` describes and `store` holds."""
        self.plan, self.store, self.attacks = plan, store, attacks
        self._samples: dict[tuple[str, int], Samples] = {}

    def finished(self) -> list[Cell]:
        """List the cells that can be measured."""
        return [
            cell
            for cell in self.plan.cells
            if self.store.exists(cell.run)
            and self.store.has_split(cell.split)
            and self._damage(cell) is None
        ]

    def _damage(self, cell: Cell) -> str | None:
        damage = self.store.damage(cell.run) or self._damaged_splits.get(cell.split)
        if damage is None and self.store.digest(cell.run) != self._digest:
            return OTHER_DATA
        return damage

    @cached_property
    def _digest(self) -> str | None:
        """Digest of the data: what the first finished node, an original where there is one, had."""
        done = (run for run in self.plan.nodes if self.store.done(run))
        return next(map(self.store.digest, done), None)

    @cached_property
    def _damaged_splits(self) -> dict[str, str]:
        """What is wrong with splits, which the record of every run that was made with one knows."""
        made = [cell for cell in self.plan.cells if self.store.done(cell.run)]
        found = ((cell.split, self.store.split_damage(cell.run)) for cell in made)
        return {split: damage for split, damage in found if damage is not None}

    @cached_property
    def references(self) -> ReferenceModels | None:
        """The reference models, once all are there.

        Of half of them more would have been trained on some samples than on others, which biases
        every AUC: better none yet.
        """
        runs = self.plan.references
        if not runs or not all(self.store.done(run) for run in runs):
            return None
        if any(self.store.digest(run) != self._digest for run in runs):
            return None
        return ReferenceModels.join([self.store.signals(run) for run in runs])

    def run(self) -> Measured:
        """Measure everything, on all cores: nearly all of the work lets go of Python's lock."""
        measured = Measured(offline_a=self.references.offline_a if self.references else None)
        for cell in self.plan.cells:
            if self.store.exists(cell.run) and (damage := self._damage(cell)):
                measured.broken[cell] = f"{damage} (unlearnbench run makes it again)"
        cells = self.finished()
        for cell, (evaluation, problem) in zip(cells, _fan_out(self._cell, cells), strict=True):
            if problem is not None:
                measured.broken[cell] = problem
            if evaluation is not None:
                measured.cells[cell] = evaluation
        alike: dict[tuple[Access, tuple[float, int, int]], list[Cell]] = {}
        for cell in measured.cells:
            alike.setdefault((cell.access, cell.forget_set), []).append(cell)
        for by_cell in _fan_out(self._distances, list(alike.values())):
            for cell, values in by_cell.items():
                measured.cells[cell].values.update(values)
        measured.no_op = {cell for cell in measured.cells if self._is_no_op(cell)}
        measured.ulira = self._ulira()
        return measured

    def samples(self, cell: Cell, pool: int) -> Samples:
        """Return which samples of a pool of so many a cell is about."""
        key = (cell.split, pool)
        if key not in self._samples:
            split, record = self.store.split(cell.split), self.store.record(cell.run)
            train, test = record["train"], record["test"]
            kept = np.ones(train, dtype=np.bool_)
            kept[split["forget"][split["forget"] < train]] = kept[split["earlier"]] = False
            tested, held_out = np.arange(train, train + test), np.arange(train + test, pool)
            others = held_out if len(held_out) else tested
            self._samples[key] = Samples(
                split["forget"], np.flatnonzero(kept), tested, others, split["earlier"]
            )
        return self._samples[key]

    def _cell(self, cell: Cell) -> tuple[Evaluation | None, str | None]:
        signals = self.store.signals(cell.run)
        samples = self.samples(cell, len(signals["margin"]))
        problem = broken(signals, samples, unlearned=cell.label != ORIGINAL)
        if problem is not None:
            return None, problem
        view, twin = View(signals, samples), self.plan.swapped.get(cell)
        swapped = None
        if twin and self.store.done(twin.run) and self.store.has_split(twin.split):
            stand_ins = self.store.split(twin.split)["forget"]
            swapped = View(self.store.signals(twin.run), samples), stand_ins
        return evaluate(view, self.references, self.attacks, cell.forget_set, swapped), None

    def _distances(self, cells: list[Cell]) -> dict[Cell, dict[str, float]]:
        """Return the mean distance of each cell to the retrains, all being on one forget set."""
        retrains = {cell: self._outputs(cell) for cell in cells if cell.label == RETRAIN}
        measured = {}
        for cell in cells:
            others = {other: out for other, out in retrains.items() if other.run != cell.run}
            if others:
                own = retrains.get(cell) or self._outputs(cell)
                alike = [other for other in cells if other.label == cell.label]
                measured[cell] = _to_retrains(own, list(others.values()))
                measured[cell] |= self._of_models(alike, list(others))
        return measured

    def _outputs(self, cell: Cell) -> Outputs:
        """Return a model's margins and logits on forget and test samples."""
        whole = {"margin": self.store.signals(cell.run)["margin"]}
        whole["logits"] = self.store.logits(cell.run)
        samples = self.samples(cell, len(whole["margin"]))
        return {
            (output, part): values[getattr(samples, part)]
            for output, values in whole.items()
            for part in PARTS
        }

    def _of_models(self, alike: list[Cell], retrains: list[Cell]) -> dict[str, float]:
        """Compute what needs many models of a row, and as many retrains, on one forget set."""
        metrics = [
            (name, metric)
            for name, metric in METRICS.items()
            if isinstance(metric, OfModels) and min(len(alike), len(retrains)) >= metric.least
        ]
        if not metrics:
            return {}
        forget = self.store.split(alike[0].split)["forget"]
        rows, ideal = (
            np.stack([self.store.signals(cell.run)["margin"][forget] for cell in cells])
            for cells in (alike, retrains)
        )
        return {name: metric.function(rows, ideal) for name, metric in metrics}

    def _is_no_op(self, cell: Cell) -> bool:
        """Say whether a run gave back the very model it was given: no margin differs by 0.001.

        To the last bit they need not agree: weights that have been stored lie otherwise in memory,
        and sums are taken in another order.
        """
        start = self.plan.nodes[cell.run].spec.start
        if start is None or cell.label == ORIGINAL:
            return False
        pair: list[Arrays] = [self.store.signals(run) for run in (start, cell.run)]
        return bool(np.abs(pair[0]["margin"] - pair[1]["margin"]).max() < NO_CHANGE)

    def _ulira(self) -> dict[tuple[Access, float], dict[str, list[Attacked]]]:
        """Attack the shadow worlds of every row of which all worlds are finished."""
        worlds: dict[tuple[Access, float], dict[str, list[Cell]]] = {}
        for cell in self.plan.shadows:
            group = worlds.setdefault((cell.access, cell.fraction), {})
            group.setdefault(cell.label, []).append(cell)
        attacked_rows: dict[tuple[Access, float], dict[str, list[Attacked]]] = {}
        for key, rows in worlds.items():
            for label, cells in rows.items():
                if all(self.store.done(cell.run) for cell in cells):
                    margins: list[NDArray[Any]] = [
                        self.store.signals(cell.run)["margin"] for cell in cells
                    ]
                    forgotten = [self.store.split(cell.split)["forget"] for cell in cells]
                    attacked_rows.setdefault(key, {})[label] = ulira(margins, forgotten)
        return attacked_rows


def _to_retrains(own: Outputs, retrains: list[Outputs]) -> dict[str, float]:
    """Return how far a model's outputs are from those of retrains, on the mean."""
    means = {}
    for part in PARTS:
        for name, metric in METRICS.items():
            if isinstance(metric, ToRetrain) and metric.part == part:
                key = (metric.output, part)
                distances = [metric.function(own[key], retrain[key]) for retrain in retrains]
                means[name] = float(np.mean(distances))
    return means


def _fan_out(work: Callable[[S], T], items: list[S]) -> list[T]:
    return cast("list[T]", Parallel(n_jobs=-1, prefer="threads")(delayed(work)(i) for i in items))
