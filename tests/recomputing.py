"""What audits see in a store and what follows for means of it, in plain numpy by definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from unlearnbench.planning.plan import Cell, Plan
from unlearnbench.storage.store import Store

Numbers = tuple[np.ndarray, np.ndarray]
"""Two arrays of one model, of its forget samples and of its non-members."""
READ = {"auc": "rmia", "accuracy": "forget-accuracy", "confidence": "forget-confidence"}
"""What is read of the models that an audit of models makes, by how the audit's name ends."""


def maker(audit: str) -> str:
    """Name what made the models that an audit looks at: relearning, of relearning-auc."""
    return audit.rpartition("-")[0]


@dataclass
class Mean:
    """A mean over runs: its value, and the errors and degrees of freedom of its t-tests."""

    value: float
    tests: list[tuple[float, float]]

    def half(self, level: float) -> float:
        return max(stats.t.ppf(1 - level / 2, df) * error for error, df in self.tests)

    @property
    def p(self) -> float:
        def one(error: float, df: float) -> float:
            if error == 0:
                return float(self.value == 0)
            return float(2 * stats.t.sf(abs(self.value) / error, df))

        return max(one(*test) for test in self.tests)


@dataclass
class Shares:
    """The models behind a row's runs: its originals, whatever was made of them, or retrains."""

    sets: dict[object, set[int]] = field(default_factory=dict)

    def add(self, cell: Cell, forget_set: int) -> None:
        """Note a run on a forget set."""
        own = cell.seeds[:1] if len(cell.seeds) > 2 else cell.seeds
        self.sets.setdefault((cell.label, *own), set()).add(forget_set)

    @property
    def shared(self) -> bool:
        """Whether a model is behind runs on several sets."""
        return any(len(sets) > 1 for sets in self.sets.values())


class World:
    """What audits see of every model of a store, and means of it."""

    def __init__(self, plan: Plan, store: Store, train: int, test: int) -> None:
        self.plan, self.store = plan, store
        self.train, self.test, self.n = train, test, train + test
        bank = [store.signals(run) for run in plan.references]
        sure = [1 / (1 + np.exp(-one["margin"].astype(float))) for one in bank]
        self.inside, self.outside = (
            np.array(
                [
                    np.mean(
                        [c[i] for c, one in zip(sure, bank, strict=True) if one["member"][i] == m]
                    )
                    for i in range(self.n)
                ]
            )
            for m in (True, False)
        )
        self.seen: dict[tuple[str, str], Numbers] = {}

    def cells(self, audit: str, label: str) -> list[Cell]:
        """The models that an audit looks at: of a row, or what the audit made of them."""
        made = self.plan.shadows if audit == "u-lira" else self.plan.audited.get(maker(audit))
        return [cell for cell in made or self.plan.cells if cell.label == label]

    def forget_set(self, audit: str, cell: Cell) -> int:
        """The seed of the forget set, or the number of U-LiRA's world."""
        return cell.seeds[-1 if audit == "u-lira" else -2]

    def forget(self, cell: Cell) -> np.ndarray:
        return self.store.split(cell.split)["forget"]

    def at(self, audit: str, cell: Cell) -> Numbers:
        """The forget samples and the non-members that are looked at."""
        forget, others = self.forget(cell), np.arange(self.train, self.n)
        if audit == "memorised":
            return forget[self.tenth(cell)], others
        if audit == "class":
            label = self.store.signals(cell.run)["label"]
            return forget, others[label[others] == label[forget[0]]]
        if audit == "u-lira":
            every = self.cells(audit, cell.label)
            return forget, np.setdiff1d(np.concatenate([self.forget(one) for one in every]), forget)
        return forget, others

    def tenth(self, cell: Cell) -> np.ndarray:
        """Mark the tenth of the forget samples that references memorise most."""
        forget = self.forget(cell)
        order = np.argsort((self.inside - self.outside)[forget], kind="stable")
        marked = np.zeros(len(forget), dtype=bool)
        marked[order[math.ceil(0.9 * len(forget)) :]] = True
        return marked

    def brings(self, audit: str, cell: Cell) -> Numbers:
        key = audit, cell.run + cell.split
        if key not in self.seen:
            self.seen[key] = self._brings(audit, cell)
        return self.seen[key]

    def _brings(self, audit: str, cell: Cell) -> Numbers:
        if maker(audit) in self.plan.audited:
            return self._brings(READ[audit.rpartition("-")[2]], cell)
        if audit == "forget-accuracy":
            right = self.store.signals(cell.run)["correct"]
            return 100.0 * right[self.forget(cell)], np.empty(0)
        margin = self.store.signals(cell.run)["margin"].astype(float)
        sure = 1 / (1 + np.exp(-margin))
        if audit == "forget-confidence":
            return 100 * sure[self.forget(cell)], np.empty(0)
        if audit == "test-confidence":
            return np.empty(0), 100 * sure[self.train :]
        scores = margin if "loss" in audit else 2 * sure / (self.inside + self.outside)
        if audit == "u-lira":
            scores = self._ratios(cell)
        if audit == "class":
            scores = self._shares(cell)
        ours, theirs = (scores[index] for index in self.at(audit, cell))
        if audit.startswith("tpr-"):

            def rate(fpr: float) -> tuple[float, np.ndarray]:
                allowed = [t for t in theirs if (theirs > t).sum() <= fpr * self.test + 1e-9]
                hits = ours > min(allowed)
                return min(allowed), 100.0 * hits

            threshold, hits = rate(0.01)
            slope = (rate(0.015)[1].mean() - rate(0.005)[1].mean()) / 0.01
            above = (theirs > threshold).astype(float)
            return hits, hits.mean() - slope * (above - above.mean())
        wins = 100 * ((ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs))
        return wins.mean(axis=1), wins.mean(axis=0)

    def _shares(self, cell: Cell) -> np.ndarray:
        """How much of the other classes the nearest one leaves, for each sample."""
        logits = self.store.logits(cell.run).astype(float)
        label, scores = self.store.signals(cell.run)["label"], np.empty(self.n)
        for i, row in enumerate(logits):
            rest = np.exp(np.delete(row, label[i]))
            scores[i] = -np.log(rest.max() / rest.sum())
        return scores

    def _ratios(self, cell: Cell) -> np.ndarray:
        """U-LiRA: Gaussians of the other half of the worlds, one variance for all samples."""
        worlds = self.cells("u-lira", cell.label)
        first = worlds[: len(worlds) // 2]
        fitted = worlds[len(first) :] if cell in first else first
        audited = np.sort(np.concatenate(self.at("u-lira", cell)))
        values = {w.run: self.store.signals(w.run)["margin"].astype(float) for w in worlds}
        parts = []
        for is_seen in (True, False):
            runs = {
                i: [values[w.run][i] for w in fitted if (i in self.forget(w)) == is_seen]
                for i in audited
            }
            squares = sum(np.var(own) * len(own) for own in runs.values())
            spread = math.sqrt(squares / sum(len(own) - 1 for own in runs.values()))
            middle = np.array([np.mean(own) for own in runs.values()])
            parts.append(stats.norm.logpdf(values[cell.run][audited], middle, spread))
        scores = np.full(self.n, np.nan)
        scores[audited] = parts[0] - parts[1]
        return scores

    def gap(self, audit: str, cell: Cell) -> Numbers:
        """What a model brings less the mean of what the retrains on its forget set bring."""
        own = self.brings(audit, cell)
        if audit == "u-lira":
            return own[0] - 50, own[1] - 50
        retrains, seed = self.cells(audit, "retrain"), cell.seeds[-2]
        alike = [self.brings(audit, one) for one in retrains if one.seeds[-2] == seed]
        assert len(alike) == 2
        return own[0] - sum(one[0] for one in alike) / 2, own[1] - sum(one[1] for one in alike) / 2

    def original(self, audit: str, cell: Cell) -> list[Cell]:
        """The original a run began with, or, for a retrain, all that are seen on its forget set."""
        originals = self.cells(audit, "original")
        if audit == "u-lira":
            return [one for one in originals if one.seeds == cell.seeds]
        if len(cell.seeds) > 2:
            return [one for one in originals if one.seeds[:2] == cell.seeds[:2]]
        return [one for one in originals if one.seeds[1] == self.forget_set(audit, cell)]

    def weighted(self, audit: str, label: str, a: float, b: float) -> Mean:
        """The mean of a times a row's gap and b times that of the originals."""
        runs, shares = [], [Shares(), Shares()]
        for cell in self.cells(audit, label):
            own = self.gap(audit, cell)
            originals = self.original(audit, cell)
            leaks = [self.gap(audit, one) for one in originals]
            whole = [sum(leak[side] for leak in leaks) / len(leaks) for side in (0, 1)]
            runs.append((cell, (a * own[0] + b * whole[0], a * own[1] + b * whole[1])))
            shares[0].add(cell, self.forget_set(audit, cell))
            for one in originals:
                shares[1].add(one, self.forget_set(audit, cell))
        return self.mean(audit, runs, [(a, shares[0]), (b, shares[1])])

    def mean(
        self, audit: str, runs: list[tuple[Cell, Numbers]], of: Sequence[tuple[float, Shares]] = ()
    ) -> Mean:
        """Average over runs, with the noise of samples, counted once each, and of forget sets.

        of: the weights and models of what is added up. Where sets share models, also their noise.
        """
        influence, fewest = np.zeros((2, self.n)), [math.inf, math.inf]
        by_set: dict[int, list[float]] = {}
        for cell, values in runs:
            at = self.at(audit, cell)
            for side in (0, 1):
                if len(values[side]):
                    centred = (values[side] - values[side].mean()) / len(values[side])
                    influence[side][at[side]] += centred / len(runs)
                    fewest[side] = min(fewest[side], len(values[side]))
            filled = values[0] if len(values[0]) else values[1]
            by_set.setdefault(self.forget_set(audit, cell), []).append(float(filled.mean()))
        of_forget, of_others = (
            (row**2).sum() * (m / (m - 1) if m < math.inf else 0)
            for row, m in zip(influence, fewest, strict=True)
        )
        means, sets = [np.mean(values) for values in by_set.values()], len(by_set)
        between = float(np.var(means, ddof=1) / sets)
        total = max(between, of_forget) + of_others
        df = (sets - 1) * (total / between) ** 2 if between > 0 else math.inf
        value = float(np.mean([value for values in by_set.values() for value in values]))
        tests = [(math.sqrt(total), df), (math.sqrt(between), sets - 1)]
        if any(shares.shared for _, shares in of):
            tests.append(self._of_models(audit, of))
        return Mean(value, tests)

    def _of_models(self, audit: str, of: Sequence[tuple[float, Shares]]) -> tuple[float, float]:
        """The error of a mean over models that scatter as retrains do, less the retrains' mean."""
        by_set: dict[int, list[float]] = {}
        for cell in self.cells(audit, "retrain"):
            own = self.brings(audit, cell)
            filled = own[0] if len(own[0]) else own[1]
            by_set.setdefault(cell.seeds[-2], []).append(float(filled.mean()))
        df = sum(len(values) - 1 for values in by_set.values())
        variance = sum(((np.array(v) - np.mean(v)) ** 2).sum() for v in by_set.values()) / df
        weights: dict[object, float] = {}
        for weight, shares in of:
            for model in shares.sets:
                weights[model] = weights.get(model, 0.0) + weight / len(shares.sets)
            for seed, values in by_set.items():
                for number in range(len(values)):
                    key = "retrain", seed, number
                    share = weight / (len(by_set) * len(values))
                    weights[key] = weights.get(key, 0.0) - share
        return math.sqrt(variance * sum(w**2 for w in weights.values())), df


def adjusted(p: list[float]) -> list[float]:
    """Holm by its definition: p_all is the largest of (m - k) p_(k) up to its own place."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    return [
        min(1.0, max((len(p) - k) * p[j] for k, j in enumerate(order) if k <= order.index(i)))
        for i in range(len(p))
    ]
