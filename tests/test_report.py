"""Tables from runs made by hand, compared with what they must look like."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Cli
from tests.hand import GROUP, VALUES, by_hand
from unlearnbench.audits.attacks import ATTACKS
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.planning.benchmark import Tuning
from unlearnbench.planning.plan import HELD_OUT
from unlearnbench.registry import discover
from unlearnbench.reporting import escape, tables
from unlearnbench.reporting.outcome import outcome
from unlearnbench.reporting.several import overview
from unlearnbench.reporting.summary import of_condition, rule, warnings
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.tables.papers import left_out
from unlearnbench.reporting.tables.results import failures_table, settings_table, tidy
from unlearnbench.reporting.tables.rows import OLD, as_ranked, badness, best, mean_and_std
from unlearnbench.reporting.tables.table import Table, averaged
from unlearnbench.verdicts.pairs import against


@pytest.fixture(scope="module")
def condition() -> Condition:
    return Condition(by_hand(), *GROUP)


def made(name: str, condition: Condition) -> Table:
    table = TABLES[name](condition)
    assert table is not None
    return table


def rows(table: Table) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table.cells()}


def test_main_table(condition: Condition) -> None:
    table = made("main", condition)
    lines = table.to_markdown().splitlines()
    assert lines[0] == (
        "| Method | Verdict | Surest audit | Its gap [95 %] | FT AUC leak left % | FT AUC % |"
        " Forget % | Test % | Conf F | Conf T | Avg gap ↓ | Time ↓ |"
    )
    assert lines[1] == f"| --- | --- | --- | {'---: | ' * 8}---: |"
    cells = rows(table)
    assert list(cells) == ["original", "retrain", "noise band", *list(VALUES)[2:6], "ft"]
    assert cells["retrain"][:6] == ["–"] * 4 + ["50.5 ±0.5", "94.5 ±0.5"]
    band = ["±1.2", "±1.2", "±0.0", "–", "–", "≤ 0.5", "–"]
    assert cells["noise band"] == ["–"] * 4 + band
    verdicts = {label: row[0] for label, row in cells.items()}
    assert verdicts["original"] == verdicts["leaky"] == "different"
    assert verdicts["streisand"] == "over-forgets"
    assert verdicts[HELD_OUT] == verdicts["my_method"] == "inconclusive", "no audit has power"
    assert cells["leaky"][1] in ("RMIA", "Loss") and cells["leaky"][2].startswith("+4")
    assert cells["original"][3][:3] == "100" and cells["ft"] == ["skipped", *["–"] * 10]
    assert table.caption.startswith("10 % forgotten, full access. Verdict: against retrain, over")
    assert "mean ± std over 4 runs (retrain 8)" in table.caption
    assert "Forget acc, Retain acc, Test acc, FT AUC" in table.caption


def test_confidences_stand_beside_accuracies(condition: Condition) -> None:
    findings = condition.findings
    gaps = {"forget_confidence_gap": -0.004, "test_confidence_gap": 0.126}
    table = made("main", Condition(replace(findings, runs=findings.runs.assign(**gaps)), *GROUP))
    row = dict(zip(table.headings[1:], rows(table)["my_method"], strict=True))
    assert (row["Conf F"], row["Conf T"]) == ("+0.00", "+0.13")


def test_a_table_holds_numbers(condition: Condition) -> None:
    table = made("main", condition)
    frame = table.frame.set_index("label")
    assert frame.loc["retrain", "ft_auc"] == 50.5 and frame.loc["leaky", "verdict"] == "different"
    assert frame["kind"].to_dict() == {
        "original": "reference",
        "retrain": "reference",
        "noise band": "band",
        HELD_OUT: "reference",
        "my_method": "method",
        "leaky": "method",
        "streisand": "method",
        "ft": "skipped",
    }
    assert [table.pinned(row) for row in range(5)] == [True, True, True, True, False]
    mean = frame[frame["kind"] == "method"]["ft_auc"].mean()
    assert mean == pytest.approx((52.5 + 62.5 + 30.5) / 3)
    html = table._repr_html_()
    assert "font-weight: bold" in html and ">52.5 ±0.6<" in html and html == table.to_html()


def test_every_table_holds_numbers_until_it_is_shown(condition: Condition) -> None:
    text = {"label", "kind", "verdict", "flags", "part", "must", "problems", "nearer", "farther"}
    text |= {"audit", "surest", "missing"}
    for design in TABLES.values():
        table = design(condition)
        if table is not None:
            for name in set(map(str, table.frame)) - text:
                column = table.frame[name].dropna()
                if not name.endswith(("_verdict", "_trusted", "came_out")):
                    pd.to_numeric(column)
            assert table.title == design.title and table.name == f"{design.name}-full-10-r1"


def test_spread_of_one_run_is_unknown() -> None:
    numbers = mean_and_std(
        pd.DataFrame({"ft_auc": [49.0], "avg_gap": [np.nan]}), ["ft_auc", "avg_gap"]
    )
    (row,) = as_rows(pd.DataFrame([{"kind": "method"} | numbers]))
    assert averaged("ft_auc").write(row) == "49.0 ±?" and averaged("avg_gap").write(row) == "–"


def test_attacks_have_intervals_and_tiers(condition: Condition) -> None:
    table = made("attacks", condition)
    assert table.headings == ["Method", "RMIA", "Loss"]
    cells = rows(table)
    assert cells["leaky"][0].endswith("] ≠") and cells["my_method"][0].endswith("] ?"), "no power"
    assert (
        cells["detects original"][0] == "yes" and "RMIA: 16 references, CPU tier" in table.caption
    )
    full = made("attack-rmia", condition)
    cells = rows(full)
    assert cells["leaky"][-1] == "–" and cells["destroyed"][-1] == "utility lost"
    assert cells["retrain"][3:7] == ["–"] * 4, "the yardstick has no gap"
    assert len(cells["noise band"]) == len(full.columns) - 1
    assert cells["leaky"][5] == "< 0.001" and cells["leaky"][7] == "n/a"
    assert "n/a with fewer than 1,000 at 1 % and 10,000 at 0.1 % non-members" in full.caption
    assert all(ATTACKS[name].about for name in ATTACKS)
    assert TABLES["attack-lira"](condition) is None, "nobody asked for it"


def test_controls_and_warnings(condition: Condition) -> None:
    assert [row[:3] for row in made("controls", condition).cells()] == [
        ["original", "the attack detects its members", "as expected"],
        [
            HELD_OUT,
            "not different from retrain",
            "as expected; different by 0 of 2 audits (5 % each expected by chance)",
        ],
        ["do-nothing", "flagged 'no-op'", "as expected"],
        ["destroyed", "flagged 'utility lost'", "as expected"],
    ]
    assert list(of_condition(condition)) == [
        "4 reference models may be too few: with half of them the original's FT AUC moves by more"
        " than 1 point (references.count=8).",
        "streisand is not ranked: over-forgets.",
        "these audits have no power: RMIA. Add seeds or a larger forget set.",
    ]


def changed(condition: Condition, frame: str, where: str, **columns: object) -> Condition:
    """Change columns of the rows of a frame of findings for which `where` holds."""
    table = getattr(condition.findings, frame).copy()
    table.loc[table.eval(where), list(columns)] = list(columns.values())
    return Condition(replace(condition.findings, **{frame: table}), *condition.key)


def test_warnings_say_when_not_to_trust_the_table(condition: Condition) -> None:
    bad = changed(
        condition, "verdicts", f"label == '{HELD_OUT}' and audit == 'all'", verdict="different"
    )
    assert any(
        f"the control '{HELD_OUT}' failed (different by" in line for line in of_condition(bad)
    )
    assert rows(made("controls", bad))[HELD_OUT][1].startswith("NO: different by ")
    one = changed(
        condition, "verdicts", f"label == '{HELD_OUT}' and audit == 'loss'", verdict="different"
    )
    assert "as expected; different by 1 of 2" in rows(made("controls", one))[HELD_OUT][1]
    blind = changed(condition, "attacks", "label == 'original'", power=False)
    assert any("RMIA cannot tell" in line for line in of_condition(blind))


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


def test_audits_that_a_row_lacks_stand_beside_its_word(condition: Condition) -> None:
    frame = condition.findings.verdicts
    frame = frame[~((frame["label"] == "leaky") & (frame["audit"] == "loss"))]
    findings = replace(condition.findings, verdicts=frame)
    assert rows(made("main", Condition(findings, *GROUP)))["leaky"][0] == "different (Loss not run)"
    good = changed(
        condition, "verdicts", "label == 'my_method' and audit == 'all'", verdict="equivalent"
    )
    assert rows(made("main", good))["my_method"][0] == "equivalent (U-LiRA not run)"
    assert next(outcome(good)).startswith(
        "10 % forgotten, full access: equivalent: my_method (U-LiRA not run); 1 is different"
    )


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
    assert cells["power"] == ["none", "yes"] and cells["margin"][0] == "±8.0"
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
    with pytest.raises(UserError, match="Unknown row that is compared 'leeky'"):
        condition.versus("leeky")
    table = made("versus", condition)
    nearest, other = table.cells()
    assert nearest[0] == "my_method" and nearest[2:] == ["1", "–", "–"]
    assert other[0] == "leaky" and other[2] == "2"
    assert "Against the smallest mean gap, my_method: how" in table.caption
    assert "for all pairs (Holm), since the data chose" in table.caption


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
    assert OLD in table.caption and OLD in list(outcome(old)) and rule(old.findings).startswith(OLD)
    assert table.headings[:3] == ["Method", "Verdict", "FT AUC %"]
    assert rows(table)["leaky"][0] == "different"
    assert TABLES["audits"](old) is TABLES["versus"](old) is TABLES["pairs"](old) is None


def test_a_summary_says_who_won_how_sure_and_at_what_cost(condition: Condition) -> None:
    lines = list(outcome(condition))
    assert lines[0] == (
        "10 % forgotten, full access: no method is shown equivalent to retraining; 1 is different"
        " from it; 1 is undecided; not ranked: streisand (over-forgets)."
    )
    allowed, needed = condition.margins("rmia")
    assert lines[1].startswith("RMIA's AUC is: original ")
    assert lines[1].endswith(f"(margin needed: RMIA {needed:.1f} points, allowed {allowed:.1f}).")
    assert "No method can be called equivalent here: not RMIA has enough data" in lines[1]
    gap = condition.verdict("my_method").gap
    assert gap and lines[2].startswith(
        f"Smallest mean gap in FT AUC: my_method ({gap.value:+.1f} points, 0.50 x retraining's"
        " time), then leaky ("
    )
    assert lines[2].endswith("; 0 of 1 others cannot be told from my_method.") and len(lines) == 3
    limits = condition.benchmark.limits.model_copy(update={"because": "Set before any run."})
    benchmark = condition.benchmark.model_copy(update={"limits": limits})
    stated = rule(replace(condition.findings, benchmark=benchmark))
    assert stated.endswith(" Set before any run.") and "within 8 points of RMIA" in stated


def test_pairs_and_distances(condition: Condition) -> None:
    (row,) = made("pairs", condition).cells()
    assert row[:2] == ["my_method", "leaky"] and row[-1] == "< 0.001"
    distances = made("distances", condition)
    assert distances.headings == ["Method", "W1 F ↓", "ToW ↑", "PrivLeak % →0"]
    assert "KLoM and forgetting quality: n/a, they need 100 runs" in distances.caption
    assert distances.cells()[2][:2] == ["noise band", "≤ 0.50"]


def test_profile_is_a_table_of_the_runs_that_have_one(condition: Condition) -> None:
    assert TABLES["profile"](condition) is None
    findings = condition.findings
    own = findings.runs["run"][findings.runs["label"] == "my_method"]
    details = findings.details | {
        run: findings.details[run] | {"profile": {"data": 1.0, "update": 2.0 + n % 2, "store": 0.5}}
        for n, run in enumerate(own)
    }
    table = made("profile", Condition(replace(findings, details=details), *GROUP))
    assert table.title == "Where the time went"
    assert table.headings == ["Method", "Data s", "Update s", "Store s", "Sum s", "n"]
    row = ["my_method", "1.00 (25 %)", "2.50 (62 %)", "0.50 (12 %)", "4.00", str(len(own))]
    assert table.cells() == [row]


def test_cost_settings_and_failures(condition: Condition) -> None:
    cells = rows(made("cost", condition))
    shown = ["2.00 ±0.00", "0.50 ±0.00", "search 75 %", "10", "100", "–", "4"]
    assert cells["my_method"] == shown
    findings = condition.findings
    fast = {"fast": {"method": "ft", "lr": 0.5, "epochs": 2}}
    raw = findings.benchmark.model_dump(mode="json", exclude_none=True) | {"methods": fast}
    benchmark = type(findings.benchmark).model_validate(raw)
    failure = {"label": "ft", "access": "full", "run": "ft-s1-0", "error": "ValueError: no | idea"}
    other = replace(findings, benchmark=benchmark, skipped=[], failures=[])
    settings = settings_table(other)
    assert settings.cells() == [["fast", "ft", "lr = 0.5, epochs = 2"]]
    assert settings.frame["settings"][0] == {"lr": 0.5, "epochs": 2}
    assert failures_table(other) is None
    table = failures_table(replace(findings, failures=[failure]))
    assert table is not None
    assert table.cells()[0] == ["ft", "ft-s1-0", "ValueError: no | idea"]
    assert table.cells()[1] == ["ft", "skipped", "full access: needs the retain set"]
    assert "no &#124; idea" in table.to_markdown()


def tuned(condition: Condition, **said: object) -> Condition:
    findings = condition.findings
    tuning = Tuning.model_validate({"chosen": "by hand"} | said)
    benchmark = findings.benchmark.model_copy(update={"tuning": tuning})
    return Condition(replace(findings, benchmark=benchmark), *GROUP)


def test_settings_of_another_condition_are_marked_in_the_row(condition: Condition) -> None:
    plain = made("main", condition)
    borrowed = {"absent": ["nobody", "ft"], "digits": ["leaky"], "the paper": ["my_method"]}
    table = made("main", tuned(condition, borrowed=borrowed))
    first = [row[0] for row in table.cells()]
    assert "leaky †" in first and "my_method ††" in first
    assert "ft" in first, "it is skipped, so its settings are not used"
    assert table.labels == plain.labels and table.marks == plain.marks
    assert [row[1:] for row in table.cells()] == [row[1:] for row in plain.cells()]
    said = table.caption.removeprefix(plain.caption)
    assert said == (
        " † Settings not tuned here: those chosen for digits. †† Settings not tuned here: those"
        " chosen for the paper."
    )
    assert r"leaky $^\dagger$ &" in table.to_latex() and "?" not in table.to_latex()
    assert "†" not in plain.caption


def test_settings_at_an_end_of_their_range_are_warned_of(condition: Condition) -> None:
    findings = condition.findings
    rows = {"ga": {"lr": 0.096}, "delete": {"lr": 0.5, "epochs": 3}}
    raw = findings.benchmark.model_dump(mode="json", exclude_none=True) | {"methods": rows}
    ends = ["ga.lr = 0.096 (end 0.1)", "sfron.lr = 0.082 (end 0.1)", "delete.lr = 0.1 (end 0.1)"]
    raw["tuning"] = {"ends": ends}
    benchmark = type(findings.benchmark).model_validate(raw)
    (line,) = [line for line in warnings(replace(findings, benchmark=benchmark)) if "end" in line]
    assert (
        "ga.lr = 0.096 (end 0.1). A better value" in line
        and "sfron" not in line
        and "delete" not in line
    )
    assert "widen" in line and "tune again" in line
    assert not [line for line in warnings(findings) if "widen" in line]


def test_a_tables_first_cells_are_what_its_rows_are_of(condition: Condition) -> None:
    for design in TABLES.values():
        if table := design(condition):
            assert table.labels == [row[0] for row in table.cells()], design.name


def test_latex_is_booktabs_and_escaped(condition: Condition) -> None:
    text = made("main", condition).to_latex()
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    row = next(line for line in text.splitlines() if line.startswith(r"my\_method"))
    assert r"& \textbf{52.5 $\pm$0.6} & \textbf{96.5 $\pm$0.6} & 94.0 $\pm$0.0 & -- &" in row
    assert r"\label{tab:main-full-10-r1}" in text and r"10 \% forgotten" in text
    assert escape.latex(r"a_b & {50%} $x^2$ \x") == (
        r"a\_b \& \{50\%\} \$x\textasciicircum{}2\$ \textbackslash{}x"
    )


def test_published_numbers_stand_beside_those_of_the_papers_own_attack() -> None:
    """FT AUC, and the average gap with it, are then of `rmia-paper`, and said to be."""
    findings = by_hand()
    plain = made("published", Condition(findings, *GROUP))
    assert "Ours by RMIA, the AMUN paper's by RMIA, AMUN's, so that they differ" in plain.caption
    findings.runs["auc: rmia-paper"] = findings.runs["ft_auc"] - np.arange(len(findings.runs)) % 3
    findings.benchmark.published[1].values["avg_gap"] = [1.0]
    condition = Condition(findings, *GROUP)
    table = made("published", condition)
    assert "FT AUC % (RMIA, AMUN's)" in table.headings
    assert "Ours by the AMUN paper's attack (RMIA, AMUN's): FT AUC, Average gap." in table.caption
    assert "Ours by RMIA" not in table.caption
    shown, runs = table.frame.set_index("label"), findings.runs
    retrain = runs[runs["label"] == "retrain"].groupby("forget_seed").mean(numeric_only=True)
    own = runs[runs["label"] == "leaky"].set_index("forget_seed")
    assert shown.loc["leaky", "ft_auc"] == pytest.approx(own["auc: rmia-paper"].mean())
    gaps = [
        (own[ours] - retrain[ours]).abs()
        for ours in ("forget_accuracy", "retain_accuracy", "test_accuracy", "auc: rmia-paper")
    ]
    assert shown.loc["leaky", "avg_gap"] == pytest.approx(pd.concat(gaps).mean())
    assert made("main", condition).frame.set_index("label").loc["leaky", "ft_auc"] == 62.5


def test_a_benchmark_without_references_is_led_by_the_loss(
    tiny: Path, cli: Cli, tmp_path: Path
) -> None:
    asked = ("--set", "headline=loss", "--set", "references.count=0")
    done = cli("run", tiny, "--methods", "ft", *asked)
    assert done.code == 0, done.err
    assert not list((tmp_path / "results" / "tiny" / "runs").glob("reference-*"))
    assert cli("report", "tiny").code == 0
    folder = tmp_path / "reports" / "tiny"
    report = (folder / "report.md").read_text()
    assert "Loss's AUC is: original" in report
    assert "no reference models for the membership attacks" in report and "(RMIA)" not in report
    assert "**Loss** is the attack behind FT, FR and RT AUC" in (folder / "reading.md").read_text()
    assert "Loss&#39;s AUC is: original" in (folder / "index.html").read_text()
    runs = pd.read_csv(folder / "tables" / "runs.csv")
    assert np.allclose(runs["ft_auc"], runs["auc: loss"]) and runs["fr_auc"].notna().all()
    assert set(pd.read_csv(folder / "tables" / "attacks.csv")["attack"]) == {"loss", "svc"}


def test_published_numbers_have_columns_of_their_own(condition: Condition) -> None:
    table = made("published", condition)
    assert table.headings == [
        "Method",
        *("Forget acc %", "Forget acc % (published)", "FT AUC %", "FT AUC % (published)"),
    ]
    cells = rows(table)
    assert cells["retrain"] == ["94.5 ±0.5", "94.50 ±0.20", "50.5 ±0.5", "50.00"]
    assert cells["bs"] == ["–", "–", "–", "57.85"]
    assert "ft" not in cells, "printed for another fraction"
    numbers = table.frame.set_index("label").loc["retrain"]
    assert (numbers["forget_accuracy_published"], numbers["ft_auc_published"]) == (94.5, 50)
    assert TABLES["published"](Condition(condition.findings, "forget-only", 0.1, 1)) is None


def test_csv_has_no_times_but_in_the_costs(condition: Condition) -> None:
    texts = tidy(condition.findings)
    assert "hand,digits,small-cnn,full,0.100000,1,my_method,avg_gap,4," in texts["summary"]
    assert not any("seconds" in texts[name] for name in ("summary", "runs", "attacks", "pairs"))
    assert texts["pairs"].startswith("access,fraction,request,attack,nearer,farther,")
    cost = texts["cost"].splitlines()
    assert cost[0].endswith("seconds: search") and cost[1].endswith("1.500000")


def test_markdown_marks_only_what_would_do_something() -> None:
    for plain in ("50.7 [46.4, 55.0] =", "my_method", "amun-adaptive", "< 0.001", "2.0 ±0.1, 5 %"):
        assert escape.markdown(plain) == plain
    assert escape.markdown("_a_ *b* a|b") == r"\_a\_ \*b\* a&#124;b"
    assert escape.markdown("two\nlines") == "two lines" and escape.markdown("# x") == r"\# x"
    assert escape.markdown("1. x") == r"1\. x" and escape.markdown("<b>") == "&lt;b>"


def test_numbers_with_a_sign_are_no_formulas() -> None:
    for number in ("-0.9 [-4.9, +3.2]", "+2.0 ±1.5", "-3", "+1.2 [+0.1, +2.3] ≠", "-1.5e-07"):
        assert escape.csv(number) == number
    for formula in ("=1+1", "-2+3+cmd|' /C calc'!A0", "+A1", "@SUM(1)", "-1-1", "\t=1"):
        assert escape.csv(formula) == "'" + formula


def test_latex_has_no_character_that_pdflatex_lacks() -> None:
    assert escape.latex("né ≤ 汉\x00") == r"né $\leq$ ??"
    assert escape.latex("-0.9 [-4.9, +3.2] l1-2") == "$-$0.9 [$-$4.9, +3.2] l1-2"


def test_best_and_what_cannot_be_told_from_it() -> None:
    rows = []
    values = {
        "retrain": (0, 0, 0, 0),
        "a": (1, 1.2, 0.8, 1),
        "b": (1, 1, 1.4, 1),
        "c": (5, 6, 5, 6),
    }
    for label, gaps in values.items():
        for seed, gap in enumerate(gaps):
            rows.append({"label": label, "forget_seed": seed, "test_accuracy_gap": -gap})
    runs = pd.DataFrame(rows).assign(seconds=[1, 1, 1, 1] * 4)
    labels = ["a", "b", "c"]
    assert best(runs, labels, "test_accuracy") == {"a": "best", "b": "tied"}
    assert best(runs, labels, "seconds") == {}, "all the same"
    few = best(runs[runs["forget_seed"] < 2], ["a", "c"], "test_accuracy")
    assert few == {}, "two forget sets decide nothing"
    assert best(runs, ["a"], "test_accuracy") == {}
    ranks = {"a": (1.0, 2.0), "b": (1.0, 1.5), "c": (3.0, 9.0)}
    assert as_ranked(ranks) == {"a": "tied", "b": "best"}
    assert as_ranked({"a": (1.0, 2.0), "b": (1.0, 1.5)}) == {}, "nothing is told apart"


def test_directions_are_those_of_metrics() -> None:
    runs = pd.DataFrame({"tow": [0.9], "privleak": [-3.0], "w1_test": [0.2], "swap_auc": [47.0]})
    far = {key: badness(runs, key) for key in map(str, runs)}
    assert {key: float(loss.iloc[0]) for key, loss in far.items() if loss is not None} == {
        "tow": -0.9,
        "privleak": 3.0,
        "w1_test": 0.2,
        "swap_auc": 3.0,
    }
    assert badness(runs, "ks_test") is None


def test_tables_have_all_forms(condition: Condition) -> None:
    table = made("main", condition)
    assert table.to_csv().splitlines()[0].startswith("Method,Verdict,Surest audit,")
    assert "**" in table.to_markdown() and r"\textbf{" in table.to_latex()
    pieces = table.pieces()["latex"]
    assert "".join(f"{line}\n" for part in pieces.values() for line in part) == table.to_latex()
    wide = replace(table, columns=[*table.columns, *table.columns[1:]])
    assert r"\begin{table*}" in table.to_latex() and r"\resizebox" in wide.to_latex()


SURE = '''
"""How sure models are of the forget samples."""

from unlearnbench.evaluation.findings import Condition
from unlearnbench.reporting.tables import register
from unlearnbench.reporting.tables.rows import by_label, marked
from unlearnbench.reporting.tables.table import Table, averaged, text


@register("sure", "How sure of forget samples")
def sure_table(condition: Condition) -> Table:
    """Show the forget accuracy alone."""
    names = ["forget_accuracy"]
    columns = [text("Method", "label"), *map(averaged, names)]
    return marked(condition, Table("Closest is best.", by_label(condition, names), columns))
'''


def test_a_table_is_one_file(
    condition: Condition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sure.py").write_text(SURE)
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    try:
        discover("unlearnbench.reporting.tables")
        shown, _ = tables.section_tables(condition)
        assert (
            shown[-1].name == "sure-full-10-r1" and shown[-1].title == "How sure of forget samples"
        )
        assert rows(shown[-1])["my_method"] == ["96.5 ±0.6"] and "Bold: best" in shown[-1].caption
        with pytest.raises(UserError, match=r"Two tables are called 'main', in .*results and "):
            tables.register("main", "Mine")(lambda condition: None)
    finally:
        TABLES.pop("sure", None)
        sys.modules.pop("unlearnbench.reporting.tables.sure", None)
