"""Pages, tables and files from findings made by hand, some of them with hostile names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.hand import GROUP, benchmark, by_hand
from unlearnbench.evaluation.findings import Findings
from unlearnbench.metrics.gaps import RETRAIN
from unlearnbench.report.figures import charts, series
from unlearnbench.report.figures import figure as figures
from unlearnbench.report.figures.marks import HOVER, SHOWN
from unlearnbench.report.pages import citations
from unlearnbench.report.tables import escape, render, results
from unlearnbench.report.tables.emphasis import emphasise
from unlearnbench.report.write import write

HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>\\input{x}[a](javascript:1)`*_$"


@pytest.fixture(scope="module")
def hostile() -> Findings:
    found = by_hand({"leaky": HOSTILE})
    found.failures = [{"label": HOSTILE, "access": "full", "run": HOSTILE, "error": HOSTILE}]
    found.broken = [f"{HOSTILE} failed: {HOSTILE}"]
    found.papers = {HOSTILE: f"https://example.org/{HOSTILE}"}
    found.details = {
        run: detail | {"environment": {"device": HOSTILE, "cores": 2}, "source": HOSTILE}
        for run, detail in found.details.items()
    }
    found.benchmark = found.benchmark.model_copy(
        update={"title": HOSTILE, "methods": {HOSTILE: {"method": HOSTILE, "path": HOSTILE}}}
    )
    return found


@pytest.fixture(scope="module")
def page(hostile: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(hostile, tmp_path_factory.mktemp("page"))


def test_hostile_text_is_text_in_the_page(page: Path) -> None:
    html = page.read_text()
    assert len(html) < 5_000_000
    visible = html.replace(re.findall(r"<script type=\"module\">.*?</script>", html, re.S)[0], "")
    assert "<script>alert" not in visible and "&lt;script&gt;alert(1)" in visible
    data = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    known = json.loads(data[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert HOSTILE in known["runs"]["-full-10-r1"]["label"]
    fetched = r"(?:src|href)=[\"'](?!#|data:)[^\"']+|@import|url\("
    assert re.findall(fetched, re.sub(r"<script.*?</script>", "", html, flags=re.S)) == []


def test_hostile_text_is_text_in_markdown(page: Path) -> None:
    for file in [*page.parent.glob("*.md"), *page.parent.glob("tables/*.md")]:
        text = file.read_text()
        assert "<script" not in text and not re.search(r"(?<!\\)\]\(javascript", text), file
        for line in text.splitlines():
            if line.startswith("|"):
                assert "calc" not in line or "cmd&#124;" in line, "a cell more"


def test_hostile_text_is_text_in_latex(page: Path) -> None:
    for file in page.parent.glob("tables/*.tex"):
        text = file.read_text()
        assert r"\input" not in text and "<script" not in text and "`" not in text
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_hostile_text_is_no_formula(page: Path) -> None:
    for file in page.parent.glob("tables/*.csv"):
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        cells = [*frame.columns, *(cell for name in frame for cell in frame[name])]
        bad = [c for c in cells if c[:1] in "=@" or (c[:1] in "+-" and re.search("[A-Za-z(]", c))]
        assert [c for c in bad if c and not re.fullmatch(r"-?\d[\d.]*e-\d+", c)] == []


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


def test_everything_is_in_the_findings(page: Path, hostile: Findings) -> None:
    again = Findings.from_json((page.parent / "findings.json").read_text())
    assert again.as_json() == hostile.as_json()
    other = write(again, page.parent.parent / "again")
    for file in page.parent.rglob("*.*"):
        twin = other.parent / file.relative_to(page.parent)
        assert twin.exists() and (file.suffix == ".pdf" or file.read_bytes() == twin.read_bytes())


def test_best_and_what_cannot_be_told_from_it() -> None:
    rows = []
    values = {RETRAIN: (0, 0, 0, 0), "a": (1, 1.2, 0.8, 1), "b": (1, 1, 1.4, 1), "c": (5, 6, 5, 6)}
    for label, gaps in values.items():
        for seed, gap in enumerate(gaps):
            rows.append({"label": label, "forget_seed": seed, "test_accuracy_gap": -gap})
    runs = pd.DataFrame(rows).assign(seconds=[1, 1, 1, 1] * 4)
    labels = ["original", *values]
    found = emphasise(runs, ["a", "b", "c"], labels, ["", "test_accuracy", "seconds"], {})
    assert found[2, 1] == "best" and found[3, 1] == "tied" and (4, 1) not in found
    assert all(found[row, 2] == "best" for row in (2, 3, 4)), "all the same"
    few = emphasise(runs[runs["forget_seed"] < 2], ["a", "c"], labels, ["", "test_accuracy"], {})
    assert few[4, 1] == "tied", "two forget sets decide nothing"
    assert emphasise(runs, ["a"], labels, ["", "test_accuracy"], {}) == {}
    ranked = {"ft_auc": {"a": (1.0, 2.0), "b": (1.0, 1.5), "c": (3.0, 9.0)}}
    assert emphasise(runs, ["a"], labels, ["ft_auc"], ranked) == {(2, 0): "tied", (3, 0): "best"}


def test_figures_can_be_drawn_with_fewer_methods() -> None:
    drawn = figures.figures(by_hand(), GROUP)
    names = [figure.name.removesuffix("-full-10-r1") for figure in drawn]
    assert names == [
        *("gaps", "forgetting-utility", "time-gap", "confidences", "roc"),
        *("auc-references", "classes", "memorisation"),
    ]
    for figure in drawn:
        (param,) = figure.spec["params"]
        assert param["name"] == SHOWN and "my_method" in param["value"]
        assert "do-nothing" not in param["value"], "controls have a table of their own"
        assert HOVER not in json.dumps(figures.printed(figure.spec))
        assert figure.spec["description"].startswith(figure.title)


def test_curves_over_requests_come_with_the_last_one() -> None:
    found = by_hand()
    after = found.runs.assign(request=2, test_accuracy=found.runs["test_accuracy"] - 1)
    forget = found.benchmark.forget.model_copy(update={"requests": 2})
    two = replace(
        found,
        benchmark=found.benchmark.model_copy(update={"forget": forget}),
        runs=pd.concat([found.runs, after], ignore_index=True),
        curves=found.curves * 2,
    )
    assert charts.after_requests(two, GROUP) is None
    drawn = charts.after_requests(two, ("full", 0.1, 2))
    assert drawn is not None
    titles = [one["layer"][1]["layer"][0]["encoding"]["y"]["title"] for one in drawn["concat"]]
    assert titles == ["FT AUC (%)", "Test accuracy (%)", "Average gap (points)"]
    rows = drawn["concat"][1]["layer"][1]["data"]["values"]
    mine = {row["x"]: row["y"] for row in rows if row["method"] == "my_method"}
    assert mine == {1: 94.0, 2: 93.0}


def test_distances_are_averaged_by_percentile() -> None:
    found = by_hand()
    for label, far in (("my_method", 1.0), ("leaky", 2.0)):
        for run in found.runs.loc[found.runs["label"] == label, "run"]:
            search: dict[str, object] = {"samples": 10, "not flipped": 5, "flipped": 5, "mean": far}
            search["percentiles"] = list(np.linspace(0, far, 101))
            found.details[run] = found.details[run] | {"search": search}
    frame = series.distances(found, GROUP).set_index(["method", "x"])["y"]
    assert frame["my_method", 1.0] == frame["leaky", 2.0] == 50, "half of them never flip"
    assert frame["leaky", 1.0] == 25
    assert charts.adversarial_distances(found, GROUP) is not None


def test_final_radii_are_shares_of_all_samples() -> None:
    found = by_hand()
    assert charts.final_radii(found, GROUP) is None, "nothing was searched"
    for label, radii in (("my_method", {"0": 2, "0.04": 3, "0.08": 5}), ("leaky", {})):
        for run in found.runs.loc[found.runs["label"] == label, "run"]:
            search = {"samples": 10, "percentiles": [], "radii": radii}
            found.details[run] = found.details[run] | {"search": search}
    frame = series.radii(found, GROUP)
    assert set(frame["method"]) == {"my_method"}, "the other's search doubles none"
    assert frame["x"].tolist() == [0.04, 0.08] and frame["y"].tolist() == [30.0, 50.0]
    assert charts.final_radii(found, GROUP) is not None


def test_a_row_without_a_known_paper_is_cited_by_its_address() -> None:
    amun = "https://arxiv.org/abs/2503.00917"
    text = citations.bibliography({"amun": amun, "amun-adaptive": amun, "x": "https://x.org/1"})
    assert text.count("ebrahimpour2025amun") == 1 and "url = {https://x.org/1}" in text
    assert text.count("@") == 5 and text.count("{") == text.count("}")


def test_methods_that_ship_have_an_entry() -> None:
    known = set(citations.entries({"a": "", "b": "https://arxiv.org/abs/2503.00917"}))
    assert known == {"b"}


def test_unfinished_says_what_is_missing(tmp_path: Path) -> None:
    found = by_hand()
    found.open = 3
    html = write(found, tmp_path, refresh=5).read_text()
    assert "3 of 40 models are still to be made" in html
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "needs the retain set" in html, "why a row was skipped"


def test_tables_of_a_group_have_all_forms(tmp_path: Path) -> None:
    table = results.main_table(by_hand(), GROUP)
    assert render.table_csv(table).splitlines()[0].startswith("Method,Forget acc %,")
    assert "**" in render.markdown(table) and r"\textbf{" in render.latex(table)
    wide = replace(table, rows=[[cell * 3 for cell in row] for row in table.rows])
    assert r"\begin{table*}" in render.latex(table) and r"\resizebox" in render.latex(wide)
    assert benchmark().name == "hand"
