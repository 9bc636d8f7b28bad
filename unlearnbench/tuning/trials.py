"""The benchmark that trials run on, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.audits.attacks import HEADLINE
from unlearnbench.errors import UserError
from unlearnbench.evaluation.frames import run_columns
from unlearnbench.evaluation.measure import Measurement
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.metrics.metric import GROUP
from unlearnbench.planning.benchmark import TERMS, Benchmark
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN, Plan
from unlearnbench.storage.store import Store
from unlearnbench.tuning.candidates import Candidate

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
        "attacks": [raw.get("headline", HEADLINE)],
        "controls": False,
        "curves": False,
        "swap": False,
        "ulira": {},
        "model_audits": {},
    }
    kept = {key: value for key, value in raw.items() if key not in ("published", "tuning")}
    return kept | changed


LOST = ("retain_accuracy", "test_accuracy")
"""Accuracies that a request to forget should not cost."""


@dataclass(frozen=True)
class Criterion:
    """Name what trials are judged by, for a table's heading and for the reader; smaller is better.

    value: of runs (one row each, as `measure` returns them) and the terms of the average gap, the
    value of each run in points; NaN where something it needs is lacking.
    """

    heading: str
    words: str
    value: Callable[[pd.DataFrame, list[str]], pd.Series[float]]


def measure(plan: Plan, store: Store, headline: str) -> pd.DataFrame:
    """Return one row a finished cell of the plan: label, setting, seeds, run and metrics.

    headline: the attack behind the AUCs.
    """
    measured = Measurement(plan, store, [], headline).run().cells
    return pd.DataFrame([run_columns(cell) | found.values for cell, found in measured.items()])


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


GAP = Criterion("Avg gap ↓", "average gap to the models retrained on these seeds", gap)
BLIND = Criterion(
    "Blind score ↓",
    "blind, no model was retrained for it: mean of the distance of FT AUC to 50 and of"
    " the points of retain and validation accuracy lost against the original",
    blind,
)


@dataclass
class Tuned:
    """Hold what tuning was asked for and what came out.

    command: what to type to choose the same again; limit: trials of every method; seeds: those that
    each is tried on; benchmark: the one whose methods are tuned; values: of the original, which
    forgot nothing, and of retrain against retrain; retrains: seconds of each retraining, none if
    they were not used; whole: whether no run failed.
    """

    command: str
    limit: int
    seeds: list[int]
    benchmark: Benchmark
    candidates: list[Candidate]
    criterion: Criterion
    values: dict[str, float] = field(default_factory=dict)
    retrains: list[float] = field(default_factory=list)
    whole: bool = True

    @property
    def span(self) -> str:
        """The tuning seeds, in words."""
        first, last = self.seeds[0], self.seeds[-1]
        return f"seed {first}" if first == last else f"seeds {first} to {last}"

    @property
    def samples(self) -> str:
        """What plays the test set, in words."""
        count = self.benchmark.data.validation
        return f"the benchmark's {count:,} validation samples in place of its test samples"

    def judge(self, start: int, plan: Plan, store: Store) -> None:
        """Say how the trials from number `start` on did, whose runs are in the plan."""
        runs = measure(plan, store, self.benchmark.headline)
        runs["value"] = self.criterion.value(runs, self.benchmark.gap_terms)
        runs["seconds"] = [store.record(run)["seconds"]["total"] for run in runs["run"]]
        by_label = {str(label): own for label, own in runs.groupby("label")}
        for trial in (trial for one in self.candidates for trial in one.trials[start:]):
            own = by_label.get(trial.label, runs[:0])
            whole = len(own) == sum(cell.label == trial.label for cell in plan.cells)
            if whole and own["value"].notna().all():
                means = own.groupby("forget_seed")["value"].mean()
                trial.by_set = {int(str(seed)): float(mean) for seed, mean in means.items()}
            trial.metrics = {term: float(own[term].mean()) for term in TERMS if term in own}
            trial.seconds = dict(zip(own["run"], own["seconds"], strict=True))
        for label in (ORIGINAL, RETRAIN):
            if label in by_label:
                self.values[label] = float(by_label[label]["value"].mean())
        retrained = runs[runs["label"].isin([RETRAIN, HELD_OUT])].drop_duplicates("run")
        self.retrains = retrained["seconds"].tolist()
