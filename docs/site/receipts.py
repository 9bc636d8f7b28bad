"""What came out here for a method, as tables and verdicts for its page."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

from docs.site.printed import belonging, table
from unlearnbench.metrics.attacks import HEADLINE
from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.plan import HELD_OUT, RETRAIN

DOCS = Path(__file__).parents[1]
SHOWN = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc", "avg_gap")
SETTING = ("access", "fraction", "request")
VERDICTS = {
    "equivalent": "equivalent to retraining within {margin:g} points",
    "different": "different from retraining",
    "inconclusive": "shown neither equivalent within {margin:g} points nor different",
}

Row = dict[str, str]


@cache
def results() -> dict[str, dict[str, Any]]:
    """Read what docs/ has of each published benchmark: settings, summary, verdicts of RMIA."""
    found = {}
    for path in sorted(DOCS.glob("*/findings.json")):
        here = path.parent
        found[here.name] = {
            "benchmark": json.loads(path.read_text())["benchmark"],
            "summary": _read(here / "summary.csv"),
            "judged": [row for row in _read(here / "attacks.csv") if row["attack"] == HEADLINE],
        }
    return found


def reports() -> dict[str, dict[str, Any]]:
    """Return of `results` those whose whole report is published, not a short page alone."""
    return {name: one for name, one in results().items() if (DOCS / name / "index.html").exists()}


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measured(name: str) -> list[str]:
    """Write settings, numbers and verdicts of one method on every published benchmark.

    Of several requests in a row the last one is shown, as on the benchmark's own page.
    """
    parts = []
    for folder, found in results().items():
        methods, margin = found["benchmark"]["methods"], found["benchmark"]["limits"]["equivalence"]
        labels = belonging(methods, name)
        told = []
        last = str(found["benchmark"]["forget"]["requests"])
        shown = [row for row in found["summary"] if row["request"] == last]
        for setting in dict.fromkeys(_setting(row) for row in shown):
            summary = [row for row in found["summary"] if _setting(row) == setting]
            judged = [row for row in found["judged"] if _setting(row) == setting]
            told += _numbers([HELD_OUT] if name == RETRAIN else labels, summary)
            told += _verdicts([HELD_OUT] if name == RETRAIN else labels, judged, margin)
        if told:
            parts += [f"### {found['benchmark']['title']}", *told, settings(labels, methods)]
            parts.append(f"[All of this report](../{folder}/README.md)")
    return parts or ["It is in no published report yet."]


def _setting(row: Row) -> tuple[str, ...]:
    return tuple(row[key] for key in SETTING)


def _numbers(labels: list[str], summary: list[Row]) -> list[str]:
    """Write the main metrics of some rows below retrain's, [] where none of them ran."""
    values = {(row["method"], row["metric"]): row for row in summary}
    ran = [label for label in labels if (label, SHOWN[0]) in values]
    if not ran:
        return []
    access, fraction, request = _setting(summary[0])
    cells = []
    for label in [RETRAIN, *ran]:
        of = [values[label, metric] for metric in SHOWN]
        cells.append([label, *(_spread(row) for row in of), of[0]["n"]])
    columns = ["Row", *(METRICS[metric].heading for metric in SHOWN), "n"]
    heading = f"{100 * float(fraction):g} % forgotten, {access} access, request {request}"
    return [f"{heading}, mean ± standard deviation over n runs:", table(columns, cells)]


def _spread(row: Row) -> str:
    return f"{float(row['mean']):.1f} ±{float(row['std']):.1f}"


def _verdicts(labels: list[str], judged: list[Row], margin: float) -> list[str]:
    said = [
        f"- {row['method']}: {verdict(row, margin)}." for row in judged if row["method"] in labels
    ]
    return ["\n".join(said)] if said else []


def verdict(row: Row, margin: float) -> str:
    """Say in words what RMIA makes of a row."""
    gap, low, high = (float(row[key]) for key in ("gap", "gap_low", "gap_high"))
    said = VERDICTS.get(row["verdict"], "not judged").format(margin=margin)
    said = f"**{said}**; its FT AUC is {gap:+.1f} [{low:+.1f}, {high:+.1f}] from retrain's"
    if row["flags"]:
        return f"{said}; not ranked: {row['flags']}"
    if not row["rank"]:
        return said
    first, last = float(row["rank"]), float(row["rank_last"])
    return f"{said}; rank {first:g}" + (f" to {last:g}" if last > first else "")


def short(name: str, found: dict[str, Any]) -> str:
    """Say in a word or two what came out on one benchmark, row by row."""
    labels = belonging(found["benchmark"]["methods"], name)
    said = []
    for row in found["judged"]:
        if row["method"] in labels and (row["flags"] or row["verdict"]):
            label = "" if row["method"] == name else f"{row['method']}: "
            said.append(f"{label}{row['flags'] or row['verdict']}")
    return "; ".join(said) or "–"


def settings(labels: list[str], methods: dict[str, dict[str, Any]]) -> str:
    """Say with which hyperparameters the rows of a benchmark ran."""
    told = []
    for label in labels:
        chosen = {key: value for key, value in methods[label].items() if key != "method"}
        words = ", ".join(f"`{key} = {json.dumps(value)}`" for key, value in chosen.items())
        told.append(f"{label} with {words or 'its defaults'}")
    return f"Settings: {'; '.join(told)}."
