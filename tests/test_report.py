"""Tables from runs made by hand, compared with what they must look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Cli
from tests.hand import GROUP, VALUES, by_hand, changed, made, rows
from unlearnbench.audits.attacks import ATTACKS
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.planning.benchmark import Tuning
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import HELD_OUT
from unlearnbench.reporting.caveats import of_condition, warnings
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.tables.results import failures_table, settings_table, tidy
from unlearnbench.reporting.tables.rows import mean_and_std
from unlearnbench.reporting.tables.table import averaged

MODEL = {"file": "model.pt", "digest": "0123"}


@pytest.fixture(scope="module")
def condition() -> Condition:
    return Condition(by_hand(), *GROUP)


def test_main_table(condition: Condition) -> None:
    table = made("main", condition)
    lines = table.to_markdown().splitlines()
    assert lines[0] == (
        "| Method | Verdict | Surest audit | Its gap [95 %] | p (all audits) | Leak left % | FT"
        " AUC % | Forget % | Test % | Conf F | Conf T | Avg gap ↓ | Time ↓ |"
    )
    assert lines[1] == f"| --- | --- | --- | {'---: | ' * 9}---: |"
    cells = rows(table)
    assert list(cells) == ["original", "retrain", "noise band", *list(VALUES)[2:6], "ft"]
    assert cells["retrain"][:7] == ["–"] * 5 + ["50.5 ±0.5", "94.5 ±0.5"]
    band = ["±1.2", "±1.2", "±0.0", "–", "–", "≤ 0.5", "–"]
    assert cells["noise band"] == ["–"] * 5 + band
    verdicts = {label: row[0] for label, row in cells.items()}
    assert verdicts["original"] == verdicts["leaky"] == "different"
    assert verdicts["streisand"] == "over-forgets"
    assert verdicts[HELD_OUT] == verdicts["my_method"] == "inconclusive", "no audit has power"
    assert cells["leaky"][1] in ("RMIA", "Loss") and cells["leaky"][2].startswith("+4")
    assert [cells[label][3] for label in ("leaky", "my_method")] == ["< 0.001", "0.407"]
    assert cells["original"][4][:3] == "100" and cells["ft"] == ["skipped", *["–"] * 11]
    assert table.caption.startswith("10 % forgotten, full access. Verdict: against retrain, over")
    assert "mean ± std over 4 runs (retrain 8)" in table.caption
    assert "Forget acc, Retain acc, Test acc, FT AUC" in table.caption


def test_confidences_stand_beside_accuracies(condition: Condition) -> None:
    findings = condition.findings
    gaps = {"forget_confidence_gap": -0.004, "test_confidence_gap": 0.126}
    table = made("main", Condition(replace(findings, runs=findings.runs.assign(**gaps)), *GROUP))
    row = dict(zip(table.headings[1:], rows(table)["my_method"], strict=True))
    assert (row["Conf F"], row["Conf T"]) == ("-0.4", "+12.6")


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
            assert table.title.startswith(design.title)
            assert table.name == f"{design.name}-full-10-r1"


def test_spread_of_one_run_is_unknown() -> None:
    numbers = mean_and_std(
        pd.DataFrame({"ft_auc": [49.0], "avg_gap": [np.nan]}), ["ft_auc", "avg_gap"]
    )
    (row,) = as_rows(pd.DataFrame([{"kind": "method"} | numbers]))
    assert averaged("ft_auc").write(row) == "49.0" and averaged("avg_gap").write(row) == "–"


def test_attacks_have_intervals_and_numbers_of_references(condition: Condition) -> None:
    table = made("attacks", condition)
    assert table.headings == ["Method", "RMIA", "Loss"]
    cells = rows(table)
    assert cells["leaky"][0].endswith("] ≠") and cells["my_method"][0].endswith("] ?"), "no power"
    assert cells["detects original"][0] == "yes" and "RMIA: 16 references." in table.caption
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
        "4 reference models may be too few: with 2 of them the original's FT AUC differs by more"
        " than 1 point (references.count=8).",
        "streisand is not ranked (over-forgets: too low an FT AUC gives its forget set away).",
        "These audits have no power: RMIA. They have too little data to show that a gap is small,"
        " but can still find a difference. Add seeds, or use a larger forget set.",
    ]


def test_warnings_say_when_not_to_trust_the_table(condition: Condition) -> None:
    bad = changed(
        condition, "verdicts", f"label == '{HELD_OUT}' and audit == 'all'", verdict="different"
    )
    assert any(
        f"The control '{HELD_OUT}' failed (different by" in line for line in of_condition(bad)
    )
    assert rows(made("controls", bad))[HELD_OUT][1].startswith("NO: different by ")
    one = changed(
        condition, "verdicts", f"label == '{HELD_OUT}' and audit == 'loss'", verdict="different"
    )
    assert "as expected; different by 1 of 2" in rows(made("controls", one))[HELD_OUT][1]
    blind = changed(condition, "attacks", "label == 'original'", power=False)
    assert any("RMIA does not find" in line for line in of_condition(blind))


@pytest.mark.parametrize(
    ("references", "aucs", "said"),
    [
        (12, (50.0, 60.0, 64.0, 66.0), "with 8 of them the original's FT AUC differs by more than"),
        (2, (60.0,), "whether the original's FT AUC still moves is not known (references.count=4)"),
        (12, (50.0, 65.5, 65.5, 66.0), ""),
    ],
)
def test_too_few_references_are_told_by_what_was_compared(
    condition: Condition, references: int, aucs: tuple[float, ...], said: str
) -> None:
    curves = [one | {"references": list(aucs)} for one in condition.findings.curves]
    found = replace(condition.findings, curves=curves, references=references)
    lines = [line for line in of_condition(Condition(found, *GROUP)) if "too few" in line]
    assert [said in line for line in lines] == [True] * bool(said)


def test_originals_that_sets_share_are_told_where_nothing_stands_for_others(
    condition: Condition,
) -> None:
    def told(runs: pd.DataFrame) -> list[str]:
        found = Condition(replace(condition.findings, runs=runs), *GROUP)
        return [line for line in of_condition(found) if "share originals" in line]

    runs = condition.findings.runs
    one = runs.assign(original_seed=runs["original_seed"].where(runs["original_seed"].isna(), 1))
    few = one[(one["label"] != "retrain") | ~one.duplicated(["label", "forget_seed"])]
    assert not told(runs) and not told(one)
    assert [line.split(": ")[1] for line in told(few)] == [
        "verdicts are about 1 original alone (seeds.retrains=3)."
    ]


def audited(findings: Findings, retrained: float, trained: int) -> list[str]:
    """Return the warnings of an audit whose retrained models are so good on test samples."""
    given = Given.model_validate({"trained_retrains": trained, "original": MODEL})
    benchmark = findings.benchmark.model_copy(update={"given": given})
    runs = findings.runs.copy()
    runs.loc[runs["label"] == "retrain", "test_accuracy"] = retrained
    return warnings(replace(findings, benchmark=benchmark, runs=runs))


def test_a_recipe_that_does_not_fit_is_told(condition: Condition) -> None:
    said = "The retrained models get 20.6 % of test samples right, the original 94.0 %. If the"
    findings = condition.findings
    assert any(line.startswith(said) for line in audited(findings, 20.6, 4))
    told = [*audited(findings, 20.6, 0), *audited(findings, 89.5, 4), *warnings(findings)]
    assert not [line for line in told if line.startswith("The retrained models get")]


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
    assert settings.cells() == [["fast", "fast", "ft", "lr = 0.5, epochs = 2", "–"]]
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


def test_what_a_run_warns_of_is_said_once_a_row(condition: Condition) -> None:
    findings = condition.findings
    mine = [run for run in findings.details if run.startswith("my_method")]
    details = dict(findings.details)
    for run in mine[:3]:
        details[run] = details[run] | {"warnings": ["not rewound: why"]}
    said = warnings(replace(findings, details=details))
    assert f"my_method: not rewound: why (in 3 of {len(mine)} runs)." in said
    assert len(said) == len(warnings(findings)) + 1


def test_settings_that_nobody_chose_are_marked_in_the_row(condition: Condition) -> None:
    findings = replace(
        tuned(condition, borrowed={"digits": ["leaky"]}).findings, untuned=["my_method", "ft"]
    )
    table = made("main", Condition(findings, *GROUP))
    first = [row[0] for row in table.cells()]
    assert "leaky †" in first and "my_method ††" in first and "ft" in first
    assert table.caption.endswith("†† Settings not tuned here: the defaults of their methods.")
    again = Findings.from_json(findings.as_json())
    assert again.untuned == findings.untuned


def test_settings_at_an_end_of_their_range_are_warned_of(condition: Condition) -> None:
    findings = condition.findings
    rows = {"ga": {"lr": 0.096}, "delete": {"lr": 0.5, "epochs": 3}}
    raw = findings.benchmark.model_dump(mode="json", exclude_none=True) | {"methods": rows}
    ends = [("ga", 0.096), ("sfron", 0.082), ("delete", 0.1)]
    raw["tuning"] = {
        "ends": [{"row": row, "setting": "lr", "value": value, "end": 0.1} for row, value in ends]
    }
    benchmark = type(findings.benchmark).model_validate(raw)
    (line,) = [line for line in warnings(replace(findings, benchmark=benchmark)) if "end" in line]
    assert (
        "ga.lr = 0.096 (the range ends at 0.1). These methods" in line
        and "sfron" not in line
        and "delete" not in line
    )
    assert "widen" in line and "tune again" in line
    assert not [line for line in warnings(findings) if "widen" in line]


def test_published_numbers_stand_beside_those_of_the_papers_own_attack() -> None:
    """FT AUC, and the average gap with it, are then of `rmia-paper`, and said to be."""
    findings = by_hand()
    plain = made("published", Condition(findings, *GROUP))
    assert "Ours by RMIA, the AMUN paper's by AMUN's RMIA, so that they differ" in plain.caption
    findings.runs["auc: rmia-paper"] = findings.runs["ft_auc"] - np.arange(len(findings.runs)) % 3
    findings.benchmark.published[1].values["avg_gap"] = [1.0]
    condition = Condition(findings, *GROUP)
    table = made("published", condition)
    assert "FT AUC % (AMUN's RMIA)" in table.headings
    assert "Ours by the AMUN paper's attack (AMUN's RMIA): FT AUC, Average gap." in table.caption
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


@pytest.mark.slow
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
    assert "FT AUC of the membership attack Loss: " in report
    assert "no reference models for the membership attacks" in report and "(RMIA)" not in report
    assert "**Loss** is the attack behind FT, FR and RT AUC" in (folder / "reading.md").read_text()
    assert "membership attack Loss: " in (folder / "index.html").read_text()
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
