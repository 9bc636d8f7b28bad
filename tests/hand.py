"""Findings made by hand, of which is known what their tables must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tests.toys import toy
from unlearnbench.audits.attacks import HEADLINE, Attacked, Samples, View, attacked, score
from unlearnbench.evaluation.evaluate import Evaluation
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.judge import judge_all
from unlearnbench.evaluation.measure import Measured
from unlearnbench.metrics.curves import Curves, curves
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import HELD_OUT, Cell
from unlearnbench.planning.reading import validate
from unlearnbench.planning.rows import controls
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.tables.table import Table

GROUP = ("full", 0.1, 1)
VALUES = {  # label: forget, retain, test accuracy, FT AUC, and by how much forget samples stand out
    "original": (100.0, 100.0, 94.0, 64.0, 2.0),
    "retrain": (94.0, 100.0, 94.0, 50.0, 0.0),
    HELD_OUT: (94.0, 100.0, 94.0, 50.0, 0.0),
    "my_method": (96.0, 100.0, 94.0, 52.0, 0.0),
    "leaky": (100.0, 100.0, 94.0, 62.0, 2.0),
    "streisand": (80.0, 100.0, 94.0, 30.0, -2.0),
    "do-nothing": (100.0, 100.0, 94.0, 64.0, 2.0),
    "destroyed": (10.0, 10.0, 10.0, 50.0, 0.0),
}
SEEDS = (1, 2, 3, 4)


def benchmark() -> Benchmark:
    return validate(
        {
            "name": "hand",
            "title": "Made by hand",
            "model": "small-cnn",
            "data": {"name": "digits"},
            "forget": {"fractions": [0.1]},
            "seeds": {"originals": SEEDS, "forget": SEEDS, "runs": SEEDS, "retrains": 3},
            "attacks": ["rmia", "loss"],
            "limits": {"equivalence": 8.0},
            "published": [
                {"source": "A, Table 1", "method": "retrain", "fraction": 0.1}
                | {"values": {"forget_accuracy": [94.5, 0.2], "ft_auc": [50]}},
                {
                    "source": "A, Table 1",
                    "method": "bs",
                    "fraction": 0.1,
                    "values": {"ft_auc": [57.85]},
                },
                {
                    "source": "A, Table 1",
                    "method": "ft",
                    "fraction": 0.5,
                    "values": {"ft_auc": [1.0]},
                },
            ],
        }
    )


def scored(draw: np.random.Generator, stand_out: float, seed: int) -> Attacked:
    forget, others = np.arange(120) + 1000 * seed, np.arange(600)
    pool = np.zeros(5000)
    pool[forget], pool[others] = draw.normal(stand_out, 1, 120), draw.normal(size=600)
    return attacked(pool, forget, others, seed)


def shapes(stand_out: float, seed: int) -> Curves:
    margins, bank = toy(60, 4, seed=seed)
    margins[:30] += stand_out
    index = np.arange(120)
    signals = {"margin": margins, "correct": margins > -1, "label": index % 3}
    view = View(signals, Samples(index[:30], index[30:60], index[60:], index[60:]))
    return curves(view, bank, score(HEADLINE, view, bank))


def by_hand(names: Mapping[str, str] | None = None) -> Findings:
    """Make findings whose tables are known; names: labels to be called otherwise."""
    called = names or {}
    draw = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    measured = Measured()
    made: list[Curves] = []
    for known, (forget, retain, test, ft, stand_out) in VALUES.items():
        label = called.get(known, known)
        again = 2 if label == "retrain" else 1
        for seed in [s for s in SEEDS for _ in range(again)]:
            jitter = len(rows) % 2
            run = f"{label}{len(rows)}"
            cell = Cell(label, "full", 0.1, 1, (seed, seed, len(rows)), run, f"split{seed}")
            if label != "retrain":
                cell = Cell(label, "full", 0.1, 1, (seed, seed, seed), run, f"split{seed}")
            found = {name: scored(draw, stand_out, seed) for name in ("rmia", "loss")}
            measured.cells[cell] = Evaluation({}, found, {})
            made.append(shapes(stand_out, len(rows)))
            rows.append(
                {"label": label, "access": "full", "fraction": 0.1, "request": 1}
                | {"original_seed": seed, "forget_seed": seed, "run_seed": seed, "run": run}
                | {"no_op": label == "do-nothing", "forget_accuracy": forget + jitter}
                | {"retain_accuracy": retain, "test_accuracy": test, "ft_auc": ft + jitter}
                | {"w1_forget": 0.5, "seconds": 2.0, "gradients": 10, "memory": 100}
                | {"time_ratio": 0.5}
            )
    asked = benchmark()
    runs = with_gaps(pd.DataFrame(rows), asked.gap_terms)
    judged = judge_all(asked, measured, runs, controls())
    return Findings(
        asked,
        runs,
        *judged,
        curves=made,
        details={
            row["run"]: {
                "seconds": {"total": 2.0, "search": 1.5},
                "source": "0123",
                "environment": {"torch": "2.0", "cores": 2},
            }
            for row in rows
        },
        references=4,
        models=40,
        skipped=[{"label": "ft", "access": "full", "reason": "needs the retain set"}],
    )


def made(name: str, condition: Condition) -> Table:
    table = TABLES[name](condition)
    assert table is not None
    return table


def rows(table: Table) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table.cells()}


def changed(condition: Condition, frame: str, where: str, **columns: object) -> Condition:
    """Change columns of the rows of a frame of findings for which `where` holds."""
    table = getattr(condition.findings, frame).copy()
    table.loc[table.eval(where), list(columns)] = list(columns.values())
    return Condition(replace(condition.findings, **{frame: table}), *condition.key)
