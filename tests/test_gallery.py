"""Published reports are what the code of today makes of their findings."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unlearnbench.evaluation.findings import Findings
from unlearnbench.report.overview import overview
from unlearnbench.report.write import write_sections

DOCS = Path(__file__).parent.parent / "docs"
NAMES = ["digits", "fashion-mnist"]


@pytest.fixture(scope="module")
def publish() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish", DOCS / "publish.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["publish"] = module
    spec.loader.exec_module(module)
    return module


def without_library(html: str) -> str:
    """Leave Vega itself out: which version is installed does not make a report old."""
    return re.sub(r"<script type=.module.>.*?</script>", "", html, count=1, flags=re.S)


@pytest.mark.parametrize("name", NAMES)
def test_published_reports_are_current(name: str, publish: ModuleType, tmp_path: Path) -> None:
    publish.write_again([name], tmp_path)
    page = tmp_path / name / "index.html"
    for file, text in publish.texts(page.parent, DOCS / name).items():
        assert (DOCS / name / file).read_text() == text, f"{name}/{file}: publish it again"
    old = (DOCS / name / "index.html").read_text()
    assert without_library(old) == without_library(page.read_text())
    assert len(old) < 5_000_000


@pytest.fixture(scope="module")
def publish_paper(publish: ModuleType) -> ModuleType:
    assert publish.DOCS == DOCS
    spec = importlib.util.spec_from_file_location("publish_paper", DOCS / "publish_paper.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_of_the_paper_are_current(publish_paper: ModuleType) -> None:
    found = publish_paper.published()
    for name in set(found) - set(NAMES):
        page = publish_paper.page(found[name], DOCS / name)
        assert (DOCS / name / "README.md").read_text() == page, f"{name}: publish it again"
    for file, text in publish_paper.claims_pages(found).items():
        assert (DOCS / "claims" / file).read_text() == text, "publish_paper.py --again"


def test_the_report_over_all_is_current(tmp_path: Path) -> None:
    found = {
        name: Findings.from_json((DOCS / name / "findings.json").read_text()) for name in NAMES
    }
    page = write_sections(*overview(found), tmp_path / "+".join(NAMES))
    old = (DOCS / "overview" / "index.html").read_text()
    assert without_library(old) == without_library(page.read_text())


def test_every_picture_of_the_gallery_is_there() -> None:
    for page in [*DOCS.glob("*.md"), *DOCS.glob("*/*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)\s#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"
