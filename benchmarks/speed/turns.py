"""Time things in turn, so that a machine whose speed drifts drifts for all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """Hold one line of a result: what was compared with what, on which work.

    ratio: of times, the other's over ours, median and range over the rounds; above 1 we are faster.
    seconds: of ours and the other's, medians. facts: what else was counted.
    """

    part: str
    work: str
    ours: str
    other: str
    ratio: list[float]
    seconds: list[float]
    rounds: int
    facts: dict[str, object] = field(default_factory=dict)


def in_turn(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run each work once a round, after one round that does not count; return seconds by name."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(
    part: str, work: str, ours: str, seconds: dict[str, list[float]], **facts: dict[str, object]
) -> list[Row]:
    """Compare every work with `ours`, round by round; facts: by name of work."""
    rows = []
    for other, times in seconds.items():
        if other == ours:
            continue
        ratios = [b / a for a, b in zip(seconds[ours], times, strict=True)]
        spread = [round(x, 3) for x in (median(ratios), min(ratios), max(ratios))]
        both = [round(median(seconds[name]), 4) for name in (ours, other)]
        rows.append(Row(part, work, ours, other, spread, both, len(times), facts.get(other, {})))
    return rows
