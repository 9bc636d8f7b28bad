"""From stored signals to metrics: every finished cell against every attack and every retrain."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics import distances, gates, ulira
from unlearnbench.metrics.attacks import HEADLINE, Samples, View, score
from unlearnbench.metrics.bank import Bank
from unlearnbench.metrics.compute import Attacked, Evaluation, evaluate
from unlearnbench.metrics.roc import auc
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, Cell, Plan
from unlearnbench.planning.spec import Access
from unlearnbench.storage.store import OTHER_DATA, Arrays, Store

NO_CHANGE = 1e-3

T = TypeVar("T")
S = TypeVar("S")


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
    def bank(self) -> Bank | None:
        """The reference models, once all are there.

        Half a bank is not balanced, and an unbalanced one biases every AUC: better none yet.
        """
        references = self.plan.references
        if not references or not all(self.store.done(run) for run in references):
            return None
        if any(self.store.digest(run) != self._digest for run in references):
            return None
        return Bank.join([self.store.signals(run) for run in references])

    def run(self) -> Measured:
        """Measure everything, on all cores: nearly all of the work lets go of Python's lock."""
        made = Measured(offline_a=self.bank.offline_a if self.bank else None)
        for cell in self.plan.cells:
            if self.store.exists(cell.run) and (damage := self._damage(cell)):
                made.broken[cell] = f"{damage} (unlearnbench run makes it again)"
        cells = self.finished()
        for cell, (evaluation, problem) in zip(cells, _threads(self._cell, cells), strict=True):
            if problem is not None:
                made.broken[cell] = problem
            if evaluation is not None:
                made.cells[cell] = evaluation
        together: dict[tuple[Access, tuple[float, int, int]], list[Cell]] = {}
        for cell in made.cells:
            together.setdefault((cell.access, cell.forget_set), []).append(cell)
        for found in _threads(self._distances, list(together.values())):
            for cell, values in found.items():
                made.cells[cell].values.update(values)
        made.no_op = {cell for cell in made.cells if self._is_no_op(cell)}
        made.ulira = self._ulira()
        return made

    def samples(self, cell: Cell, pool: int) -> Samples:
        """Return which samples of a pool of so many a cell is about."""
        split, record = self.store.split(cell.split), self.store.record(cell.run)
        train, test = record["train"], record["test"]
        kept = np.ones(train, dtype=np.bool_)
        kept[split["forget"][split["forget"] < train]] = kept[split["earlier"]] = False
        tested, held_out = np.arange(train, train + test), np.arange(train + test, pool)
        others = held_out if len(held_out) else tested
        return Samples(split["forget"], np.flatnonzero(kept), tested, others, split["earlier"])

    def _cell(self, cell: Cell) -> tuple[Evaluation | None, str | None]:
        signals = self.store.signals(cell.run)
        samples = self.samples(cell, len(signals["margin"]))
        problem = gates.broken(signals, samples, unlearned=cell.label != ORIGINAL)
        if problem is not None:
            return None, problem
        view = View(signals, samples)
        evaluation = evaluate(view, self.bank, self.attacks, cell.forget_set)
        twin = self.plan.swapped.get(cell)
        if twin and self.bank and self.store.done(twin.run) and self.store.has_split(twin.split):
            evaluation.values["swap_auc"] = self._swap_auc(view, twin)
        return evaluation, None

    def _swap_auc(self, view: View, twin: Cell) -> float:
        """Average the AUC with that of the run in which forget and test samples changed places.

        Under retraining the two are 100 together, however unlike the two groups are: 50 is ideal.
        """
        forget, stand_ins = view.samples.forget, self.store.split(twin.split)["forget"]
        one = score(HEADLINE, view, self.bank)
        other = score(HEADLINE, View(self.store.signals(twin.run), view.samples), self.bank)
        return (auc(one[forget], one[stand_ins]) + auc(other[stand_ins], other[forget])) / 2

    def _distances(self, cells: list[Cell]) -> dict[Cell, dict[str, float]]:
        """Return the mean distance of each cell to the retrains, all being on one forget set."""
        retrains = {cell: self._outputs(cell) for cell in cells if cell.label == RETRAIN}
        measured = {}
        for cell in cells:
            others = [one for other, one in retrains.items() if other.run != cell.run]
            if not others:
                continue
            own = self._outputs(cell)
            samples = self.samples(cell, len(own[0]))
            found = [_distance(samples, own, other) for other in others]
            means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
            alike = [c for c in cells if c.label == cell.label]
            compared = [c for c in retrains if c.run != cell.run]
            measured[cell] = means | self._klom(samples.forget, alike, compared)
        return measured

    def _outputs(self, cell: Cell) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return a model's margins and logits."""
        return self.store.signals(cell.run)["margin"], self.store.logits(cell.run)

    def _klom(
        self, forget: NDArray[np.int64], alike: list[Cell], retrains: list[Cell]
    ) -> dict[str, float]:
        if min(len(alike), len(retrains)) < distances.KLOM_MODELS:
            return {}
        sets = [
            np.stack([self.store.signals(c.run)["margin"][forget] for c in group])
            for group in (alike, retrains)
        ]
        found = distances.klom(*sets)
        return {} if found is None else {"klom": float(found.mean())}

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
        made: dict[tuple[Access, float], dict[str, list[Attacked]]] = {}
        for key, rows in worlds.items():
            for label, cells in rows.items():
                if all(self.store.done(cell.run) for cell in cells):
                    margins: list[NDArray[Any]] = [
                        self.store.signals(cell.run)["margin"] for cell in cells
                    ]
                    forgotten = [self.store.split(cell.split)["forget"] for cell in cells]
                    made.setdefault(key, {})[label] = ulira.audit(margins, forgotten)
        return made


def _distance(
    samples: Samples,
    own: tuple[NDArray[Any], NDArray[Any]],
    retrain: tuple[NDArray[Any], NDArray[Any]],
) -> dict[str, float]:
    """Return how far a model's margins and logits are from a retrain's, on D_F and D_T."""
    found = {}
    for name, where in (("forget", samples.forget), ("test", samples.test)):
        margins, logits = (
            [values[where] for values in pair] for pair in zip(own, retrain, strict=True)
        )
        found[f"w1_{name}"] = distances.wasserstein(*margins)
        found[f"ks_{name}"] = distances.kolmogorov_smirnov(*margins)
        found[f"agreement_{name}"] = distances.agreement(*logits)
        found[f"js_{name}"] = distances.jensen_shannon(*logits)
    return found


def _threads(work: Callable[[S], T], items: list[S]) -> list[T]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))
