"""The benchmark that trials run on, what became of them, and which one is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import HEADLINE
from unlearnbench.errors import UserError
from unlearnbench.evaluation.measure import Measurement
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.metrics.metric import GROUP
from unlearnbench.planning.benchmark import TERMS, Benchmark
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN, Plan
from unlearnbench.storage.store import Store
from unlearnbench.tuning.candidates import Candidate, Settings

FIRST_SEED = 1001
"""Of originals, forget sets and runs of trials, which share training data with reports alone."""


def require_apart(benchmark: Benchmark, seeds: list[int]) -> None:
    """Raise UserError where tuning would see what is reported."""
    own = benchmark.seeds
    reported = {*own.originals, *own.forget, *own.runs, benchmark.references.seed}
    if shared := sorted(reported.intersection(seeds)):
        raise UserError(
            f"Tuning takes seeds {seeds[0]} to {seeds[-1]}, but this benchmark reports on"
            f" {', '.join(map(str, shared))}: what is reported must not be used for choosing.",
            "Give the benchmark other [seeds].",
        )
    if benchmark.data.evaluate != "test":
        raise UserError(
            "This benchmark reports on its validation samples, so there are none to tune on.",
            "Set data.evaluate to test.",
        )
    if not benchmark.data.validation:
        raise UserError(
            f"Benchmark {benchmark.name} has no validation samples, on which trials are judged"
            " in place of the test samples.",
            "Set some of its training samples aside: --set data.validation=500, or for good in its"
            " file.",
        )


def trial_benchmark(raw: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """Return a parsed benchmark as trials run it: other seeds, validation in place of test samples.

    The references are others too: a bank of the same seed trains on the same halves of the training
    data, and what is chosen would suit that bank.
    """
    changed = {
        "name": f"{raw['name']}-tuning",
        "title": f"{raw['title']} (tuning)",
        "data": raw["data"] | {"evaluate": "validation"},
        "seeds": raw["seeds"]
        | {"originals": seeds, "forget": seeds, "runs": seeds, "pairing": "zip"},
        "references": raw.get("references", {}) | {"seed": seeds[0]},
        "attacks": [HEADLINE],
        "controls": False,
        "curves": False,
        "swap": False,
        "ulira": {},
    }
    kept = {key: value for key, value in raw.items() if key not in ("published", "tuning")}
    return kept | changed


LOST = ("retain_accuracy", "test_accuracy")
"""Accuracies that a request to forget should not cost."""


@dataclass(frozen=True)
class Criterion:
    """Name a way of choosing, for a table's heading and for the reader.

    value: of runs (one row each, as `measure` returns them) and the terms of the average gap, the
    value of each run in points; NaN where something it needs is lacking.
    """

    heading: str
    words: str
    value: Callable[[pd.DataFrame, list[str]], pd.Series[float]]
    retrains: bool


def measure(plan: Plan, store: Store) -> pd.DataFrame:
    """Return one row a finished cell of the plan: label, setting, seeds, run and metrics."""
    found = Measurement(plan, store, []).run().cells
    return pd.DataFrame(
        {
            "label": cell.label,
            "access": cell.access,
            "fraction": cell.fraction,
            "request": cell.request,
            "original_seed": cell.seeds[0] if len(cell.seeds) == 3 else None,
            "forget_seed": cell.seeds[-2],
            "run": cell.run,
            **evaluation.values,
        }
        for cell, evaluation in found.items()
    )


def gap(runs: pd.DataFrame, terms: list[str]) -> pd.Series[float]:
    """Return each run's average gap to the models retrained on its forget set."""
    return with_gaps(runs, terms)["avg_gap"]


def blind(runs: pd.DataFrame, terms: list[str]) -> pd.Series[float]:
    """Return what can be said of each run without retraining: a mean of three numbers in points.

    How far FT AUC is from 50, where an attack that guesses is, and what is lost of retain and of
    test accuracy against the original; what is gained counts as nothing lost. Forget accuracy is
    not among them: where it should be, only retraining tells. `terms` play no part.
    """
    keys = [*GROUP, "original_seed", "forget_seed"]
    originals = runs[runs["label"] == ORIGINAL].set_index(keys)[list(LOST)]
    before = runs[keys].join(originals, on=keys)[list(LOST)]
    lost = (before - runs[list(LOST)]).clip(lower=0)
    attacked = runs.get("ft_auc", pd.Series(np.nan, runs.index))
    return ((attacked - 50).abs() + lost.sum(axis=1, skipna=False)) / (1 + len(LOST))


GAP = Criterion(
    "Avg gap ↓", "smallest average gap to the models retrained on these seeds", gap, retrains=True
)
BLIND = Criterion(
    "Blind score ↓",
    "blind, no model was retrained for it: smallest mean of the distance of FT AUC to 50 and of"
    " the points of retain and validation accuracy lost against the original",
    blind,
    retrains=False,
)


@dataclass(frozen=True)
class Trial:
    """Hold one trial of a method.

    value: what it is judged by, None if any of its runs failed; metrics: means over its runs;
    seconds: by run, of those that finished.
    """

    method: str
    number: int
    settings: Settings
    value: float | None
    metrics: dict[str, float]
    seconds: dict[str, float]


@dataclass
class Tuned:
    """Hold all trials of all methods, and what frames their values.

    values: of the original, which forgot nothing, and of retrain against retrain; retrains: seconds
    of each retraining, none if they were not used.
    """

    candidates: list[Candidate]
    criterion: Criterion
    trials: list[Trial] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    retrains: list[float] = field(default_factory=list)

    def of(self, method: str) -> list[Trial]:
        """Return a method's trials, the defaults first."""
        return [trial for trial in self.trials if trial.method == method]

    def chosen(self, method: str) -> Trial | None:
        """Return the trial with the smallest value, the first of equals; None if all failed."""
        judged = [trial for trial in self.of(method) if trial.value is not None]
        return min(judged, key=lambda trial: trial.value or 0.0, default=None)

    def seconds(self, method: str) -> float:
        """Return the seconds of a method's trials; a run that two of them share counts once."""
        runs = {run: time for trial in self.of(method) for run, time in trial.seconds.items()}
        return sum(runs.values())

    def add(
        self,
        asked: dict[str, tuple[Candidate, int, Settings]],
        plan: Plan,
        store: Store,
        terms: list[str],
    ) -> dict[str, list[float | None]]:
        """Judge the trials of one round, given by the labels of their rows in the plan.

        Returns their values in order, by method.
        """
        values: dict[str, list[float | None]] = {}
        runs = measure(plan, store)
        runs["value"] = self.criterion.value(runs, terms)
        seconds = {run: store.record(run)["seconds"]["total"] for run in runs["run"]}
        for label, (candidate, number, settings) in asked.items():
            own = runs[runs["label"] == label]
            whole = len(own) == sum(cell.label == label for cell in plan.cells)
            judged = whole and own["value"].notna().all()
            value = float(own["value"].mean()) if judged else None
            values.setdefault(candidate.name, []).append(value)
            self.trials.append(
                Trial(
                    candidate.name,
                    number,
                    settings,
                    value,
                    {term: float(own[term].mean()) for term in TERMS if term in own},
                    {run: seconds[run] for run in own["run"]},
                )
            )
        for label in (ORIGINAL, RETRAIN):
            own = runs[runs["label"] == label]
            if len(own):
                self.values[label] = float(own["value"].mean())
        retrained = runs["run"][runs["label"].isin([RETRAIN, HELD_OUT])].unique()
        self.retrains = [seconds[run] for run in retrained]
        return values
