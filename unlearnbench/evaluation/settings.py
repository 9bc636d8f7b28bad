"""One setting of a benchmark, which has tables and figures of its own: its name and its rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.metrics.attacks import HEADLINE
from unlearnbench.metrics.gaps import GROUP
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN

Group = tuple[str, float, int]
"""Access, fraction, request."""
OF = {
    "random": "",
    "class": "of a class ",
    "subclass": "of a subclass ",
    "most-memorised": "(of the most memorised) ",
    "least-memorised": "(of the least memorised) ",
}


def groups(findings: Findings) -> list[Group]:
    """List the settings that have a table of their own: access, fraction, request."""
    keys = findings.runs[GROUP].drop_duplicates()
    return [tuple(row) for row in keys.itertuples(index=False)]


def select(frame: pd.DataFrame, group: Group) -> pd.DataFrame:
    """Return the rows of one group."""
    if frame.empty:
        return frame
    access, fraction, request = group
    keep = (
        (frame["access"] == access)
        & (frame["fraction"] == fraction)
        & (frame["request"] == request)
    )
    return frame[keep]


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave the controls out, which have a table of their own."""
    return frame[~frame["label"].isin(CONTROLS)]


def heading(group: Group, benchmark: Benchmark) -> str:
    """Name a group for people."""
    access, fraction, request = group
    text = f"{100 * fraction:g} % {OF[benchmark.forget.kind]}forgotten, {access} access"
    return text if benchmark.forget.requests == 1 else f"{text}, request {request}"


def suffix(group: Group) -> str:
    """Return the part of a file name that says which group it shows."""
    access, fraction, request = group
    return f"-{access}-{100 * fraction:g}-r{request}"


def by_attack(findings: Findings, group: Group, attack: str = HEADLINE) -> dict[str, Any]:
    """Return what one attack, by default that of FT AUC, says of each row: a dictionary a label."""
    return findings.judged.get(group, {}).get(attack, {})


def sound(findings: Findings, group: Group) -> list[str]:
    """List the rows that may be called best: methods without a flag."""
    labels = dict.fromkeys(compared(select(findings.runs, group))["label"])
    judged = by_attack(findings, group)
    outside = (ORIGINAL, RETRAIN, HELD_OUT)
    return [n for n in labels if n not in outside and not judged.get(n, {}).get("flags")]
