"""From stored signals to metrics: every finished cell against every attack and every retrain."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from unlearnbench import registry
from unlearnbench.audits.attacks import (
    ATTACKS,
    HEADLINE,
    Attacked,
    Samples,
    View,
    attack_title,
    ulira,
)
from unlearnbench.audits.parts import ACCURACY
from unlearnbench.audits.references import ReferenceModels
from unlearnbench.audits.roc import Part
from unlearnbench.entries import is_absent
from unlearnbench.evaluation.evaluate import Evaluation, Lost, attempt, evaluate, note
from unlearnbench.evaluation.sound import Sound
from unlearnbench.metrics.metric import OfModels, ToRetrain, of_type
from unlearnbench.outline import audit_settings
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, Access, Cell, Plan
from unlearnbench.storage.store import OTHER_VERSION, Store
from unlearnbench.verdicts.inference import combine
from unlearnbench.verdicts.verdict import broken

T = TypeVar("T")
R = TypeVar("R")

NO_CHANGE = 1e-3
OfSamples = dict[tuple[str, str], NDArray[Any]]
"""What a model says of its samples, by `ToRetrain.output` and part."""


@dataclass
class Measured:
    """Hold what was measured: by cell, of U-LiRA by access, fraction, label; broken: why not.

    intervals: 95 % of the mean AUC of other groups of samples, by access, fraction, request, label
    and metric; audited: by audit of models what its models look like, by the cell without its run;
    lacking: by attack, how many cells lack a signal that it needs, of themselves or of references;
    left_out: positions of samples that are in all references, of which attacks say nothing.
    """

    cells: dict[Cell, Evaluation] = field(default_factory=dict)
    intervals: dict[tuple[Any, ...], tuple[float, float]] = field(default_factory=dict)
    audited: dict[str, dict[Cell, Evaluation]] = field(default_factory=dict)
    ulira: dict[tuple[Access, float, str], list[Attacked]] = field(default_factory=dict)
    broken: dict[Cell, str] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)
    offline_a: float | None = None
    unfit: bool = False
    """Whether the reference models are there and cannot be compared with."""
    same: list[tuple[int, ...]] = field(default_factory=list)
    """Forget seeds that draw the same samples."""
    headline: str = HEADLINE
    audits: Mapping[str, registry.Plugin] = field(default_factory=dict)
    """The audits of models that there are, or are known, by name."""

    def lost_by(self, title: str) -> int:
        """Count the cells for which a metric or an attack could not be computed."""
        return sum(title in found.lost for found in self.cells.values())

    def lost(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield what could not be computed, by title, of which row, why, and for how many cells."""
        counts = Counter(
            (title, label, lost.why)
            for label, found in self._by_name()
            for title, lost in found.lost.items()
        )
        yield from ((*key, count) for key, count in counts.items())

    @property
    def passing(self) -> bool:
        """Whether anything could not be computed that may well be the next time."""
        return any(lost.passing for _, found in self._by_name() for lost in found.lost.values())

    def _by_name(self) -> Iterator[tuple[str, Evaluation]]:
        """Yield what was measured of each model, with its row and the audit that made it."""
        yield from ((cell.label, found) for cell, found in self.cells.items())
        for audit, cells in self.audited.items():
            yield from ((f"{cell.label} ({audit})", found) for cell, found in cells.items())

    def parts(self) -> Iterator[tuple[Cell, dict[str, Part]]]:
        """Yield what audits bring of each cell, those of models under names of their own."""
        for cell, found in self.cells.items():
            yield cell, {name: part for name, part in found.parts.items() if name != ACCURACY}
        for audit, cells in self.audited.items():
            compared = audit_settings(self.audits[audit]).compared
            for cell, found in cells.items():
                yield cell, found.of_model(audit, compared, self.headline)


def _row(cell: Cell) -> tuple[str, float, int, str]:
    return *cell.condition, cell.label


class Measurement:
    """Read the store and measure. Arrays are read where they are needed and not kept."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        attacks: list[str],
        headline: str = HEADLINE,
        audits: Mapping[str, registry.Plugin] | None = None,
    ) -> None:
        """Measure what `plan` describes and `store` holds; audits: as `Measured` has them."""
        self.plan, self.store, self.attacks, self.headline = plan, store, attacks, headline
        self.audits = registry.find("model_audits") if audits is None else audits
        self.sound = Sound(plan, store)
        self._samples: dict[tuple[str, int], Samples] = {}

    def finished(self, cells: Iterable[Cell] | None = None) -> list[Cell]:
        """List the cells that can be measured, by default of those of the tables."""
        return self.sound.cells(self.plan.cells if cells is None else cells)

    @cached_property
    def references(self) -> ReferenceModels | None:
        """The reference models, once all are there.

        Of half of them more would have been trained on some samples than on others, which biases
        every AUC: better none yet.
        """
        runs = self.plan.references
        if not runs or not all(map(self.sound.fits, runs)):
            return None
        needed = ("margin", "sm_taylor", "sm_taylor_exact", "member")
        found = ReferenceModels.join([self.store.signals(run, *needed) for run in runs])
        return found if found.usable else None

    def run(self) -> Measured:
        """Measure everything, on all cores: nearly all of the work lets go of Python's lock."""
        offline_a = self.references.offline_a if self.references else None
        measured = Measured(offline_a=offline_a, headline=self.headline, audits=self.audits)
        for cell, damage in self.sound.damage.items():
            if damage is not None:
                hint = "" if damage == OTHER_VERSION else " (unlearnbench run makes it again)"
                measured.broken[cell] = f"{damage}{hint}"
        measured.cells = self._evaluated(self.finished(), self.attacks, measured)
        for audit, cells in self.plan.audited.items():
            again = self._evaluated(self.finished(cells), [], measured)
            measured.audited[audit] = {replace(cell, run=""): again[cell] for cell in again}
        alike: dict[object, dict[Cell, Evaluation]] = {}
        for cell, evaluation in measured.cells.items():
            alike.setdefault((cell.access, self._forget_set(cell)), {})[cell] = evaluation
        for _ in _on_all_cores(self._add_distances, alike.values()):
            pass
        bank = self.plan.references
        there = bool(bank) and all(map(self.sound.fits, bank))
        measured.unfit = there and self.references is None
        measured.lacking = self._lacking(measured)
        if self.references:
            measured.left_out = np.flatnonzero(~self.references.known).tolist()
        measured.ulira = self._ulira()
        drawn: dict[tuple[float, int, int], set[int]] = {}
        for cell in measured.cells:
            drawn.setdefault(self._forget_set(cell), set()).add(cell.forget_set[-1])
        measured.same = sorted({tuple(sorted(seeds)) for seeds in drawn.values() if len(seeds) > 1})
        return measured

    def _evaluated(
        self, cells: list[Cell], attacks: list[str], measured: Measured
    ) -> dict[Cell, Evaluation]:
        """Evaluate cells, and tell `measured` what is broken.

        Row by row: what tens of thousands of retained samples bring to an AUC is averaged before
        the next row's is held. Those of audits have no such mean in any table.
        """
        by_row = sorted(cells, key=_row)
        evaluated = _on_all_cores(partial(self._cell, attacks=attacks), by_row)
        made: dict[Cell, Evaluation] = {}
        for row, of_row in groupby(zip(by_row, evaluated, strict=True), lambda pair: _row(pair[0])):
            groups: dict[str, list[Part]] = {}
            for cell, found in of_row:
                if isinstance(found, str):
                    measured.broken[cell] = found
                    continue
                for metric, part in found.groups.items():
                    groups.setdefault(metric, []).append(part)
                made[cell] = replace(found, groups={})
            if attacks:
                means = {metric: combine(parts) for metric, parts in groups.items()}
                measured.intervals |= {(*row, name): one.interval() for name, one in means.items()}
        return {cell: made[cell] for cell in cells if cell in made}

    def _forget_set(self, cell: Cell) -> tuple[float, int, int]:
        """Identify a forget set by what it holds: by the first seed that draws these samples."""
        return cell.fraction, cell.request, self._first.get(cell.split, cell.forget_set[-1])

    @cached_property
    def _first(self) -> dict[str, int]:
        """By split, the first forget seed that draws the same samples; a class has but one set."""
        contents: dict[tuple[float, int, bytes], list[Cell]] = {}
        for cell in {cell.split: cell for cell in self.finished()}.values():
            forget = np.sort(self.store.split(cell.split)["forget"])
            contents.setdefault((*cell.forget_set[:2], forget.tobytes()), []).append(cell)
        return {
            cell.split: min(other.forget_set[-1] for other in alike)
            for alike in contents.values()
            for cell in alike
        }

    def samples(self, cell: Cell, pool: int) -> Samples:
        """Return which samples of a pool of so many a cell is about."""
        key = (cell.split, pool)
        if key not in self._samples:
            split, record = self.store.split(cell.split), self.store.record(cell.run)
            train, test = record["train"], record["test"]
            forget, earlier = split["forget"], split["earlier"]
            retain = np.setdiff1d(np.arange(train), np.concatenate((forget, earlier)))
            tested, held_out = np.arange(train, train + test), np.arange(train + test, pool)
            others = held_out if len(held_out) else tested
            self._samples[key] = Samples(forget, retain, tested, others, earlier)
        return self._samples[key]

    def _cell(self, cell: Cell, attacks: list[str]) -> Evaluation | str:
        """Measure one cell, or say why it cannot be used."""
        signals = self.store.signals(cell.run)
        samples = self.samples(cell, len(signals["margin"]))
        if problem := broken(signals, samples, unlearned=cell.label != ORIGINAL):
            return problem
        logits = self._logits(cell, signals) if any(ATTACKS[a].of_class for a in attacks) else None
        view, twin = View(signals, samples, logits), self.plan.swapped.get(cell)
        swapped = None
        if twin and self.sound.fits(twin.run) and twin.split in self.sound.splits:
            stand_ins = self.store.split(twin.split)["forget"]
            swapped = View(self.store.signals(twin.run), samples), stand_ins
        forget_set = self._forget_set(cell)
        found = evaluate(view, self.references, attacks, forget_set, swapped, self.headline)
        return replace(
            found, forget_seed=forget_set[-1], no_op=self._is_no_op(cell, signals["margin"])
        )

    def _logits(self, cell: Cell, signals: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
        """Return a cell's logits if what is forgotten is a class, whose samples can be told."""
        known = {"class": "label", "subclass": "subclass"}  # which older runs have not stored
        kinds = {node.spec.split.kind for node in self.plan.nodes.values() if node.spec.split}
        told = any(known.get(kind) in signals for kind in kinds)
        return self.store.logits(cell.run) if told else None

    def _lacking(self, measured: Measured) -> dict[str, int]:
        """Count the cells without an attack for which there are references if it needs any."""
        made = Counter(attack for found in measured.cells.values() for attack in found.attacks)
        return {
            attack: count
            for attack in dict.fromkeys([self.headline, *self.attacks])
            if not (ATTACKS[attack].of_class or is_absent("attack", attack))
            if self.references is not None or not ATTACKS[attack].references
            if (
                count := len(measured.cells) - made[attack] - measured.lost_by(attack_title(attack))
            )
        }

    def _is_no_op(self, cell: Cell, margin: NDArray[Any]) -> bool:
        """Say whether a run gave back the very model it was given: no margin differs by 0.001.

        To the last bit they need not agree: weights that have been stored lie otherwise in memory,
        and sums are taken in another order.
        """
        start = self.plan.nodes[cell.run].spec.start
        if start is None or not self.sound.fits(start):
            return False
        return bool(np.abs(self._margin(start) - margin).max() < NO_CHANGE)

    def _margin(self, run: str) -> NDArray[Any]:
        return self.store.signals(run, "margin")["margin"]

    def _add_distances(self, cells: dict[Cell, Evaluation]) -> None:
        """Add to each cell's values its mean distance to retrains; all are on one forget set."""
        metrics = sorted(of_type(ToRetrain), key=lambda metric: metric.part)
        retrains = {cell: self._outputs(cell) for cell in cells if cell.label == RETRAIN}
        for cell, found in cells.items():
            others = {other: out for other, out in retrains.items() if other.run != cell.run}
            if others:
                own = retrains.get(cell) or self._outputs(cell)
                for metric in metrics:
                    computed = partial(_mean_distance, metric, own, [*others.values()])
                    note(found.values, metric.name, attempt(metric.title, computed, found.lost))
        for label in {cell.label for cell in cells}:
            alike = [cell for cell in cells if cell.label == label]
            rows, ideal = alike, list(retrains)
            if label == RETRAIN:  # compared with itself it would look closer than it is
                rows, ideal = ideal[::2], ideal[1::2]
            lost: dict[str, Lost] = {}
            of_row = self._of_models(rows, ideal, lost)
            for cell in alike:
                cells[cell].values.update(of_row)
                cells[cell].lost.update(lost)

    def _outputs(self, cell: Cell) -> OfSamples:
        """Return by `ToRetrain.output` and part what a model says of forget and test samples."""
        margin, logits = self._margin(cell.run), self.store.logits(cell.run)
        samples, outputs = self.samples(cell, len(margin)), OfSamples()
        for part in ("forget", "test"):
            index = getattr(samples, part)
            outputs["margin", part] = margin[index]
            outputs["logits", part] = logits[index]
            outputs["probabilities", part] = softmax(logits[index].astype(np.float64), axis=1)
        return outputs

    def _of_models(
        self, alike: list[Cell], retrains: list[Cell], lost: dict[str, Lost]
    ) -> dict[str, float]:
        """Compute what needs many models of a row, and as many retrains, on one forget set."""
        fewest = min(len(alike), len(retrains))
        metrics = [metric for metric in of_type(OfModels) if fewest >= metric.least]
        if not metrics:
            return {}
        rows, ideal = (
            np.stack([self._margin(cell.run) for cell in cells]) for cells in (alike, retrains)
        )
        samples, values = self.samples(alike[0], rows.shape[1]), dict[str, float]()
        for metric in metrics:
            part = getattr(samples, metric.part)
            computed = partial(metric.function, rows[:, part], ideal[:, part])
            note(values, metric.name, attempt(metric.title, computed, lost))
        return values

    def _ulira(self) -> dict[tuple[Access, float, str], list[Attacked]]:
        """Attack the shadow worlds of every row of which all worlds are finished."""
        worlds: dict[tuple[Access, float, str], list[Cell]] = {}
        for cell in self.plan.shadows:
            worlds.setdefault((cell.access, cell.fraction, cell.label), []).append(cell)
        return {
            row: ulira(
                [self._margin(cell.run) for cell in cells],
                [self.store.split(cell.split)["forget"] for cell in cells],
            )
            for row, cells in worlds.items()
            if all(self.sound.fits(cell.run) and cell.split in self.sound.splits for cell in cells)
        }


def _mean_distance(metric: ToRetrain, own: OfSamples, retrains: Sequence[OfSamples]) -> float:
    """Return how far what a model says is from what retrains say, on average."""
    key = metric.output, metric.part
    return float(np.mean([metric.function(own[key], out[key]) for out in retrains]))


def _on_all_cores(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what `work` returns for each item, in their order; threads do it beside each other."""
    from joblib import Parallel, delayed  # slow to import, and often all is measured already

    threads = Parallel(n_jobs=-1, prefer="threads", return_as="generator")
    done: Any = threads(delayed(work)(item) for item in items)
    yield from done
