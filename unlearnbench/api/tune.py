"""Choose settings: rounds of trials of all methods together, run as any benchmark is."""

import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unlearnbench.api.request import Request
from unlearnbench.api.session import Listener, make
from unlearnbench.errors import UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.planning.plan import RETRAIN, Plan
from unlearnbench.planning.rows import resolve
from unlearnbench.storage.store import Store
from unlearnbench.tuning import outcome
from unlearnbench.tuning.candidates import (
    ROUND,
    Candidate,
    Sampler,
    Settings,
    candidates,
    unsearched,
)
from unlearnbench.tuning.trials import BLIND, FIRST_SEED, GAP, Tuned, require_apart, trial_benchmark

Trials = dict[str, tuple[Candidate, int, Settings]]
"""The trials of a round by the labels of their rows: of what, which one, with which settings."""


@dataclass
class Tuning:
    """Hold what tuning was asked for, and say how it went.

    name: the benchmark as it was given; trials: settings tried of every method; seeds: on how many;
    blind: without retrained models; whole: whether no run failed.
    """

    name: str
    request: Request
    trials: int = 16
    seeds: int = 4
    blind: bool = False
    whole: bool = field(default=True, init=False)

    @cached_property
    def about(self) -> outcome.About:
        """How it was done, for its table and its log."""
        seeds = list(range(FIRST_SEED, FIRST_SEED + self.seeds))
        return outcome.About(self._command, self.trials, seeds, self._benchmark)

    @property
    def folder(self) -> str:
        """The name of the folder that its log goes to."""
        return str(self._behind["name"]) + ("-blind" if self.blind else "")

    @property
    def _command(self) -> str:
        """What to type to choose the same settings again."""
        words = ["unlearnbench", "tune", self.name]
        if self.request.asked.labels is not None:
            words += ["--methods", ",".join(self.request.asked.labels)]
        words += ["--trials", str(self.trials), "--seeds", str(self.seeds)]
        words += ["--blind"] if self.blind else []
        words += [word for one in self.request.assignments for word in ("--set", one)]
        words += [word for one in self.request.plugins for word in ("--plugin", str(one))]
        return shlex.join(words)

    @cached_property
    def _raw(self) -> dict[str, Any]:
        """The benchmark's file; of the settings that are searched only those under --set stay."""
        raw, plugins = self.request.setup.raw, self.request.asked.plugins
        changed = raw | {"methods": unsearched(reading.validate(raw).methods, plugins)}
        changed["plugins"] = self.request.asked.raw["plugins"]
        reading.change(changed, self.request.assignments, plugins)
        return changed

    @cached_property
    def _benchmark(self) -> Benchmark:
        return reading.validate(self._raw)

    @cached_property
    def _behind(self) -> dict[str, Any]:
        """The benchmark that trials run on: it shares nothing with what is reported."""
        return trial_benchmark(self._raw, self.about.seeds)

    def run(self, listener: Listener) -> Tuned | None:
        """Run the trials that are missing; None where something failed that all are judged with.

        Raises UserError where there is nothing to tune, or tuning would see what is reported.
        """
        plugins = self.request.asked.plugins
        require_apart(self._benchmark, self.about.seeds)
        tunable, left = candidates(self._benchmark, plugins, self.request.asked.labels)
        for method, why in left.items():
            listener.told(f"! {method} is left out: {why.rstrip('.')}.")
        if not tunable:
            raise UserError("There is no method to tune.", "See: unlearnbench methods NAME.")
        searches = {candidate.name: Sampler(candidate) for candidate in tunable}
        tuned = Tuned(tunable, BLIND if self.blind else GAP)
        listener.told(outcome.opening(tuned, self.about))
        for start in range(0, self.trials, ROUND):
            numbers = range(start, min(start + ROUND, self.trials))
            problem = self._round(tuned, searches, numbers, listener)
            if problem is not None:
                listener.told(f"! {problem}")
                return None
        return tuned

    def _round(
        self, tuned: Tuned, searches: dict[str, Sampler], numbers: range, listener: Listener
    ) -> str | None:
        """Ask for the next trials, make and judge them, and tell the searches.

        Returns what is lacking where something failed that every trial is judged with.
        """
        trials = _ask(tuned.candidates, searches, numbers)
        planned = self._planned(trials)
        store = Store((self.request.results / planned.benchmark.name).resolve())
        turn, turns = numbers[0] // ROUND + 1, -(-self.trials // ROUND)
        heading = f"{planned.benchmark.name}, round {turn} of {turns}"
        self.whole &= make(self.request, planned, store, listener, heading)
        if lacking := _lacking(planned.plan, store, trials):
            return (
                f"No trial can be judged without {', '.join(lacking)}, which failed: see error.txt"
                f" below {store.folder / 'runs'}, and remove its folder to try again."
            )
        values = tuned.add(trials, planned.plan, store, planned.benchmark.gap_terms)
        for method, search in searches.items():
            search.tell(values[method])
        return None

    def _planned(self, trials: Trials) -> Planned:
        """Expand the trials of a round, without the yardstick if they are judged without it."""
        plugins = self.request.asked.plugins
        rows = {
            label: {"method": candidate.name} | candidate.fixed | settings
            for label, (candidate, _, settings) in trials.items()
        }
        raw = reading.validate(self._behind | {"methods": rows})
        behind, _ = resolve(raw, plugins, list(rows))
        if self.blind:
            kept = {label: row for label, row in behind.methods.items() if label != RETRAIN}
            behind = behind.model_copy(update={"methods": kept})
        return expand(behind, plugins)


def _ask(tunable: list[Candidate], searches: dict[str, Sampler], numbers: range) -> Trials:
    """Return the next trials of all methods."""
    return {
        f"{candidate.name}.{number:02d}": (candidate, number, settings)
        for candidate in tunable
        for number, settings in zip(
            numbers, searches[candidate.name].ask(len(numbers)), strict=True
        )
    }


def _lacking(plan: Plan, store: Store, trials: Trials) -> list[str]:
    """List what every trial is judged with and could not be made."""
    return [
        f"{node.label} ({store.run_folder(node.spec).name})"
        for run, node in plan.nodes.items()
        if node.label not in trials and not store.done(run)
    ]
