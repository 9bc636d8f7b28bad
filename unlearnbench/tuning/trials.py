"""What became of the trials: values, costs, and which one is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN, Plan
from unlearnbench.storage.store import Store
from unlearnbench.tuning.candidates import Candidate, Settings
from unlearnbench.tuning.criterion import Criterion, measure


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
