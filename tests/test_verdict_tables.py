"""Tables and sentences of verdicts, from runs made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.hand import GROUP, by_hand, changed, made, rows
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.planning.plan import HELD_OUT
from unlearnbench.reporting.caveats import of_condition
from unlearnbench.reporting.outcome import outcome
from unlearnbench.reporting.several import overview
from unlearnbench.reporting.summary import rules
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.tables.papers import left_out
from unlearnbench.reporting.tables.results import tidy
from unlearnbench.reporting.tables.rows import OLD
from unlearnbench.verdicts.pairs import against


@pytest.fixture(scope="module")
def condition() -> Condition:
    return Condition(by_hand(), *GROUP)


def test_nothing_voided_is_claimed_or_ranked(condition: Condition) -> None:
    assert condition.voided == [] and left_out({"hand": condition.findings}) == ""
    blind = changed(condition, "attacks", "label == 'original'", power=False)
    assert blind.voided == ["original"] and blind.findings.sound().runs.empty
    assert left_out({"hand": blind.findings}) == (
        "Left out, since controls failed: hand, 10 % forgotten, full access (original)."
    )
    good = replace(condition.findings)
    _, said, _ = overview({"good": good, "void": blind.findings})
    assert left_out({"void": blind.findings}) in said
    assert "Fewer than two settings or methods in common: no ranks." in said


def test_a_void_condition_decides_nothing(condition: Condition) -> None:
    blind = changed(condition, "attacks", "label == 'original'", power=False)
    table = made("main", blind)
    words = {label: row[0] for label, row in rows(table).items()}
    assert words["my_method"] == words["leaky"] == "void" and words["streisand"] == "over-forgets"
    assert table.marks == {} and "since controls failed (original)" in table.caption
    assert TABLES["versus"](blind) is TABLES["pairs"](blind) is None
    lines = list(outcome(blind))
    assert lines[0] == (
        "10 % forgotten, full access: no verdict, since controls failed (original)."
    )
    assert not [line for line in lines if "quivalent:" in line or "Smallest" in line]


def test_the_planted_leak_voids_a_table_only_where_the_headline_attack_misses_it() -> None:
    """An audit that misses it is named, and cannot show that a gap is small."""
    planted = Condition(by_hand({"leaky": "planted-leak"}), *GROUP)
    sure = {"p": 0.9, "gap": 0.3}
    assert planted.voided == [] and "planted as a control" not in " ".join(of_condition(planted))
    for attack, void in (("loss", []), ("rmia", ["planted-leak"])):
        missed = changed(
            planted, "attacks", f"label == 'planted-leak' and attack == '{attack}'", gap_low=-1.0
        )
        assert missed.voided == void
    weak = changed(planted, "verdicts", "label == 'planted-leak' and audit == 'loss'", **sure)
    weak = changed(weak, "verdicts", "audit == 'loss'", audit_power=False)
    (line,) = [line for line in of_condition(weak) if "planted" in line]
    assert line == (
        "These attacks find the original, but not the leak that was planted as a control, so they"
        " cannot show that a gap is small: Loss."
    )


def test_audits_that_a_row_lacks_stand_beside_its_word(condition: Condition) -> None:
    frame = condition.findings.verdicts
    frame = frame[~((frame["label"] == "leaky") & (frame["audit"] == "loss"))]
    findings = replace(condition.findings, verdicts=frame)
    assert rows(made("main", Condition(findings, *GROUP)))["leaky"][0] == "different (Loss not run)"
    none = Condition(replace(condition.findings, verdicts=frame[frame["label"] != "leaky"]), *GROUP)
    assert none.lacking("leaky") == ["rmia", "loss"], "the verdict over all is no audit"
    assert rows(made("main", none))["leaky"][0] == "–"
    good = changed(
        condition, "verdicts", "label == 'my_method' and audit == 'all'", verdict="equivalent"
    )
    assert rows(made("main", good))["my_method"][0] == "equivalent (U-LiRA not run)"
    held = changed(
        condition, "verdicts", f"label == '{HELD_OUT}' and audit == 'all'", verdict="equivalent"
    )
    assert rows(made("main", held))[HELD_OUT][0] == "equivalent (U-LiRA not run)"
    assert next(outcome(good)).startswith(
        "10 % forgotten, full access: Equivalent: my_method (U-LiRA not run). 1 shown to be"
        " different"
    )


def test_sets_that_a_row_lacks_stand_beside_its_word(condition: Condition) -> None:
    """As where runs failed: what it is on the others may be far better."""
    runs = condition.findings.runs
    few = runs[(runs["label"] != "leaky") | (runs["forget_seed"] < 4)]
    findings = replace(condition.findings, runs=few)
    words = {k: row[0] for k, row in rows(made("main", Condition(findings, *GROUP))).items()}
    assert words["leaky"] == "different (3 of 4 sets)" and words["my_method"] == "inconclusive"
    frame = findings.verdicts
    findings.verdicts = frame[(frame["label"] != "leaky") | (frame["audit"] != "loss")]
    said = rows(made("main", Condition(findings, *GROUP)))["leaky"][0]
    assert said == "different (Loss not run; 3 of 4 sets)"


def test_methods_stand_in_the_order_of_their_verdicts(condition: Condition) -> None:
    good = changed(
        condition, "verdicts", "label == 'leaky' and audit == 'all'", verdict="equivalent"
    )
    assert made("main", good).labels[4:] == ["leaky", "my_method", "streisand", "ft"]


def test_audits_of_models_cost_and_note(condition: Condition) -> None:
    assert TABLES["noted"](condition) is None
    findings = condition.findings
    (first, second, *_) = findings.runs["run"][findings.runs["label"] == "leaky"]
    noted = {"seconds": 2.0, "cka_forget": 0.5, "cka_test": 0.75, "probe.steps": 9.0}
    details = findings.details | {
        first: findings.details[first] | {"audits": {"probe": noted, "relearning": {"seconds": 3}}},
        second: findings.details[second] | {"audits": {"probe": noted | {"cka_test": 0.25}}},
    }
    looked = Condition(replace(findings, details=details), *GROUP)
    table = made("noted", looked)
    assert table.headings == ["Method", "CKA, forget", "CKA, test", "n"]
    assert table.cells() == [["leaky", "0.50", "0.50", "2"]]
    costs = made("cost", looked)
    cost = dict(zip(costs.headings[1:], rows(costs)["leaky"], strict=True))
    assert cost["Audits s"] == "3.5", "of 5 and 2 seconds"
    frame = looked.findings.cost.set_index("run")
    assert frame.loc[first, "audit: relearning"] == 3 and np.isnan(
        frame.loc[second, "audit: relearning"]
    )


def test_audit_by_audit(condition: Condition) -> None:
    table = made("audits", condition)
    assert table.headings == ["Method", "RMIA", "Loss"]
    assert TABLES["others"](condition) is TABLES["tails"](condition) is None, "none was made"
    cells = rows(table)
    assert list(cells)[:3] == ["margin", "needed", "power"] and cells["leaky"][0].endswith(" ≠")
    assert cells["power"] == ["no", "yes"] and cells["margin"][0] == "±8.0"
    needed = [condition.audits[audit][HELD_OUT].attainable for audit in ("rmia", "loss")]
    assert cells["needed"] == [f"±{value:.1f}" for value in needed]
    full = made("verdicts", condition)
    of_leaky = [row for row in full.cells() if row[0] == "leaky"]
    assert [row[1] for row in of_leaky[:2]] == ["RMIA", "Loss"]
    assert of_leaky[2][1].startswith("all: ") and of_leaky[2][-1] == "different"
    assert tidy(condition.findings)["verdicts"].startswith(
        "access,fraction,request,label,audit,sets,gap,gap_low,gap_high,share,"
    )


def test_against_the_best_or_a_row_that_is_named(condition: Condition) -> None:
    (row,) = as_rows(condition.versus())
    assert condition.nearest == "my_method" and row["label"] == "leaky"
    (pair,) = [row for row in as_rows(condition.pairs) if row["attack"] == "rmia"]
    assert row["difference"] == pair["difference"] > 0 and row["p"] == pair["p_raw"]
    (turned,) = as_rows(condition.versus("leaky"))
    assert turned["label"] == "my_method"
    assert (turned["low"], turned["high"]) == (-row["high"], -row["low"])
    with pytest.raises(UserError, match="Unknown row to compare: 'leeky'"):
        condition.versus("leeky")
    table = made("versus", condition)
    nearest, other = table.cells()
    assert nearest[0] == "my_method" and nearest[2:] == ["1", "–", "–"]
    assert other[0] == "leaky" and other[2] == "2"
    assert "Against the smallest mean gap, my_method: how" in table.caption
    assert "for all pairs (Holm), since the data chose" in table.caption
    benchmark = condition.benchmark.model_copy(update={"against": "leaky"})
    stated = Condition(replace(condition.findings, benchmark=benchmark), *GROUP)
    table = made("versus", stated)
    assert "Against leaky: how much" in table.caption and "these comparisons" in table.caption
    benchmark = condition.benchmark.model_copy(update={"against": "streisand"})
    unranked = Condition(replace(condition.findings, benchmark=benchmark), *GROUP)
    assert "smallest mean gap, my_method" in made("versus", unranked).caption


def test_fewer_comparisons_need_less_correction() -> None:
    pair = {"difference": 1.0, "low": 0.5, "high": 1.5, "sampling_error": 0.1, "seed_error": 0.1}
    raw = {("a", "b"): 0.02, ("a", "c"): 0.04, ("b", "c"): 0.001}
    compared = [
        pair | {"nearer": n, "farther": f, "p_raw": p, "p": 3 * p} for (n, f), p in raw.items()
    ]
    named = against(compared, "a", named=True)
    assert {row["label"]: row["p"] for row in named} == {"b": 0.04, "c": 0.04}
    chosen = against(compared, "a", named=False)
    assert {row["label"]: row["p"] for row in chosen} == {"b": 0.06, "c": 0.12}


def test_relearning_before_and_after(condition: Condition) -> None:
    assert TABLES["relearning"](condition) is None
    runs = condition.findings.runs.copy()
    audited = runs["label"].eq("my_method") & runs["forget_seed"].lt(3)
    for name, added in (("forget_accuracy", 3.0), ("ft_auc", 20.0)):
        runs.loc[audited, f"relearning: {name}"] = runs.loc[audited, name] + added
    table = made("relearning", Condition(replace(condition.findings, runs=runs), *GROUP))
    before = runs.loc[audited, "ft_auc"]
    (cells,) = table.cells()
    row = dict(zip(table.headings, cells, strict=True))
    assert row["Method"] == "my_method" and row["n"] == "2", "only runs that have both"
    assert row["FT AUC %"] == f"{before.mean():.1f} → {before.mean() + 20:.1f}"
    assert row["Gap after [95 %]"] == "–", "no audit has judged it"


def test_verdicts_of_before_are_said_to_be_so(condition: Condition) -> None:
    findings = condition.findings
    pairs = findings.pairs.drop(columns="p_raw")
    old = Condition(replace(findings, verdicts=pd.DataFrame(), pairs=pairs), *GROUP)
    assert old.old and not condition.old
    table = made("main", old)
    assert OLD in table.caption and OLD in list(outcome(old)) and OLD in rules(old.findings)[0][1]
    assert table.headings[:3] == ["Method", "Verdict", "FT AUC %"]
    assert rows(table)["leaky"][0] == "different"
    assert TABLES["audits"](old) is TABLES["versus"](old) is TABLES["pairs"](old) is None


def test_a_summary_says_who_won_how_sure_and_at_what_cost(condition: Condition) -> None:
    lines = list(outcome(condition))
    assert lines[0] == (
        "10 % forgotten, full access: No method was shown to be equivalent to retraining. 1 shown"
        " to be different: leaky. 1 undecided: my_method. Not ranked: streisand (over-forgets: too"
        " low an FT AUC gives its forget set away)."
    )
    allowed, needed = condition.margins("rmia")
    assert lines[1].startswith("FT AUC of the membership attack RMIA: ")
    assert lines[1].endswith(
        "There is not enough data here to show that any method is equivalent. Even exact unlearning"
        f" would reliably pass RMIA only if gaps of {needed:.1f} points still counted as small (the"
        f" limit is {allowed:.1f})."
    )
    gap = condition.verdict("my_method").gap
    assert gap and lines[2].startswith(
        f"Smallest mean gap in FT AUC: my_method ({gap.value:+.1f} points, 0.50 x retraining's"
        " time), then leaky ("
    )
    assert (
        lines[2].endswith(
            "Of the other 1, 1 is shown to be farther from retraining than my_method, after"
            " correction for all pairs."
        )
        and len(lines) == 3
    )
    limits = condition.benchmark.limits.model_copy(update={"because": "Set before any run."})
    benchmark = condition.benchmark.model_copy(update={"limits": limits})
    stated = " ".join(words for _, words in rules(replace(condition.findings, benchmark=benchmark)))
    assert stated.endswith(" Set before any run.") and "within 8 points of RMIA" in stated


def test_pairs_and_distances(condition: Condition) -> None:
    (row,) = made("pairs", condition).cells()
    assert row[:2] == ["my_method", "leaky"] and row[-1] == "< 0.001"
    distances = made("distances", condition)
    assert distances.headings == ["Method", "W1 F ↓", "ToW ↑", "PrivLeak % →0"]
    assert "KLoM and forgetting quality: n/a, they need 100 runs" in distances.caption
    assert distances.cells()[2][:2] == ["noise band", "≤ 0.50"]
