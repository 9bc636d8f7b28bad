"""Pages, tables and files from findings made by hand, some of them with hostile names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import escape

import unlearnbench as ub
from docs.builder.markdown import ROOT
from tests.hand import by_hand
from unlearnbench.evaluation.findings import Findings
from unlearnbench.planning.benchmark import Row
from unlearnbench.reporting import write
from unlearnbench.reporting.steps import STEPS, as_markdown
from unlearnbench.reporting.tables import section_tables
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.results import settings_table
from unlearnbench.reporting.write import write_report

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
        update={
            "title": HOSTILE,
            "methods": {HOSTILE: Row(method=HOSTILE, settings={"path": HOSTILE})},
        }
    )
    return found


@pytest.fixture(scope="module")
def page(hostile: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(hostile, tmp_path_factory.mktemp("page"))


def test_hostile_text_is_text_in_the_page(page: Path) -> None:
    html = page.read_text()
    assert len(html) < 1_000_000
    visible = html.replace(re.findall(r"<script type=\"module\">.*?</script>", html, re.S)[0], "")
    assert "<script>alert" not in visible and "&lt;script&gt;alert(1)" in visible
    data = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    known = json.loads(data[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert HOSTILE in known["runs"]["-full-10-r1"]["label"]
    fetched = r"(?:src|href)=[\"'](?!#|data:)[^\"']+|@import|url\((?!#)"
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


@pytest.mark.slow
def test_everything_is_in_the_findings(page: Path, hostile: Findings) -> None:
    again = Findings.from_json((page.parent / "findings.json").read_text())
    assert again.as_json() == hostile.as_json()
    other = write_report(again, page.parent / "again" / page.parent.name)
    for file in [file for file in page.parent.rglob("*.*") if "again" not in file.parts]:
        twin = other.parent / file.relative_to(page.parent)
        assert twin.exists() and file.read_bytes() == twin.read_bytes()


def test_a_row_without_a_known_paper_is_cited_by_its_address() -> None:
    amun = "https://arxiv.org/abs/2503.00917"
    text = write.bibliography({"amun": amun, "amun-adaptive": amun, "x": "https://x.org/1"})
    assert text.count("ebrahimpour2025amun") == 1 and "url = {https://x.org/1}" in text
    assert text.count("@") == 5 and text.count("{") == text.count("}")


def test_methods_that_ship_have_an_entry() -> None:
    known = set(write.entries({"a": "", "b": "https://arxiv.org/abs/2503.00917"}))
    assert known == {"b"}


@pytest.mark.slow
def test_unfinished_says_what_is_missing(tmp_path: Path) -> None:
    found = by_hand()
    found.open = 3
    html = write_report(found, tmp_path, refresh=5).read_text()
    assert "3 of 40 models are still to be made" in html
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "needs the retain set" in html, "why a row was skipped"


@pytest.mark.parametrize("name", ["digits", "digits-class", "digits-requests"])
def test_every_column_says_what_it_is(name: str) -> None:
    found = ub.load(ROOT / "results" / f"{name}@epyc-2").findings
    tables = [table for part in section_tables(found.conditions[-1]) for table in part]
    unsaid = {
        column.heading
        for table in [*tables, settings_table(found), *claims_tables({name: found})]
        for column in table.columns
        if not column.about
    }
    assert not unsaid


def test_how_to_read_it_is_on_the_page_and_in_the_guide(page: Path) -> None:
    html, guide = page.read_text(), (ROOT / "docs" / "guide" / "reading.md").read_text()
    assert as_markdown() in guide
    for what, why in STEPS:
        assert str(escape(what)) in html and str(escape(why)) in html


@pytest.mark.slow
def test_of_a_sequence_the_last_request_has_figures_and_attacks(tmp_path: Path) -> None:
    """All attacks of all requests would take two megabytes; they are in the files beside."""
    found = ub.load(ROOT / "results" / "digits-requests@epyc-2").findings
    written = write_report(found, tmp_path, figures=["verdicts", "after-requests"])
    html = written.read_text()
    assert written.stat().st_size < 2_000_000
    for request, there in ((1, False), (5, True)):
        assert (f'data-table="attack-rmia-full-4-r{request}"' in html) == there
        assert f'data-table="main-full-4-r{request}"' in html
        assert (tmp_path / "tables" / f"attack-rmia-full-4-r{request}.tex").exists()
    attacks = (tmp_path / "attacks.md").read_text()
    assert "full access, request 1" in attacks and "full access, request 5" in attacks
    assert html.count('class="chart') == 4, "both figures for each access"
