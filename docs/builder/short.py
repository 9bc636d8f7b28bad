"""The table of README: few rows, the verdict under every kind of audit, and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import fill

import pandas as pd

import unlearnbench as ub
from docs.builder import markdown, published
from unlearnbench.audits.attacks import ATTACKS, ULIRA
from unlearnbench.planning.plan import ORIGINAL, RETRAIN

ROWS = ("amun", "salun", "rl", "ft", "ga")
"""Methods that most papers compare, in the order of the report."""
KINDS: dict[str, Callable[[str], bool]] = {
    "Attacks": lambda audit: audit in ATTACKS,
    "Confidence": lambda audit: audit.endswith("-confidence") and "relearning" not in audit,
    "Memorised": lambda audit: audit == "memorised",
    "Relearning": lambda audit: audit.startswith("relearning-"),
}
"""Which audits a column is about."""
CAPTION = (
    "Attacks, confidence, relearning: how many of these audits find a difference from retrain."
    " Memorised: the membership attack RMIA on the most memorised tenth. FT AUC (forget against"
    " test): how often RMIA scores a forgotten sample above a test sample; 50 is guessing. Time: as"
    " a multiple of retraining's. U-LiRA: `--set ulira.shadows=16`."
)
HEADS = ("Method", "Verdict", *KINDS, "U-LiRA", "FT AUC %", "Time")


def table(path: Path) -> str:
    """Tabulate published results that have one condition; path: their folder.

    A column of several audits says how many of them find a difference.
    """
    results = published.load(path)
    condition = results.condition()
    found = results.verdicts.pivot(index="label", columns="audit", values="verdict")
    stronger = pd.read_csv(path / f"{ULIRA}.csv").set_index("method")["verdict"]
    rows = []
    for label in (ORIGINAL, RETRAIN, *ROWS):
        cells = [condition.title(label)]
        if label == RETRAIN:
            cells += ["–"] * (len(KINDS) + 2)
        else:
            verdicts = {str(audit): str(word) for audit, word in found.loc[label].items()}
            cells.append(verdicts["all"])
            for of_kind in KINDS.values():
                cells.append(_said(word for audit, word in verdicts.items() if of_kind(audit)))
            cells.append(str(stronger[label]))
        rows.append([*cells, *_numbers(condition, label)])
    shown = markdown.table(HEADS, rows, HEADS[-2:])
    said = _in_words(condition, stronger)
    wrapped = [fill(text, markdown.WIDTH, break_on_hyphens=False) for text in (CAPTION, said)]
    return "\n\n".join([shown, *wrapped])


def _in_words(condition: ub.Condition, stronger: pd.Series[str]) -> str:
    """Say which of the methods differ from retraining, and which only the stronger attack finds."""
    words = {label: str(condition.word(label)) for label in ROWS}
    named = {
        word: [condition.title(label) for label in ROWS if words[label] == word]
        for word in ("equivalent", "different", "inconclusive")
    }
    found = [
        condition.title(label)
        for label in ROWS
        if words[label] == "inconclusive" and stronger[label] == "different"
    ]
    lines = [
        f"**{_listed(named['different'])}** are shown to be different from retraining.",
        f"**{_listed(named['inconclusive'])}** are undecided;"
        f" of these, U-LiRA finds a difference for {_listed(found) or 'none'}.",
    ]
    if named["equivalent"]:
        lines.insert(0, f"**{_listed(named['equivalent'])}** are equivalent to retraining.")
    elif len(condition.powerless) == len(condition.single_audits):
        lines.append("So little data cannot show that a method is equivalent.")
    return " ".join(lines)


def _listed(names: list[str]) -> str:
    """Join names as a sentence does."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _said(verdicts: Iterable[str]) -> str:
    """Count the audits that find a difference; one alone is said in a word."""
    every = list(verdicts)
    different = every.count("different")
    if len(every) == 1:
        return every[0]
    return f"{different} of {len(every)}"


def _numbers(condition: ub.Condition, label: str) -> list[str]:
    """Return a row's means over runs."""
    means = condition.runs.groupby("label")[["ft_auc", "time_ratio"]].mean()
    auc, time = means.loc[label]
    return [f"{auc:.1f}", "–" if label == ORIGINAL else f"{time:.2f}"]
