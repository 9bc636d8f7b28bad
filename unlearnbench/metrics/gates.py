"""What makes a number void: nothing changed, too much forgotten, too little left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearnbench.metrics.attacks import Samples
from unlearnbench.metrics.judgement import Judged

NO_OP, OVER, LOST = "no-op", "over-forgets", "utility lost"


def broken(signals: Mapping[str, NDArray[Any]], samples: Samples, *, unlearned: bool) -> str | None:
    """Say why a run's signals cannot be used; None if they can.

    unlearned: whether the model must not count its forget samples among those it was trained on.
    """
    for name, values in signals.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return f"its {name} is not finite"
    parts = np.concatenate((samples.forget, samples.retain, samples.test))
    if len(np.unique(parts)) < len(parts):
        return "its forget, retain and test sets overlap"
    if np.intersect1d(samples.others, np.concatenate((samples.forget, samples.retain))).size:
        return "its non-members are among the forget or retain samples"
    if unlearned and signals["member"][np.concatenate((samples.forget, samples.others))].any():
        return "it was trained on samples it must not have seen"
    return None


def flags(
    row: Judged, test_accuracy_gap: float, no_op: bool, margin: float, utility: float
) -> list[str]:
    """List why a row is not ranked.

    no-op: its outputs are those of the model it was given; over-forgets: its AUC is below
    retrain's by more than the margin, and surely below, which gives forgotten samples away as well;
    utility lost: its test accuracy is below retrain's by more than `utility` points.
    """
    found = []
    if no_op:
        found.append(NO_OP)
    if row.gap is not None and row.verdict == "different" and row.gap.value < -margin:
        found.append(OVER)
    if test_accuracy_gap < -utility:
        found.append(LOST)
    return found


def has_power(original: Judged | None) -> bool:
    """Say whether an attack tells the original's members: surely better than it does retrain's.

    One that cannot says nothing about forgetting.
    """
    return original is not None and original.gap is not None and original.gap.interval()[0] > 0
