"""Tables from runs made by hand, compared with what they must look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.hand import GROUP, VALUES, by_hand
from unlearnbench.evaluation.findings import Findings, lines
from unlearnbench.metrics.attacks import ATTACKS
from unlearnbench.planning.plan import HELD_OUT
from unlearnbench.report.figures.series import beyond, pareto
from unlearnbench.report.figures.style import FIXED, looks
from unlearnbench.report.pages.notes import of_setting
from unlearnbench.report.tables import audit, escape, ledger, printed, render
from unlearnbench.report.tables.results import main_table
from unlearnbench.report.tables.table import spread


@pytest.fixture(scope="module")
def findings() -> Findings:
    return by_hand()


def test_main_table(findings: Findings) -> None:
    table = main_table(findings, GROUP)
    lines = render.markdown(table).splitlines()
    assert lines[0] == (
        "| Method | Forget acc % | Retain acc % | Test acc % | FT AUC % | To retrain | Avg gap ↓ |"
        " Rank | Time ↓ | n |"
    )
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["original", "retrain", "noise band", *list(VALUES)[2:6], "ft"]
    assert rows["retrain"][:5] == ["94.5 ±0.5", "100.0 ±0.0", "94.0 ±0.0", "50.5 ±0.5", "–"]
    assert rows["noise band"] == ["±1.2", "±0.0", "±0.0", "±1.2", "–", "≤ 0.5", "–", "–", "–"]
    verdicts = {label: row[4] for label, row in rows.items()}
    assert verdicts["original"] == verdicts["leaky"] == "different"
    assert verdicts["streisand"] == "over-forgets" and rows["streisand"][6] == "–"
    assert verdicts[HELD_OUT] == verdicts["my_method"] == "equivalent"
    assert rows["my_method"][6] == "1" and rows["leaky"][6] == "2" and rows[HELD_OUT][6] == "–"
    assert rows["ft"] == ["skipped", *["–"] * 7, "0"]
    assert table.caption.startswith("10 % forgotten, full access. Mean ± std over n runs.")
    assert "within 8 points" in table.caption
    assert "Forget acc, Retain acc, Test acc, FT AUC" in table.caption
    assert max(map(len, map("  ".join, table.rows))) < 105, "one screen wide"


def test_spread_of_one_run_is_unknown() -> None:
    one = pd.DataFrame({"ft_auc": [49.0], "avg_gap": [np.nan]})
    assert spread(one, "ft_auc") == "49.0 ±?" and spread(one, "avg_gap") == "–"


def test_attacks_have_intervals_and_tiers(findings: Findings) -> None:
    table = audit.attacks_table(findings, GROUP)
    assert table is not None and table.columns == ["Method", "RMIA", "Loss"]
    cells = {row[0]: row[1] for row in table.rows}
    assert cells["leaky"].endswith("] ≠") and cells["my_method"].endswith("] =")
    assert cells["power"] == "yes" and "RMIA: 16 references, CPU tier" in table.caption
    full = audit.attack_table(findings, GROUP, "rmia")
    rows = {row[0]: row for row in full.rows}
    assert rows["leaky"][-1] == "–" and rows["destroyed"][-1] == "utility lost"
    assert rows["retrain"][4:8] == ["–"] * 4, "the yardstick has no gap"
    assert len(rows["noise band"]) == len(full.columns)
    assert rows["leaky"][6] == "< 0.001" and rows["leaky"][8] == "n/a"
    assert "n/a with fewer than 1,000 at 1 % and 10,000 at 0.1 % non-members" in full.caption
    assert all(ATTACKS[name].about for name in ATTACKS)


def test_controls_and_notes(findings: Findings) -> None:
    table = audit.control_table(findings, GROUP)
    assert table is not None
    assert [row[:3] for row in table.rows] == [
        ["original", "its members are told", "ok"],
        [HELD_OUT, "not different by any attack", "ok"],
        ["do-nothing", "flagged 'no-op'", "ok"],
        ["destroyed", "flagged 'utility lost'", "ok"],
    ]
    assert of_setting(findings, GROUP) == ["streisand is not ranked: over-forgets."]


def changed(findings: Findings, label: str, **columns: object) -> Findings:
    rows = [row | columns if row["label"] == label else row for row in lines(findings.attacks)]
    return replace(findings, attacks=pd.DataFrame(rows))


def test_notes_say_when_not_to_trust_the_table(findings: Findings) -> None:
    bad = changed(findings, HELD_OUT, verdict="different")
    assert f"the control '{HELD_OUT}' failed: different by RMIA; different by Loss." in of_setting(
        bad, GROUP
    )
    blind = changed(findings, "original", power=False)
    assert any("RMIA cannot tell" in note for note in of_setting(blind, GROUP))
    wide = changed(findings, "my_method", verdict="inconclusive", attainable=9.5)
    assert any("can: my_method 9.5" in note for note in of_setting(wide, GROUP))


def test_pairs_and_distances(findings: Findings) -> None:
    table = audit.pairs_table(findings, GROUP)
    assert table is not None
    assert [row[:2] for row in table.rows] == [["my_method", "leaky"]]
    assert table.rows[0][-1] == "< 0.001"
    distances = audit.distance_table(findings, GROUP)
    assert distances.columns == ["Method", "W1 F ↓", "ToW ↑", "PrivLeak % →0"]
    assert "KLoM: n/a, it needs 100 runs and retrains" in distances.caption
    assert distances.rows[2][0] == "noise band" and distances.rows[2][1] == "≤ 0.50"


def test_profile_is_a_table_of_the_runs_that_have_one(findings: Findings) -> None:
    assert ledger.profile_table(findings, GROUP) is None
    own = findings.runs["run"][findings.runs["label"] == "my_method"]
    details = findings.details | {
        run: findings.details[run] | {"profile": {"data": 1.0, "update": 2.0 + n % 2, "store": 0.5}}
        for n, run in enumerate(own)
    }
    table = ledger.profile_table(replace(findings, details=details), GROUP)
    assert table is not None
    assert table.title == "Where the time went"
    assert table.columns == ["Method", "Data s", "Update s", "Store s", "Sum s", "n"]
    row = ["my_method", "1.00 (25 %)", "2.50 (62 %)", "0.50 (12 %)", "4.00", str(len(own))]
    assert table.rows == [row]


def test_cost_settings_and_failures(findings: Findings) -> None:
    rows = {row[0]: row[1:] for row in ledger.cost_table(findings, GROUP).rows}
    assert rows["my_method"] == ["2.00 ±0.00", "0.50 ±0.00", "search 75 %", "10", "100", "4"]
    benchmark = findings.benchmark.model_copy(
        update={"methods": {"fast": {"method": "ft", "lr": 0.5, "epochs": 2}}}
    )
    failure = {"label": "ft", "access": "full", "run": "ft-s1-0", "error": "ValueError: no | idea"}
    other = replace(findings, benchmark=benchmark, skipped=[], failures=[])
    assert ledger.settings_table(other).rows == [["fast", "ft", "lr = 0.5, epochs = 2"]]
    assert ledger.failures_table(other) is None
    table = ledger.failures_table(replace(findings, failures=[failure]))
    assert table is not None and table.rows[0] == ["ft", "ft-s1-0", "ValueError: no | idea"]
    assert table.rows[1] == ["ft", "skipped", "full access: needs the retain set"]
    assert "no &#124; idea" in render.markdown(table)


def test_pareto_line_has_what_nothing_beats() -> None:
    points = pareto([1.0, 0.3, 0.3, 0.02, 0.5], [0.5, 3.0, 3.5, 7.0, 4.0])
    assert points == [(0.02, 7.0), (0.3, 3.0), (1.0, 0.5)]


def test_latex_is_booktabs_and_escaped(findings: Findings) -> None:
    text = render.latex(main_table(findings, GROUP))
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    row = next(line for line in text.splitlines() if line.startswith(r"my\_method"))
    assert r"& \textbf{96.5 $\pm$0.6} & \textbf{100.0 $\pm$0.0} & \textbf{94.0 $\pm$0.0} &" in row
    assert r"\label{tab:main-full-10-r1}" in text and r"10 \% forgotten" in text
    assert escape.latex(r"a_b & {50%} $x^2$ \x") == (
        r"a\_b \& \{50\%\} \$x\textasciicircum{}2\$ \textbackslash{}x"
    )


def test_published_numbers_have_columns_of_their_own(findings: Findings) -> None:
    table = printed.published_table(findings, GROUP)
    assert table is not None
    assert table.columns == [
        "Method",
        *("Forget acc %", "Forget acc % (published)", "FT AUC %", "FT AUC % (published)"),
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["retrain"] == ["94.5 ±0.5", "94.50 ±0.20", "50.5 ±0.5", "50.00"]
    assert rows["bs"] == ["–", "–", "–", "57.85"]
    assert "ft" not in rows, "printed for another fraction"
    assert printed.published_table(findings, ("forget-only", 0.1, 1)) is None


def test_csv_has_no_times_but_in_the_costs(findings: Findings) -> None:
    summary = render.summary_csv(findings)
    assert "hand,digits,small-cnn,full,0.100000,1,my_method,avg_gap,4," in summary
    for text in (summary, render.runs_csv(findings), render.attacks_csv(findings)):
        assert "seconds" not in text
    assert render.pairs_csv(findings).startswith("access,fraction,request,attack,nearer,farther,")
    cost = render.cost_csv(findings).splitlines()
    assert cost[0].endswith("seconds: search") and cost[1].endswith("1.500000")


def test_what_lies_beyond_the_axes_is_marked_at_their_edge() -> None:
    places = {"inside": (5.0, 5.0), "low": (5.0, -3.0), "far": (12.0, 11.0)}
    frame = pd.DataFrame([(n, x, y, n) for n, (x, y) in places.items()])
    frame.columns = ["method", "x", "y", "tip"]
    found = beyond(frame, {"x": (0.0, 10.0), "y": (0.0, 10.0)})
    assert found["method"].tolist() == ["low", "far"]
    assert found["arrow"].tolist() == ["↓", "↗"]
    assert found[["x", "y"]].to_numpy().tolist() == [[5, 0], [10, 10]]
    inside = found[["mark_x", "mark_y"]].to_numpy(dtype=float)
    assert inside[0, 0] == 5 and 0 < inside[0, 1] < 1
    assert ((inside[1] > 9) & (inside[1] < 10)).all()
    assert beyond(frame[:1], {"x": (0.0, 10.0), "y": (0.0, 10.0)}).empty


def test_every_method_keeps_its_colour() -> None:
    chosen = looks(["x", "amun", "y"])
    assert chosen["amun"] == FIXED["amun"] and chosen["x"] != chosen["y"]
    assert looks(["y", "x", "ft", "amun"])["x"] == chosen["x"], "in whatever order they come"
    assert len({colour for colour, _ in FIXED.values()}) == len(FIXED)
    assert len({marker for _, marker in FIXED.values()}) == len(FIXED)
