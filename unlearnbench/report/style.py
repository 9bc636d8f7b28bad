"""How figures look: one colour and one marker a method, everywhere; plain words on axes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from unlearnbench.files import write

# Okabe and Ito's palette, told apart by colour-blind readers; the marker tells them apart in print.
FIXED = {
    "original": ("#000000", "s"),
    "retrain": ("#777777", "P"),
    "held-out retrain": ("#AAAAAA", "h"),
    "ft": ("#56B4E9", "o"),
    "rl": ("#E69F00", "v"),
    "ga": ("#CC79A7", "^"),
    "salun": ("#0072B2", "D"),
    "l1-sparse": ("#B8A600", "p"),
    "amun": ("#D55E00", "*"),
    "amun-adaptive": ("#009E73", "X"),
}
SPARE = [("#882255", "<"), ("#332288", ">"), ("#AA4499", "8"), ("#117733", "H"), ("#999933", "d")]

RC: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "unlearnbench",
}


def looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give each label its colour and marker; labels without a fixed one take spares in order."""
    chosen, spare = {}, 0
    for label in labels:
        if label in FIXED:
            chosen[label] = FIXED[label]
        else:
            chosen[label] = SPARE[spare % len(SPARE)]
            spare += 1
    return chosen


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG (300 dpi) and PDF (fonts embedded), the same bytes each time."""
    kinds: dict[str, dict[str, Any]] = {
        "png": {"dpi": 300, "metadata": {"Software": None}},
        "pdf": {"metadata": {"CreationDate": None}},
    }
    for kind, settings in kinds.items():
        target = path.with_suffix(f".{kind}")
        write(target, partial(figure.savefig, format=kind, **settings))
