"""What tuning leaves: a table, a log of all trials, and settings to paste."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import tomli_w

from unlearnbench.files import write_text
from unlearnbench.planning.benchmark import TERMS, Benchmark
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.report.tables.render import table_csv
from unlearnbench.report.tables.table import ABSENT, Table
from unlearnbench.tuning.candidates import Candidate, Settings
from unlearnbench.tuning.trials import Trial, Tuned
from unlearnbench.units import duration


@dataclass(frozen=True)
class About:
    """Say how it was done; benchmark: the one whose methods are tuned."""

    command: str
    trials: int
    seeds: list[int]
    benchmark: Benchmark

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


def opening(tuned: Tuned, about: About) -> str:
    """Say beforehand what is going to be done."""
    names = ", ".join(one.name for one in tuned.candidates)
    trials = f"{about.trials} trial{'s' if about.trials > 1 else ''}"
    return (
        f"Tuning {names}: {trials} each, on {about.span} and {about.samples}."
        f" Criterion: {tuned.criterion.words}."
    )


def table(tuned: Tuned, about: About) -> Table:
    """Show what was chosen, how much better than the defaults it is, and what finding it cost."""
    columns = ["Method", "Chosen", tuned.criterion.heading, "At defaults ↓", "Trials", "Time"]
    caption = (
        f"Criterion: {tuned.criterion.words}. Mean over {about.span}, {about.samples}; that of the"
        " chosen trial is the smallest of several, so expect more on other seeds. Time: of all"
        " trials, one after the other."
    )
    if tuned.retrains:
        columns.append("Retrainings")
        caption += (
            f" Retrainings: the same as a multiple of one; besides, the criterion needs"
            f" {len(tuned.retrains)} retrained models. Retrain's own gap: each against the others."
        )
    rows = [
        [label, ABSENT, _points(tuned.values[label])]
        for label in (ORIGINAL, RETRAIN)
        if label in tuned.values
    ]
    for one in tuned.candidates:
        chosen, trials, seconds = (
            tuned.chosen(one.name),
            tuned.of(one.name),
            tuned.seconds(one.name),
        )
        shown = words(chosen.settings) if chosen else "every trial failed"
        values = [_points(trial.value if trial else None) for trial in (chosen, trials[0])]
        costs = [str(len(trials)), duration(seconds)]
        if tuned.retrains:
            costs.append(f"{seconds / fmean(tuned.retrains):.1f}")
        rows.append([one.name, shown, *values, *costs])
        rows += [[label, f"as {one.name}"] for label in one.followers]
    whole = [row + [ABSENT] * (len(columns) - len(row)) for row in rows]
    return Table("tuning", caption, columns, whole)


def notes(tuned: Tuned) -> list[str]:
    """Say which trials could not be judged, and which choice lies at an end of its range."""
    made = []
    for one in tuned.candidates:
        chosen = tuned.chosen(one.name)
        made += [
            f"{one.name}: {key} = {value:g} is an end of its search range."
            for key, value in (chosen.settings if chosen else {}).items()
            if value in (one.ranges[key].low, one.ranges[key].high)
        ]
        failed = [str(trial.number) for trial in tuned.of(one.name) if trial.value is None]
        if failed:
            made.append(f"{one.name}: trials that failed and count as bad: {', '.join(failed)}.")
    return made


def write(tuned: Tuned, about: About, folder: Path) -> dict[str, Path]:
    """Write the log, what it cost and what was chosen; return where, by what it is."""
    log, chosen = folder / "trials.csv", folder / "chosen.toml"
    write_text(log, table_csv(_log(tuned)))
    write_text(folder / "cost.csv", table_csv(_cost(tuned)))
    write_text(chosen, chosen_toml(tuned, about, log))
    return {"All trials": log, "To paste into the benchmark's file": chosen}


def words(settings: Settings) -> str:
    """Write settings on one line."""
    return " ".join(f"{key}={value:g}" for key, value in settings.items())


def _log(tuned: Tuned) -> Table:
    """List every trial. No time in it, so that the same command writes the same bytes."""
    names = [name.replace("test", "validation") for name in TERMS]
    columns = ["method", "trial", "settings", "value", *names, "chosen"]
    rows = []
    for trial in _in_order(tuned):
        metrics = [_number(trial.metrics.get(name)) for name in TERMS]
        best = "yes" if trial is tuned.chosen(trial.method) else "no"
        rows.append([*_key(trial), words(trial.settings), _number(trial.value), *metrics, best])
    return Table("trials", "", columns, rows)


def _cost(tuned: Tuned) -> Table:
    columns = ["method", "trial", "runs", "seconds"]
    rows = [
        [*_key(trial), str(len(trial.seconds)), _number(sum(trial.seconds.values()))]
        for trial in _in_order(tuned)
    ]
    return Table("cost", "", columns, rows)


def _in_order(tuned: Tuned) -> list[Trial]:
    """Return all trials, method by method."""
    return [trial for one in tuned.candidates for trial in tuned.of(one.name)]


def _key(trial: Trial) -> list[str]:
    return [trial.method, str(trial.number)]


def chosen_toml(tuned: Tuned, about: About, log: Path) -> str:
    """Write the chosen settings, and how they were chosen, as tables of a benchmark file."""
    parts = [f"# Chosen by `{about.command}`, see [tuning].\n"]
    for one in tuned.candidates:
        trial = tuned.chosen(one.name)
        if trial is None:
            parts.append(f"# {one.name}: every trial failed.\n")
            continue
        parts.append(_methods(one.name, one.fixed | trial.settings))
        for label, own in one.followers.items():
            taken = {key: value for key, value in trial.settings.items() if key not in own}
            comment = f"# The settings of {one.name}, not tuned anew.\n"
            parts.append(comment + _methods(label, own | taken))
    said = {
        "command": about.command,
        "trials": f"{about.trials} for every method, from its search ranges, the first being its"
        f" defaults{_followers(tuned.candidates)}",
        "seeds": f"{about.span.partition(' ')[2]} for originals, forget sets and runs,"
        f" {about.seeds[0]} for references; none of them is reported",
        "samples": about.samples,
        "criterion": tuned.criterion.words,
        "log": str(log),
        "date": date.today().isoformat(),
    }
    return "\n".join([*parts, tomli_w.dumps({"tuning": said})])


def _methods(label: str, settings: dict[str, Any]) -> str:
    return tomli_w.dumps({"methods": {label: settings}})


def _followers(candidates: Iterable[Candidate]) -> str:
    """Say which rows take the settings of which method."""
    taken = [(list(one.followers), one.name) for one in candidates if one.followers]
    return "".join(
        f"; {' and '.join(labels)} take{'s' if len(labels) == 1 else ''} {name}'s"
        for labels, name in taken
    )


def _points(value: float | None) -> str:
    return ABSENT if value is None or math.isnan(value) else f"{value:.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
