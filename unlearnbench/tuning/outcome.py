"""What tuning leaves: a table, a log of all trials, and settings to paste."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import tomli_w

from unlearnbench.files import write_text
from unlearnbench.planning.benchmark import TERMS, End, Row
from unlearnbench.reporting import caveats, escape
from unlearnbench.reporting.tables.table import ABSENT, Column, Entry, Table, number, text
from unlearnbench.tuning.candidates import Trial
from unlearnbench.tuning.ranges import Settings
from unlearnbench.tuning.trials import Tuned
from unlearnbench.units import count, duration

CHOICE = (
    "of the trials that are, in pairs over forget sets, within one standard error of the best, the"
    " one closest to the defaults on the scale of the search ranges"
)


def opening(tuned: Tuned) -> str:
    """Say beforehand what is going to be done."""
    names = ", ".join(one.name for one in tuned.candidates)
    return (
        f"Tuning {names}: {count(tuned.limit, 'trial')} each, on {tuned.span} and {tuned.samples}."
        f" Criterion: {tuned.criterion.words}. Chosen: {CHOICE}."
    )


def table(tuned: Tuned) -> Table:
    """Show what was chosen, how much better than the defaults it is, and what finding it cost."""
    columns = [
        text("Method", "label"),
        text("Chosen", "chosen"),
        Column(tuned.criterion.heading, _value),
        number("Smallest ↓", "best", ".2f"),
        number("At defaults ↓", "default", ".2f"),
        number("Trials", "trials"),
        Column("Time", lambda row: ABSENT if row["seconds"] is None else duration(row["seconds"])),
    ]
    caption = (
        f"Criterion: {tuned.criterion.words}. Mean over {tuned.span}, {tuned.samples}, ± its"
        f" standard error. Chosen: {CHOICE}; it is among the smallest of several, so expect more on"
        " other seeds. Time: of all trials, one after the other."
    )
    if tuned.retrains:
        columns.append(number("Retrainings", "retrainings", ".1f"))
        caption += (
            f" Retrainings: the same as a multiple of one; besides, the criterion needs"
            f" {len(tuned.retrains)} retrained models. Retrain's own gap: each against the others."
        )
    frame = pd.DataFrame(_rows(tuned)).astype({"trials": "Int64"})
    return Table(caption, frame, columns, "tuning", "What was chosen")


def _rows(tuned: Tuned) -> Iterator[dict[str, Any]]:
    for label, value in tuned.values.items():
        yield {"label": label, "value": value}
    for one in tuned.candidates:
        yield {
            "label": one.name,
            "chosen": words(one.chosen.settings) if one.chosen else "every trial failed",
            "value": one.chosen.value if one.chosen else None,
            "error": one.chosen.error if one.chosen else None,
            "best": one.best.value if one.best else None,
            "default": one.trials[0].value,
            "trials": len(one.trials),
            "seconds": one.seconds,
            "retrainings": one.seconds / fmean(tuned.retrains) if tuned.retrains else None,
        }
        for label in one.followers:
            yield {"label": label, "chosen": f"as {one.name}"}


def _value(row: Entry) -> str:
    if row["value"] is None:
        return ABSENT
    spread = "" if row["error"] is None else f" ±{row['error']:.2f}"
    return f"{row['value']:.2f}{spread}"


def notes(tuned: Tuned) -> list[str]:
    """Say which trials could not be judged, and which choice lies near an end of its range."""
    told = [*caveats.at_ends(_near_ends(tuned))]
    for one in tuned.candidates:
        failed = [str(trial.number) for trial in one.trials if trial.value is None]
        if failed:
            told.append(
                f"{one.name}: trials that failed, which are never chosen: {', '.join(failed)}."
            )
    return told


def _near_ends(tuned: Tuned) -> list[End]:
    """List the chosen values that lie near an end of their search ranges."""
    return [
        End(row=one.name, setting=key, value=value, end=end)
        for one in tuned.candidates
        for key, value in (one.chosen.settings if one.chosen else {}).items()
        if (end := one.ranges[key].near_end(value)) is not None
    ]


def write_outcome(tuned: Tuned, folder: Path) -> dict[str, Path]:
    """Write the log, what it cost and what was chosen; return where, by what it is."""
    log, chosen = folder / "trials.csv", folder / "chosen.toml"
    trials, costs = _trials(tuned), ["runs", "seconds"]
    # No time in the log, so that the same command writes the same bytes.
    write_text(log, escape.csv_text(trials.drop(columns=costs)))
    write_text(folder / "cost.csv", escape.csv_text(trials[["method", "trial", *costs]]))
    write_text(chosen, chosen_toml(tuned, log))
    return {"All trials": log, "To paste into the benchmark's file": chosen}


def words(settings: Settings) -> str:
    """Write settings on one line."""
    return " ".join(f"{key}={value:g}" for key, value in settings.items())


def _trials(tuned: Tuned) -> pd.DataFrame:
    """List every trial, method by method, with what it cost."""
    return pd.DataFrame(
        {
            "method": trial.row,
            "trial": trial.number,
            "settings": words(trial.settings),
            "value": trial.value,
            "standard_error": trial.error,
            **_behind(trial, one.best),
            **{name.replace("test", "validation"): trial.metrics.get(name) for name in TERMS},
            "chosen": "yes" if trial is one.chosen else "no",
            "runs": len(trial.seconds),
            "seconds": float(sum(trial.seconds.values())),
        }
        for one in tuned.candidates
        for trial in one.trials
    )


def _behind(trial: Trial, best: Trial | None) -> dict[str, float | None]:
    """Say how far a trial is behind the best, which decides whether it may be chosen."""
    points, error = trial.behind(best) if best and trial.by_set else (None, None)
    return {"behind": points, "behind_error": error}


def chosen_toml(tuned: Tuned, log: Path) -> str:
    """Write the chosen settings, and how they were chosen, as tables of a benchmark file."""
    parts, taking = [f"# Chosen by `{tuned.command}`, see [tuning].\n"], ""
    for one in tuned.candidates:
        if one.followers:
            verb = "takes" if len(one.followers) == 1 else "take"
            taking += f"; {' and '.join(one.followers)} {verb} {one.name}'s"
        if one.chosen is None:
            parts.append(f"# {one.name}: every trial failed.\n")
            continue
        settings = one.chosen.settings
        row = Row(method=one.method, settings=one.fixed | settings)
        parts.append(_row(one.name, row.under(one.name)))
        for label, own in one.followers.items():
            comment = f"# The settings of {one.name}: the search would be the same.\n"
            parts.append(comment + _row(label, own | settings))
    said: dict[str, Any] = {
        "command": tuned.command,
        "trials": f"{tuned.limit} for every method, from its search ranges, the first being its"
        f" defaults{taking}",
        "seeds": f"{tuned.span.partition(' ')[2]} for originals, forget sets and runs,"
        f" {tuned.seeds[0]} for references; none of them is reported",
        "samples": tuned.samples,
        "criterion": tuned.criterion.words,
        "choice": CHOICE,
        "log": str(log),
        "date": date.today().isoformat(),
        "searched": [
            row for one in tuned.candidates if one.chosen for row in (one.name, *one.followers)
        ],
    }
    if tuned.benchmark.tuning.ranges:
        said["ranges"] = tuned.benchmark.tuning.ranges
    if ends := _near_ends(tuned):
        said["ends"] = [end.model_dump() for end in ends]
    return "\n".join([*parts, tomli_w.dumps({"tuning": said})])


def _row(label: str, settings: dict[str, Any]) -> str:
    return tomli_w.dumps({"methods": {label: settings}})
