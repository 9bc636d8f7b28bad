"""What a report is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from unlearnbench.benchmark import Benchmark
from unlearnbench.metrics.gaps import summarise
from unlearnbench.plan import Plan


def lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as dictionaries, None for what is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


@dataclass
class Findings:
    """Hold all that a report is made of.

    runs: one row a finished cell, with metrics, gaps and costs; attacks: one row a method and
    attack, with intervals, tests, verdicts, ranks and flags; pairs: one row a pair of methods under
    one attack; summary: one row a method and metric; records: by run id; broken: what cannot be
    used and why; offline_a: the constant chosen for RMIA's offline form; notes: lines that a reader
    must see beside the table.
    """

    benchmark: Benchmark
    plan: Plan
    runs: pd.DataFrame
    attacks: pd.DataFrame
    pairs: pd.DataFrame
    records: dict[str, dict[str, Any]]
    broken: list[str] = field(default_factory=list)
    offline_a: float | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def judged(self) -> dict[tuple[Any, ...], dict[str, dict[str, dict[str, Any]]]]:
        """The rows of `attacks` by access, fraction and request, then attack, then label."""
        found: dict[tuple[Any, ...], dict[str, dict[str, dict[str, Any]]]] = {}
        for row in lines(self.attacks):
            group = (row["access"], row["fraction"], row["request"])
            found.setdefault(group, {}).setdefault(row["attack"], {})[row["label"]] = row
        return found

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Reduce the runs to means, spreads, intervals and gaps."""
        return summarise(self.runs)
