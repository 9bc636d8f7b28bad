"""Two results folders or more side by side, paired where their seeds agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, compared, groups, heading, select, suffix
from unlearnbench.metrics.compute import METRICS
from unlearnbench.metrics.inference import half_width
from unlearnbench.planning.benchmark import TERMS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.report.figures import marks
from unlearnbench.report.figures.figure import Figure, figure
from unlearnbench.report.figures.style import PAGE
from unlearnbench.report.section import Section
from unlearnbench.report.tables.table import ABSENT, Table, digits, spread

SHOWN = (*TERMS, "avg_gap", "time_ratio")
SEEDS = ["label", "original_seed", "forget_seed", "run_seed"]
READING = {"title", "name", "published", "tuning", "plugins", "methods"}
"""Parts of a benchmark that are words about it, or have a table of their own."""


def comparison(found: Mapping[str, Findings]) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections; the first folder is what others are compared to."""
    first, *others = found
    title = f"{' against '.join(found)}"
    said = [
        f"Each of {', '.join(others)} minus {first}, run by run where original, forget set and run"
        " have the same seeds; brackets are 95 % intervals over forget sets (of fewer than two"
        " there are none). A difference of which the interval holds zero is none that was shown."
    ]
    sections = [Section("What changed", "", [_changes(found)], [], [])]
    shared = [
        group
        for group in groups(found[first])
        if all(group in groups(found[name]) for name in others)
    ]
    if not shared:
        said.append("They share no setting of access, fraction and request: nothing to compare.")
    for group in shared:
        table, drawn = _differences(found, group)
        name = heading(group, found[first].benchmark)
        sections.append(Section(name, suffix(group), [table], [], drawn))
    return title, said, sections


def _changes(found: Mapping[str, Findings]) -> Table:
    """Show what differs: settings, hyperparameters, source of methods, environment."""
    shared = _shared(found)
    aspects = {name: dict(_aspects(one, shared)) for name, one in found.items()}
    rows = []
    for key in dict.fromkeys(key for one in aspects.values() for key in one):
        values = [one.get(key, ABSENT) for one in aspects.values()]
        if len(set(values)) > 1:
            rows.append([key, *values])
    caption = "What differs between the folders; what is not listed is the same."
    if not rows:
        caption = "Nothing differs: benchmark, hyperparameters, source, environment are the same."
    return Table("changes", caption, ["What", *found], rows)


def _shared(found: Mapping[str, Findings]) -> list[str]:
    """List the rows that all folders have."""
    first, *others = (list(dict.fromkeys(one.runs["label"])) for one in found.values())
    return [label for label in first if all(label in other for other in others)]


def _aspects(found: Findings, shared: list[str]) -> Iterator[tuple[str, str]]:
    """Yield everything that a result depends on, by name; of rows, what the shared ones do."""
    yield from _flat("", found.benchmark.model_dump(mode="json", exclude=READING))
    own_rows = [str(n) for n in dict.fromkeys(found.runs["label"]) if n not in shared]
    yield "rows only here", ", ".join(own_rows) or ABSENT
    for label, entry in found.benchmark.methods.items():
        if label in shared:
            yield from _flat(label, entry)
    for row, own in found.runs[found.runs["label"].isin(shared)].groupby("label", sort=False):
        sources = {str(found.details[run].get("source") or ABSENT) for run in own["run"]}
        yield f"source of {row}", ", ".join(sorted(sources))
    machines: dict[str, set[str]] = {}
    for detail in found.details.values():
        for name, value in detail["environment"].items():
            machines.setdefault(name, set()).add(str(value))
    for name, known in machines.items():
        yield f"environment: {name}", ", ".join(sorted(known))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        else:
            yield name, str(value)


def _differences(found: Mapping[str, Findings], group: Group) -> tuple[Table, list[Figure]]:
    """Show each method's means in every folder, and the paired differences to the first."""
    first, *others = found
    runs = {name: compared(select(one.runs, group)) for name, one in found.items()}
    rows, dots = [], []
    labels = [label for label in _shared(found) if label in set(runs[first]["label"])]
    for label in labels:
        for metric in SHOWN:
            if (label, metric) == (ORIGINAL, "time_ratio"):
                continue  # it is what methods begin with, not an alternative to retraining
            own = {name: one[one["label"] == label] for name, one in runs.items()}
            cells = [spread(one, metric) for one in own.values()]
            for other in others:
                difference = paired(own[first], own[other], metric)
                cells += _cells(difference, metric)
                if difference is not None and np.isfinite(difference[1]):
                    dots.append((metric, other, label, *difference[:2]))
            rows.append([str(label), _title(metric), *cells])
    columns = ["Method", "Metric", *found]
    for other in others:
        columns += [f"{other} - {first} [95 %]", "Pairs"]
    caption = f"{heading(group, found[first].benchmark)}. Mean ± std over runs; differences paired."
    table = Table(f"differences{suffix(group)}", caption, columns, rows)
    return table, _drawn(dots, labels, first, group)


def paired(
    one: pd.DataFrame, other: pd.DataFrame, metric: str
) -> tuple[float, float, int, bool] | None:
    """Return other minus one: mean, half of its 95 % interval, pairs, whether all are one run.

    Over runs with the same seeds, averaged by forget set; NaN for the interval of a single set.
    """
    if metric not in one or metric not in other:
        return None
    columns = [*SEEDS, metric, "run"]
    keyed = [frame[columns].fillna({"original_seed": -1}) for frame in (one, other)]
    both = keyed[0].merge(keyed[1], on=SEEDS, suffixes=("", "_other")).dropna()
    if both.empty:
        return None
    by_set = (both[f"{metric}_other"] - both[metric]).groupby(both["forget_seed"]).mean()
    n = len(by_set)
    half = half_width(by_set.std(ddof=1) / np.sqrt(n), n - 1) if n > 1 else np.nan
    same = bool((both["run"] == both["run_other"]).all() and not by_set.any())
    return float(by_set.mean()), half, len(both), same


def _cells(difference: tuple[float, float, int, bool] | None, metric: str) -> list[str]:
    if difference is None:
        return ["no seeds in common", "0"]
    mean, half, pairs, same = difference
    if same:
        return ["the same runs", str(pairs)]
    places = digits(metric)
    text = f"{mean:+.{places}f}"
    if np.isfinite(half):
        text += f" [{mean - half:+.{places}f}, {mean + half:+.{places}f}]"
    return [text, str(pairs)]


def _title(metric: str) -> str:
    return METRICS[metric].heading if metric in METRICS else "Time, share of retraining ↓"


def _drawn(
    dots: list[tuple[Any, ...]], labels: list[str], first: str, group: Group
) -> list[Figure]:
    """Draw the differences, a panel a metric and folder."""
    frame = pd.DataFrame(dots, columns=["metric", "other", "method", "x", "half"])
    panels: list[marks.Spec] = []
    for (metric, other), own in frame.groupby(["metric", "other"], sort=False):
        data = own.assign(x_low=own["x"] - own["half"], x_high=own["x"] + own["half"])
        places = digits(str(metric))
        pairs = zip(own["x"], own["half"], strict=True)
        data["tip"] = [f"{x:+.{places}f} ±{half:.{places}f}" for x, half in pairs]
        style = {"labels": len(panels) % 3 == 0, "ticks": False, "domain": False, "grid": True}
        y = marks.axis("method", None, kind="nominal", scale=marks.LINES, axis=style)
        x = marks.axis("x", None, axis={"tickCount": 4})
        layers = [marks.rule(0, "x"), *marks.points(data, labels, x, y, "x", key=False)]
        title = f"{_title(str(metric))}: {other}"
        panels.append(marks.chart(layers, (PAGE - 120) / 3, 11 * len(labels), title=title))
    if not panels:
        return []
    spec = marks.choice({"concat": panels, "columns": 3}, labels)
    caption = f"Difference to {first}, mean and 95 % interval over forget sets, paired by seeds."
    return [figure(f"differences{suffix(group)}", "Differences", caption, spec)]
