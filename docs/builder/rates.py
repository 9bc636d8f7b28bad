"""How often the whole rule says what: benchmarks drawn by chance, of rows whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from docs.builder import markdown
from docs.builder.markdown import DOCS
from unlearnbench.audits.parts import TAIL
from unlearnbench.audits.roc import Floats, Index, Part, mean_of, placements, tail
from unlearnbench.verdicts.audit import Finding, Rule, Trials, look_for, overall, worded

PATH = DOCS / "rates.csv"
RULE = Rule(1 / 3, {}, "retrain", "original", "held-out retrain", "rmia")
ROWS = {"retrain again": 0.0, "a third left": 1 / 3, "half left": 0.5, "all left": 1.0}
"""The methods of a benchmark, and which share of the forget samples each leaves unforgotten."""
SETS, BENCHMARKS, SEED = (3, 5, 7, 10), 200, 0
FORGET, OTHERS, RETRAINS = 100, 1000, 3
WORDS = ("different", "inconclusive", "equivalent")


def benchmark(
    draw: np.random.Generator, sets: int, left: Mapping[str, float], *, scatter: float = 0.1
) -> dict[str, Trials]:
    """Draw what audits bring of every row: by audit, label and seeds.

    A sample's margin is its own level, which all models share, an effect of having been trained on
    it, which differs from sample to sample, and each model's noise; relearning brings some of the
    effect back and noise of its own. A row that leaves a share q treats so many forget samples as
    the original does and the others as retrain does, so that under every audit its true gap is q
    times the original's. left: q by label; scatter: standard deviation of a model's own shift.
    """
    labels = ["original", "held-out retrain", *left, *["retrain"] * RETRAINS]
    share = np.array([1.0, 0.0, *left.values(), *[0.0] * RETRAINS])[:, None]
    k, level = len(labels), draw.normal(2, 2, OTHERS)
    far = draw.normal(0, 0.3, OTHERS)
    trials: dict[str, dict[str, dict[tuple[int, ...], Part]]] = {}
    for s in range(sets):
        index = OTHERS + s * FORGET + np.arange(FORGET)
        both = np.concatenate((level, draw.normal(2, 2, FORGET)))
        effect = draw.gamma(2, 0.6, FORGET)
        kept = np.where(draw.random((k, FORGET)) < share, effect, 0.0)
        shift = scatter * draw.normal(size=(2, k, 1))
        seen = np.concatenate((np.zeros((k, OTHERS)), kept), axis=1)
        margin = both + seen + draw.normal(size=(k, len(both))) + shift[0]
        again = margin + 0.3 * seen + 0.5 * draw.normal(size=(k, len(both))) + shift[1]
        reference = both + np.concatenate((far, draw.normal(0, 0.3, FORGET)))
        tenth = np.argsort(effect)[-(FORGET // 10) :]
        for row, label in enumerate(labels):
            seeds = (s, row) if label in ("retrain", "held-out retrain") else (s, s, row)
            for audit, part in _audits(margin[row], again[row], reference, index, tenth).items():
                trials.setdefault(audit, {}).setdefault(label, {})[seeds] = part
    return dict(trials)


def _audits(
    margin: Floats, again: Floats, reference: Floats, index: Index, tenth: Index
) -> dict[str, Part]:
    """Return what eight audits bring of one model; arrays are of non-members, then of D_F."""
    others, name = np.arange(OTHERS), str(index[0])

    def of(values: Floats) -> tuple[Floats, Floats]:
        return values[OTHERS:], values[:OTHERS]

    def ranked(values: Floats, of_forget: Index) -> Part:
        forget, rest = of(values)
        return Part(name, index[of_forget], others, *placements(forget[of_forget], rest))

    every, ratio, sure = np.arange(FORGET), margin - reference, 100 * expit(margin)
    parts = {
        "rmia": ranked(ratio, every),
        "memorised": ranked(ratio, tenth),
        "loss": ranked(margin, every),
        "relearning-auc": ranked(again - reference, every),
        "forget-confidence": mean_of(name, sure[OTHERS:], index),
        "test-confidence": mean_of(name, sure[:OTHERS], others, shared=True),
        "relearning-confidence": mean_of(name, 100 * expit(again[OTHERS:]), index),
    }
    found = tail(name, *of(ratio), (index, others), TAIL)
    return parts | ({"tpr-rmia": found} if found else {})


def judged(trials: Mapping[str, Trials], methods: list[str]) -> dict[str, list[Finding]]:
    """Return what all audits find of each row, adjusted as in a benchmark with these methods."""
    found = [
        one for audit, parts in trials.items() for one in look_for(audit, parts, RULE).values()
    ]
    rows: dict[str, list[Finding]] = {}
    for one in worded(found, methods):
        rows.setdefault(one.label, []).append(one)
    return rows


def simulate(benchmarks: int = BENCHMARKS) -> pd.DataFrame:
    """Count the words of so many benchmarks: a line for each number of forget sets and row."""
    methods, lines = [*ROWS], []
    for sets in SETS:
        draw = np.random.default_rng([SEED, sets])
        counts = {label: dict.fromkeys(WORDS, 0) for label in methods}
        for _ in range(benchmarks):
            rows = judged(benchmark(draw, sets, ROWS), methods)
            for label in methods:
                counts[label][overall(rows[label], RULE)] += 1
        for label, words in counts.items():
            shares = {word: 100 * count / benchmarks for word, count in words.items()}
            lines.append({"row": label, "sets": sets, "benchmarks": benchmarks} | shares)
    return pd.DataFrame(lines)


def write() -> None:
    """Simulate, and keep the rates for the pages."""
    simulate().to_csv(PATH, index=False)


def table(path: Path) -> str:
    """Tabulate how often rows get each word; path: the CSV that `write` wrote."""
    rates = pd.read_csv(path)
    shares = [f"{word.capitalize()} %" for word in WORDS]
    rows = [
        [str(row["row"]), str(row["sets"]), *(f"{row[word]:.0f}" for word in WORDS)]
        for row in rates.to_dict("records")
    ]
    columns = ["What the method leaves", "Forget sets", *shares]
    return markdown.table(columns, rows, columns[1:])
