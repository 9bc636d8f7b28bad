"""What the command `tune` does: rounds of trials of all methods together, on the scheduler."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from unlearnbench import registry
from unlearnbench.commands.display import Display
from unlearnbench.commands.request import Request, read_with_plugins
from unlearnbench.commands.run import OK, SOME_FAILED, make
from unlearnbench.errors import UnlearnBenchError, UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.planning.plan import RETRAIN, Plan
from unlearnbench.planning.rows import resolve
from unlearnbench.storage.store import Store
from unlearnbench.tuning import firewall, outcome
from unlearnbench.tuning.candidates import Candidate, Settings, candidates, unsearched
from unlearnbench.tuning.criterion import BLIND, GAP
from unlearnbench.tuning.search import ROUND, Search
from unlearnbench.tuning.trials import Tuned

Plugins = dict[str, registry.Plugin]


class _YardstickError(UnlearnBenchError):
    """Report that what every trial is judged with could not be made."""


@dataclass(frozen=True)
class Tuning:
    """Hold what the user typed after `unlearnbench tune`."""

    benchmark: str
    data: Path
    results: Path
    reports: Path
    trials: int
    seeds: int
    methods: list[str] | None = None
    blind: bool = False
    assignments: list[str] = field(default_factory=list)
    plugins: list[Path] = field(default_factory=list)
    devices: str = "auto"
    jobs_per_device: int | None = None

    @property
    def command(self) -> str:
        """What to type to choose the same settings again."""
        words = ["unlearnbench", "tune", self.benchmark]
        words += ["--methods", ",".join(self.methods)] if self.methods is not None else []
        words += ["--trials", str(self.trials), "--seeds", str(self.seeds)]
        words += ["--blind"] if self.blind else []
        words += [word for one in self.assignments for word in ("--set", one)]
        words += [word for one in self.plugins for word in ("--plugin", str(one))]
        return shlex.join(words)


def tune(asked: Tuning) -> int:
    """Run the trials that are missing, choose, and write it down; return the exit code."""
    display = Display(Console())
    raw, benchmark, plugins = _read(asked)
    seeds = list(range(firewall.FIRST, firewall.FIRST + asked.seeds))
    firewall.check(benchmark, seeds)
    found, left = candidates(benchmark, plugins, asked.methods)
    display.notes(f"{name} is left out: {why.rstrip('.')}." for name, why in left.items())
    if not found:
        raise UserError("There is no method to tune.", "See: unlearnbench methods NAME.")
    searches = {one.name: Search(one) for one in found}
    tuned = Tuned(found, BLIND if asked.blind else GAP)
    about = outcome.About(asked.command, asked.trials, seeds, benchmark)
    display.console.print(outcome.opening(tuned, about))

    raw = firewall.behind(raw, seeds)
    whole = True
    for start in range(0, asked.trials, ROUND):
        numbers = range(start, min(start + ROUND, asked.trials))
        try:
            whole &= _round(asked, tuned, searches, numbers, raw, plugins, display)
        except _YardstickError as error:
            display.notes([str(error)])
            return SOME_FAILED

    folder = asked.reports / (raw["name"] + ("-blind" if asked.blind else ""))
    paths = outcome.write(tuned, about, folder)
    display.table(outcome.table(tuned, about))
    display.notes(outcome.notes(tuned))
    for what, path in paths.items():
        display.console.print(f"{what}: {path}", soft_wrap=True)
    return OK if whole else SOME_FAILED


def _round(
    asked: Tuning,
    tuned: Tuned,
    searches: dict[str, Search],
    numbers: range,
    raw: dict[str, Any],
    plugins: Plugins,
    display: Display,
) -> bool:
    """Ask for the next trials, make and judge them, and tell; say whether nothing failed.

    Raises _YardstickError where something failed that every trial is judged with.
    """
    trials = _ask(tuned.candidates, searches, numbers)
    rows = {label: _row(one, settings) for label, (one, _, settings) in trials.items()}
    planned = _expanded(raw | {"methods": rows}, plugins, retrains=not asked.blind)
    behind, plan = planned.benchmark, planned.plan
    store = Store((asked.results / behind.name).resolve())
    turn, turns = numbers[0] // ROUND + 1, -(-asked.trials // ROUND)
    heading = f"{behind.name}, round {turn} of {turns}"
    whole = make(_request(asked), planned, store, display, heading)
    if lacking := _lacking(plan, store, rows):
        raise _YardstickError(
            f"No trial can be judged without {', '.join(lacking)}, which failed: see error.txt"
            f" below {store.folder / 'runs'}, and remove its folder to try again."
        )
    values = tuned.add(trials, plan, store, behind.gap_terms)
    for name, search in searches.items():
        search.tell(values[name])
    return whole


def _read(asked: Tuning) -> tuple[dict[str, Any], Benchmark, Plugins]:
    """Read the benchmark; of the settings that are searched only those under --set stay."""
    raw, plugins = read_with_plugins(asked.benchmark, asked.plugins)
    raw["methods"] = unsearched(reading.validate(raw).methods, plugins)
    reading.change(raw, asked.assignments, plugins)
    return raw, reading.validate(raw), plugins


def _ask(
    found: list[Candidate], searches: dict[str, Search], numbers: range
) -> dict[str, tuple[Candidate, int, Settings]]:
    """Return the next trials of all methods by the labels of their rows."""
    return {
        f"{one.name}.{number:02d}": (one, number, settings)
        for one in found
        for number, settings in zip(numbers, searches[one.name].ask(len(numbers)), strict=True)
    }


def _row(candidate: Candidate, settings: Settings) -> Settings:
    return {"method": candidate.name} | candidate.fixed | settings


def _expanded(raw: dict[str, Any], plugins: Plugins, *, retrains: bool) -> Planned:
    """Expand the trials of a round, without the yardstick if they are judged without it."""
    behind, _ = resolve(reading.validate(raw), plugins, list(raw["methods"]))
    kept = {label: row for label, row in behind.methods.items() if retrains or label != RETRAIN}
    behind = behind.model_copy(update={"methods": kept})
    return expand(behind, plugins)


def _request(asked: Tuning) -> Request:
    """Return how models are made; what a method's earlier source made does not count."""
    return Request(
        asked.benchmark,
        asked.data,
        asked.results,
        devices=asked.devices,
        jobs_per_device=asked.jobs_per_device,
        retry_stale=True,
    )


def _lacking(plan: Plan, store: Store, trials: dict[str, Settings]) -> list[str]:
    """List what every trial is judged with and could not be made."""
    nodes = plan.nodes.items()
    return [
        f"{node.label} ({store.run_folder(node.spec).name})"
        for run, node in nodes
        if node.label not in trials and not store.done(run)
    ]
