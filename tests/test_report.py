"""Tables from runs made by hand, compared with what they must look like."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from unlearnbench.benchmark import validate
from unlearnbench.metrics.gaps import with_gaps
from unlearnbench.plan import Plan
from unlearnbench.report import render, tables
from unlearnbench.report.collect import Findings
from unlearnbench.report.style import FIXED, looks

GROUP = ("full", 0.1, 1)
VALUES = {  # label: forget, retain, test accuracy and FT AUC on two forget sets
    "original": [(100.0, 100.0, 94.0, 64.0), (100.0, 100.0, 95.0, 66.0)],
    "retrain": [(94.0, 100.0, 94.0, 50.0), (95.0, 100.0, 95.0, 51.0)],
    "my_method": [(96.0, 100.0, 94.0, 52.0), (95.0, 98.0, 95.0, 51.0)],
    "solo": [(95.0, 99.0, 93.0, 49.0)],
}


@pytest.fixture
def findings() -> Findings:
    rows: list[dict[str, Any]] = []
    for label, runs in VALUES.items():
        for seed, (forget, retain, test, ft) in enumerate(runs, 1):
            rows.append(
                {"label": label, "access": "full", "fraction": 0.1, "request": 1}
                | {
                    "original_seed": seed,
                    "forget_seed": seed,
                    "run_seed": seed,
                    "run": f"{label}{seed}",
                }
                | {"forget_accuracy": forget, "retain_accuracy": retain, "test_accuracy": test}
                | {"ft_auc": ft, "seconds": 2.0, "gradients": 10, "memory": 100, "time_ratio": 0.5}
            )
    benchmark = validate(
        {
            "name": "hand",
            "title": "Made by hand",
            "model": "small-cnn",
            "data": {"name": "digits"},
            "forget": {"fractions": [0.1]},
            "seeds": {"originals": [1, 2], "forget": [1, 2], "runs": [1, 2]},
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
    runs_frame = with_gaps(pd.DataFrame(rows), benchmark.gap_terms)
    records = {row["run"]: {"seconds": {"total": 2.0, "search": 1.5}} for row in rows}
    plan = Plan(skipped={("ft", "full"): "needs the retain set"})
    return Findings(benchmark, plan, runs_frame, records)


def test_main_table(findings: Findings) -> None:
    table = tables.main_table(findings, GROUP)
    assert render.markdown(table).splitlines() == [
        "| Method | Forget acc % | Retain acc % | Test acc % | FT AUC % | FR AUC % | Avg gap ↓ |"
        " Time ↓ | n |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| original | 100.0 ±0.0 | 100.0 ±0.0 | 94.5 ±0.7 | 65.0 ±1.4 | – | 5.0 ±0.0 | – | 2 |",
        "| retrain | 94.5 ±0.7 | 100.0 ±0.0 | 94.5 ±0.7 | 50.5 ±0.7 | – | 0.0 ±0.0 |"
        " 0.50 ±0.00 | 2 |",
        "| my_method | 95.5 ±0.7 | 99.0 ±1.4 | 94.5 ±0.7 | 51.5 ±0.7 | – | 0.8 ±0.4 |"
        " 0.50 ±0.00 | 2 |",
        "| solo | 95.0 ±? | 99.0 ±? | 93.0 ±? | 49.0 ±? | – | 1.0 ±? | 0.50 ±? | 1 |",
        "| ft | skipped | – | – | – | – | – | – | 0 |",
    ]
    assert table.caption.startswith("10 % forgotten, full access. Mean ± std over n runs.")
    assert "Forget acc, Retain acc, Test acc, FT AUC" in table.caption


def test_latex_is_booktabs_and_escaped(findings: Findings) -> None:
    text = render.latex(tables.main_table(findings, GROUP))
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"my\_method & 95.5 $\pm$0.7 & 99.0 $\pm$1.4" in text
    assert r"\label{tab:main-full-10-r1}" in text and r"10 \% forgotten" in text
    assert render.escape(r"a_b & {50%} $x^2$ \x") == (
        r"a\_b \& \{50\%\} \$x\textasciicircum{}2\$ \textbackslash{}x"
    )


def test_published_numbers_have_columns_of_their_own(findings: Findings) -> None:
    table = tables.published_table(findings, GROUP)
    assert table is not None
    assert table.columns == [
        "Method",
        *("Forget acc %", "Forget acc % (published)", "FT AUC %", "FT AUC % (published)"),
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["retrain"] == ["94.5 ±0.7", "94.50 ±0.20", "50.5 ±0.7", "50.00"]
    assert rows["bs"] == ["–", "–", "–", "57.85"]
    assert "ft" not in rows, "printed for another fraction"
    assert tables.published_table(findings, ("forget-only", 0.1, 1)) is None


def test_gap_table_is_signed(findings: Findings) -> None:
    rows = {row[0]: row for row in tables.gap_table(findings, GROUP).rows}
    assert rows["my_method"][1] == "+1.0 ±1.4" and rows["my_method"][2] == "-1.0 ±1.4"


def test_csv_has_no_times_in_the_summary(findings: Findings) -> None:
    summary = render.summary_csv(findings)
    assert "hand,digits,small-cnn,full,0.100000,1,my_method,avg_gap,2,0.750000" in summary
    assert "seconds" not in summary and "seconds" not in render.runs_csv(findings)
    cost = render.cost_csv(findings).splitlines()
    assert cost[0].endswith("seconds: search") and cost[1].endswith("1.500000")


def test_every_method_keeps_its_colour() -> None:
    chosen = looks(["x", "amun", "y"])
    assert chosen["amun"] == FIXED["amun"] and chosen["x"] != chosen["y"]
    assert len({colour for colour, _ in FIXED.values()}) == len(FIXED)
    assert len({marker for _, marker in FIXED.values()}) == len(FIXED)
