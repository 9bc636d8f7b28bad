"""What tuning leaves: a table, a log of all trials, and settings to paste."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import tomli_w

from unlearnbench.files import write_text
from unlearnbench.planning.benchmark import TERMS, Benchmark
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting import escape
from unlearnbench.reporting.tables.table import ABSENT, Column, Table, number, text
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
    columns = [
        text("Method", "label"),
        text("Chosen", "chosen"),
        number(tuned.criterion.heading, "value", ".2f"),
        number("At defaults ↓", "default", ".2f"),
        number("Trials", "trials"),
        Column("Time", lambda row: ABSENT if row["seconds"] is None else duration(row["seconds"])),
    ]
    caption = (
        f"Criterion: {tuned.criterion.words}. Mean over {about.span}, {about.samples}; that of the"
        " chosen trial is the smallest of several, so expect more on other seeds. Time: of all"
        " trials, one after the other."
    )
    if tuned.retrains:
        columns.append(number("Retrainings", "retrainings", ".1f"))
        caption += (
            f" Retrainings: the same as a multiple of one; besides, the criterion needs"
            f" {len(tuned.retrains)} retrained models. Retrain's own gap: each against the others."
        )
    names = ["label", "chosen", "value", "default", "trials", "seconds", "retrainings"]
    frame = pd.DataFrame(_rows(tuned), columns=names).astype({"trials": "Int64"})
    return Table(caption, frame, columns, "tuning", "What was chosen")


def _rows(tuned: Tuned) -> Iterator[dict[str, Any]]:
    for label in (ORIGINAL, RETRAIN):
        if label in tuned.values:
            yield {"label": label, "value": tuned.values[label]}
    for candidate in tuned.candidates:
        name = candidate.name
        chosen, trials, seconds = tuned.chosen(name), tuned.of(name), tuned.seconds(name)
        yield {
            "label": name,
            "chosen": words(chosen.settings) if chosen else "every trial failed",
            "value": chosen.value if chosen else None,
            "default": trials[0].value,
            "trials": len(trials),
            "seconds": seconds,
            "retrainings": seconds / fmean(tuned.retrains) if tuned.retrains else None,
        }
        for label in candidate.followers:
            yield {"label": label, "chosen": f"as {name}"}


def notes(tuned: Tuned) -> list[str]:
    """Say which trials could not be judged, and which choice lies at an end of its range."""
    told = []
    for one in tuned.candidates:
        chosen = tuned.chosen(one.name)
        told += [
            f"{one.name}: {key} = {value:g} is an end of its search range."
            for key, value in (chosen.settings if chosen else {}).items()
            if value in (one.ranges[key].low, one.ranges[key].high)
        ]
        failed = [str(trial.number) for trial in tuned.of(one.name) if trial.value is None]
        if failed:
            told.append(f"{one.name}: trials that failed and count as bad: {', '.join(failed)}.")
    return told


def write_outcome(tuned: Tuned, about: About, folder: Path) -> dict[str, Path]:
    """Write the log, what it cost and what was chosen; return where, by what it is."""
    log, chosen = folder / "trials.csv", folder / "chosen.toml"
    write_text(log, escape.csv_text(_log(tuned)))
    write_text(folder / "cost.csv", escape.csv_text(_cost(tuned)))
    write_text(chosen, chosen_toml(tuned, about, log))
    return {"All trials": log, "To paste into the benchmark's file": chosen}


def words(settings: Settings) -> str:
    """Write settings on one line."""
    return " ".join(f"{key}={value:g}" for key, value in settings.items())


def _log(tuned: Tuned) -> pd.DataFrame:
    """List every trial. No time in it, so that the same command writes the same bytes."""
    rows = []
    for trial in _in_order(tuned):
        row = {"method": trial.method, "trial": trial.number}
        row |= {"settings": words(trial.settings), "value": trial.value}
        row |= {name.replace("test", "validation"): trial.metrics.get(name) for name in TERMS}
        rows.append(row | {"chosen": "yes" if trial is tuned.chosen(trial.method) else "no"})
    return pd.DataFrame(rows)


def _cost(tuned: Tuned) -> pd.DataFrame:
    rows = [
        (trial.method, trial.number, len(trial.seconds), float(sum(trial.seconds.values())))
        for trial in _in_order(tuned)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "runs", "seconds"])


def _in_order(tuned: Tuned) -> list[Trial]:
    """Return all trials, method by method."""
    return [trial for one in tuned.candidates for trial in tuned.of(one.name)]


def chosen_toml(tuned: Tuned, about: About, log: Path) -> str:
    """Write the chosen settings, and how they were chosen, as tables of a benchmark file."""
    parts = [f"# Chosen by `{about.command}`, see [tuning].\n"]
    for one in tuned.candidates:
        trial = tuned.chosen(one.name)
        if trial is None:
            parts.append(f"# {one.name}: every trial failed.\n")
            continue
        parts.append(_row(one.name, one.fixed | trial.settings))
        for label, own in one.followers.items():
            taken = {key: value for key, value in trial.settings.items() if key not in own}
            comment = f"# The settings of {one.name}, not tuned anew.\n"
            parts.append(comment + _row(label, own | taken))
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


def _row(label: str, settings: dict[str, Any]) -> str:
    return tomli_w.dumps({"methods": {label: settings}})


def _followers(candidates: Iterable[Candidate]) -> str:
    """Say which rows take the settings of which method."""
    taken = [(list(one.followers), one.name) for one in candidates if one.followers]
    return "".join(
        f"; {' and '.join(labels)} take{'s' if len(labels) == 1 else ''} {name}'s"
        for labels, name in taken
    )
