"""(c) RMIA: scoring 60,000 samples against 60,000 by sorted search and by comparing all pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plain
from turns import Row, compared, in_turn

from unlearnbench.audits import references

SAMPLES = 60_000


def measure(root: Path, rounds: int) -> list[Row]:
    """Compare the two, which give the same scores to the last bit where gamma is a power of two."""
    draw = np.random.default_rng(0)
    ratio, population = draw.lognormal(size=(2, SAMPLES))
    same = np.array_equal(
        references.share_above(ratio, population, gamma=2.0),
        plain.outer_product(ratio, population, 2.0),
    )
    works = {
        "sorted search": lambda: references.share_above(ratio, population, gamma=2.0),
        "outer product": lambda: plain.outer_product(ratio, population, 2.0),
    }
    seconds = in_turn(works, rounds)
    title = f"{SAMPLES:,} x {SAMPLES:,} ratios"
    facts = {"outer product": {"same scores": same}}
    return compared("rmia", title, "sorted search", seconds, **facts)
