"""How often the whole rule says what: benchmarks drawn by chance, of rows whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import expit

from docs.builder import markdown
from docs.builder.markdown import DOCS
from unlearnbench.audits.parts import TAIL
from unlearnbench.audits.roc import Floats, Index, Part, mean_of, placements, tail
from unlearnbench.planning.reading import read, shipped_benchmarks, validate
from unlearnbench.verdicts.audit import (
    RELEARNT,
    Finding,
    Rule,
    Trials,
    look_for,
    overall,
    worded,
)

PATH = DOCS / "rates.csv"
RULE = Rule(1 / 3, {}, "retrain", "original", "held-out retrain", "rmia")
ROWS = {"retrain again": 0.0, "a third left": 1 / 3, "half left": 0.5, "all left": 1.0}
"""What a method of a benchmark may be, and which share of the forget samples it leaves."""
ALIKE = 4
"""Methods of each kind: their family is corrected for its size."""
BENCHMARKS, SEED = 50, 0
WORDS = ("different", "inconclusive", "equivalent")


@dataclass(frozen=True)
class Design:
    """Say how large simulated benchmarks are.

    sets: forget sets, of `forget` samples each; others: non-members; retrains: of each set, the
    last one held out; relearned: how many sets are relearned on; effect: half the mean of what
    having been trained on a sample adds to its margin, in standard deviations of a model's noise.
    """

    name: str
    sets: int
    forget: int
    others: int
    retrains: int
    relearned: int
    effect: float


EFFECTS = {"digits": 0.27, "fashion-mnist": 0.39}
"""With these RMIA finds as much of the original as in the published results of the benchmark."""


def shipped(name: str) -> Design:
    """Return the design of a benchmark file of ours."""
    asked = validate(read(shipped_benchmarks()[name]))
    (fraction,), train, test = asked.forget.fractions, asked.data.train, asked.data.test
    assert train and test, "an unknown number of samples cannot be simulated"
    sets, audit = len(asked.seeds.forget), asked.model_audits["relearning"]
    size = round(fraction * train)
    return Design(
        name, sets, size, test, asked.seeds.retrains, min(audit.sets, sets), EFFECTS[name]
    )


def larger(sets: int) -> Design:
    """Return a design of twice as many samples as digits has, and of models that memorise more."""
    return Design("larger", sets, 100, 1000, 4, sets, 0.6)


def designs() -> list[Design]:
    """List what is simulated for the page."""
    return [*map(shipped, EFFECTS), *map(larger, (3, 7, 10))]


def benchmark(
    draw: np.random.Generator, design: Design, left: Mapping[str, float], *, scatter: float = 0.1
) -> dict[str, Trials]:
    """Draw what audits bring of every row: by audit, label and seeds.

    A sample's margin is its own level, which all models share, an effect of having been trained on
    it, which differs from sample to sample, and each model's noise; relearning brings some of the
    effect back and noise of its own. A row that leaves a share q treats so many forget samples as
    the original does and the others as retrain does, so that under every audit its true gap is q
    times the original's. left: q by label; scatter: standard deviation of a model's own shift.
    """
    yardstick = design.retrains - 1
    labels = ["original", "held-out retrain", *left, *["retrain"] * yardstick]
    share = np.array([1.0, 0.0, *left.values(), *[0.0] * yardstick])[:, None]
    k, level = len(labels), draw.normal(2, 2, design.others)
    far = draw.normal(0, 0.3, design.others)
    trials: dict[str, dict[str, dict[tuple[int, ...], Part]]] = {}
    for s in range(design.sets):
        index = design.others + s * design.forget + np.arange(design.forget)
        both = np.concatenate((level, draw.normal(2, 2, design.forget)))
        effect = draw.gamma(2, design.effect, design.forget)
        kept = np.where(draw.random((k, design.forget)) < share, effect, 0.0)
        shift = scatter * draw.normal(size=(2, k, 1))
        seen = np.concatenate((np.zeros((k, design.others)), kept), axis=1)
        margin = both + seen + draw.normal(size=(k, len(both))) + shift[0]
        again = margin + 0.3 * seen + 0.5 * draw.normal(size=(k, len(both))) + shift[1]
        reference = both + np.concatenate((far, draw.normal(0, 0.3, design.forget)))
        tenth = np.argsort(effect)[-(design.forget // 10) :]
        for row, label in enumerate(labels):
            seeds = (s, row) if label in ("retrain", "held-out retrain") else (s, s, row)
            parts = _of_signals(margin[row], reference, index, tenth)
            if s < design.relearned:
                parts |= _relearned(again[row], reference, index)
            for audit, part in parts.items():
                trials.setdefault(audit, {}).setdefault(label, {})[seeds] = part
    return dict(trials)


def _of_signals(margin: Floats, reference: Floats, index: Index, tenth: Index) -> dict[str, Part]:
    """Return what audits of signals bring of one model; arrays are of non-members, then of D_F."""
    others, name = np.arange(len(margin) - len(index)), str(index[0])
    every, ratio, sure = np.arange(len(index)), margin - reference, 100 * expit(margin)
    parts = {
        "rmia": _ranked(ratio, index, every),
        "memorised": _ranked(ratio, index, tenth),
        "loss": _ranked(margin, index, every),
        "forget-confidence": mean_of(name, sure[len(others) :], index),
        "test-confidence": mean_of(name, sure[: len(others)], others, shared=True),
    }
    found = tail(name, ratio[len(others) :], ratio[: len(others)], (index, others), TAIL)
    return parts | ({"tpr-rmia": found} if found else {})


def _relearned(again: Floats, reference: Floats, index: Index) -> dict[str, Part]:
    """Return what is read of the model after relearning."""
    sure = 100 * expit(again[len(again) - len(index) :])
    return {
        RELEARNT: _ranked(again - reference, index, np.arange(len(index))),
        "relearning-confidence": mean_of(str(index[0]), sure, index),
    }


def _ranked(scores: Floats, index: Index, of_forget: Index) -> Part:
    """Return the AUC of some forget samples against all non-members."""
    first = len(scores) - len(index)
    placed = placements(scores[first:][of_forget], scores[:first])
    return Part(str(index[0]), index[of_forget], np.arange(first), *placed)


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
    """Count the words of so many benchmarks: a line for each design and kind of row."""
    every = designs()
    jobs = [(design, number) for design in every for number in range(benchmarks)]
    drawn: Any = Parallel(n_jobs=-1)(delayed(_drawn)(*job) for job in jobs)
    lines = []
    for place, design in enumerate(every):
        own = drawn[place * benchmarks : (place + 1) * benchmarks]
        for kind in ROWS:
            words = [word for found, _, _ in own for word in found[kind]]
            shares = {word: 100 * words.count(word) / len(words) for word in WORDS}
            line = vars(design) | {
                "leak": np.mean([leak for _, leak, _ in own]),
                "possible": 100 * np.mean([possible for _, _, possible in own]),
            }
            lines.append(line | {"benchmarks": benchmarks, "row": kind} | shares)
    return pd.DataFrame(lines).rename(columns={"name": "design"})


def _drawn(design: Design, number: int) -> tuple[dict[str, list[str]], float, bool]:
    """Draw a benchmark: words by kind of row, the original's gap, whether all may be equivalent."""
    draw = np.random.default_rng([SEED, design.sets, design.forget, number])
    left = {f"{kind} {n}": share for kind, share in ROWS.items() for n in range(ALIKE)}
    rows = judged(benchmark(draw, design, left), [*left])
    words: dict[str, list[str]] = {
        kind: [overall(rows[f"{kind} {n}"], RULE) for n in range(ALIKE)] for kind in ROWS
    }
    found = {one.audit: one for one in rows["original"]}
    possible = all(found[audit].power for audit in (RULE.headline, RELEARNT))
    return words, found[RULE.headline].gap.value, possible


def write() -> None:
    """Simulate, and keep the rates for the pages."""
    simulate().to_csv(PATH, index=False, float_format="%.4g")


def table(path: Path) -> str:
    """Tabulate how often rows get each word, by design; path: the CSV that `write` wrote."""
    rates = pd.read_csv(path)
    shares = [f"{word.capitalize()} %" for word in WORDS]
    rows = [
        [
            str(row["design"]),
            f"{row['sets']} x {row['forget']}",
            f"{row['leak']:.0f}",
            f"{row['possible']:.0f}",
            str(row["row"]),
            *(f"{row[word]:.0f}" for word in WORDS),
        ]
        for row in rates.to_dict("records")
    ]
    columns = ["Design", "Forget sets x samples", "Leak", "Power %", "What a method leaves"]
    return markdown.table([*columns, *shares], rows, [*columns[1:4], *shares])
