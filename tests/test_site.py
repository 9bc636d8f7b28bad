"""The guide as a site: built without a warning, read in a real browser, from files alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request

from docs.builder import site as builder

pytestmark = pytest.mark.slow
WIDTHS = (390, 1440)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site; building it raises if there is a warning."""
    folder = tmp_path_factory.mktemp("site")
    builder.build(folder)
    return folder / "guide"


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """Open a tab; in the end nothing may have been asked of another host or complained of."""
    problems: list[str] = []

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:")):
            problems.append(f"request: {request.url}")

    page = browser.new_page()
    page.on("request", on_request)
    page.on("console", lambda said: problems.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    page.close()
    assert problems == []


def names() -> list[str]:
    return [str(path.with_suffix(".html")).replace("README", "index") for path in builder.sources()]


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()
    methods = (site / "recipes" / "index.html").read_text()
    for name in names():
        assert (site / name).exists()
        listed = methods if name.startswith("recipes/") else home
        href = name.removeprefix("recipes/") if name.startswith("recipes/") else name
        assert re.search(rf'href="(?:\./)?{re.escape(href)}"', listed) or name == "index.html", name
    assert (site / "reports" / "digits@epyc-2" / "index.html").exists()
    for page, name in {
        "api-methods": "unlearnbench.Method.unlearn",
        "api": "unlearnbench.run",
    }.items():
        assert f'id="{name}"' in (site / "guide" / f"{page}.html").read_text()


def test_pages_fit_and_ask_nobody(site: Path, tab: Page) -> None:
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        for name in names():
            tab.goto((site / name).as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


def test_formulas_are_drawn(site: Path, tab: Page) -> None:
    tab.goto((site / "recipes" / "l1-sparse.html").as_uri())
    shown = tab.locator(".equation math")
    assert shown.count() == 2
    box = shown.first.bounding_box()
    assert box is not None and box["width"] > 100


@pytest.mark.parametrize("word", ["adversarial", "noise", "dataset", "hyperparameter"])
def test_search_works_without_a_server(site: Path, tab: Page, word: str) -> None:
    tab.goto((site / "guide" / "words.html").as_uri())
    tab.keyboard.press("Control+k")
    box = tab.locator("input[aria-label=Search]")
    box.wait_for()
    tab.keyboard.type(word, delay=40)
    found = tab.get_by_text(re.compile(r"^\d+ results$"))
    found.wait_for()
    assert box.input_value() == word, "what is typed stays"
    assert int(found.inner_text().split()[0]) > 5


def test_a_sidebar_is_short(site: Path, tab: Page) -> None:
    tab.set_viewport_size({"width": 1440, "height": 900})
    for name in names():
        tab.goto((site / name).as_uri())
        assert tab.locator(".md-sidebar--primary a.md-nav__link:visible").count() <= 15, name
