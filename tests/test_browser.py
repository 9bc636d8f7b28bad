"""The page in a real browser: Debian's Chromium, driven by Playwright, judged by axe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

import unlearnbench as ub
from docs.builder.markdown import ROOT
from tests.hand import by_hand, made
from unlearnbench.evaluation.findings import Condition
from unlearnbench.reporting.several import comparison, overview
from unlearnbench.reporting.write import write_report, write_sections

pytestmark = pytest.mark.slow
WIDTHS = (360, 768, 1440)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    found = by_hand()
    found.broken = ["something to be read with the tables"]
    found.failures = [
        {"label": "leaky", "access": "full", "run": "leaky-s9", "error": "ValueError: no idea"}
    ]
    both = {"one": found, "other": by_hand()}
    return {
        "report": write_report(found, folder / "hand"),
        "overview": write_sections(*overview(both), folder / "one+other"),
        "compare": write_sections(*comparison(both), folder / "compare"),
    }


@pytest.fixture(scope="module")
def emphasis(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Condition]:
    """Return the page of published results, in which some rows are best and some tied."""
    found = ub.load(ROOT / "results" / "digits@epyc-2").findings
    return write_report(found, tmp_path_factory.mktemp("digits"), figures=[]), found.conditions[0]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open a page; in the end nothing may have been fetched and nothing been complained of."""
    problems: list[str] = []
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            problems.append(f"request: {request.url}")

    def opened(path: Path, width: int = 1440, scheme: str = "light") -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.on("console", lambda said: problems.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", on_request)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield opened
    context.close()
    assert problems == []


def methods(page: Page) -> list[str]:
    rows = page.locator("[data-table=main-full-10-r1] tbody.sortable tr:visible th")
    return rows.all_inner_texts()


def test_a_column_sorts(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    assert methods(page) == ["my_method", "leaky", "streisand", "ft"]
    head = page.locator("[data-table=main-full-10-r1] thead").get_by_text("FT AUC %")
    head.click()
    assert methods(page) == ["my_method", "leaky", "streisand", "ft"], "what is absent comes last"
    head.click()
    assert methods(page) == ["streisand", "leaky", "my_method", "ft"]
    sorted_by = page.locator("[data-table=main-full-10-r1] th[aria-sort]")
    assert sorted_by.get_attribute("aria-sort") == "descending"
    pinned = page.locator("[data-table=main-full-10-r1] tbody:first-of-type th").all_inner_texts()
    assert pinned == ["original", "retrain", "noise band", "held-out retrain"]


def test_a_cell_opens_its_runs(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    page.locator("[data-table=main-full-10-r1] tr[data-method=leaky] td .open").first.click()
    dialog = page.locator("#runs")
    text = dialog.inner_text()
    assert "leaky: FT AUC %" in text and "ValueError: no idea" in text and "0123" in text
    assert dialog.locator("tbody tr").count() == 4
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_the_keyboard_reaches_every_value(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    page.locator("tr[data-method=my_method] th button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#runs-title").inner_text() == "leaky: FT AUC %"


def test_hiding_a_method_hides_it_everywhere(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    drawn = page.locator(".chart [data-method=leaky]").filter(visible=True)
    charts = page.locator(".chart:has([data-method=leaky])").count()
    assert charts == page.locator(".chart").count() > 5 and drawn.count() > 20
    page.locator("#methods summary").click()
    page.locator("#methods input[value=leaky]").uncheck()
    assert methods(page) == ["my_method", "streisand", "ft"]
    assert drawn.count() == 0, "in no figure, nor in its legend"
    page.locator("[data-table=main-full-10-r1] .copy[data-form=latex]").click()
    expect(page.locator("#said")).to_have_text("LaTeX copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert r"my\_method" in copied and "leaky" not in copied and r"\bottomrule" in copied
    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    assert "leaky" not in methods(page), "the choice outlives a reload, as under --watch"
    page.locator("#methods summary").click()
    page.get_by_role("button", name="None").click()
    assert methods(page) == ["ft"] and drawn.count() == 0, "a row that was skipped"
    page.get_by_role("button", name="All", exact=True).click()
    assert len(methods(page)) == 4


def test_the_address_keeps_the_view(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    page.locator("#methods summary").click()
    page.locator("#methods input[value=leaky]").uncheck()
    page.locator("[data-table=main-full-10-r1] thead").get_by_text("Method").click()
    page.locator("[data-table=main-full-10-r1] thead").get_by_text("Method").click()
    assert methods(page) == ["streisand", "my_method", "ft"]
    handed_on = page.url
    other = visit(pages["overview"])
    other.goto(handed_on)
    other.wait_for_selector("html[data-ready=yes]")
    assert methods(other) == ["streisand", "my_method", "ft"]


def test_emphasis_is_of_what_is_shown(visit: Open, emphasis: tuple[Path, Condition]) -> None:
    path, condition = emphasis
    page = visit(path)
    table = replace(made("main", condition), benchmark=path.parent.name)
    page.locator("#methods summary").click()
    hidden: list[str] = []
    for label in ["", *condition.by_verdict[:3]]:
        if label:
            hidden.append(label)
            page.locator(f"#methods input[value={label}]").uncheck()
        shown = set(condition.labels).difference(hidden)
        for place, contest in table.contests.items():
            marks = contest.marks(shown)
            for row in page.locator("[data-table=main-full-10-r1] tr[data-row]:visible").all():
                name = str(row.get_attribute("data-method"))
                classes = row.locator("th, td").nth(place).get_attribute("class") or ""
                assert {*classes.split()} & {"best", "tied"} == {*filter(None, [marks.get(name)])}
        page.locator("[data-table=main-full-10-r1] .copy[data-form=latex]").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        if not label:
            assert copied == table.to_latex(), "as the program writes it"
        assert (r"\textbf{" in copied) == bool(page.locator("td.best:visible").count())
    compared = made("versus", condition)
    (contest,) = compared.ranks.values()
    order = sorted(shown.intersection(contest.far), key=contest.far.__getitem__)
    rows = page.locator("[data-table=versus-full-10-r1] tr[data-row]:not([hidden])")
    cells = [row.locator("th, td").all_text_contents() for row in rows.all()]
    texts = {row[0]: row[2] for row in cells}
    expected = contest.places(order)
    assert len(expected) > 5
    for label, (first, last) in expected.items():
        assert texts[label] == (f"{first}–{last}" if first < last else f"{first}")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.locator("[data-table=versus-full-10-r1] .copy[data-form=latex]").click()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    for label in expected:
        (line,) = (one for one in lines if one.startswith(f"{condition.title(label)} &"))
        assert f" & {texts[label].replace('–', '--')} & " in line, "ranks of the methods shown"


def test_the_method_stays_in_sight(visit: Open, emphasis: tuple[Path, Condition]) -> None:
    page = visit(emphasis[0], width=360)
    table = page.locator("[data-table=main-full-10-r1]")
    name = table.locator("tbody th").first
    before = name.bounding_box()
    table.locator(".scroll").evaluate("one => one.scrollLeft = 300")
    after = name.bounding_box()
    assert before and after and abs(before["x"] - after["x"]) < 20


def test_links_land_below_the_bar(visit: Open, emphasis: tuple[Path, Condition]) -> None:
    page = visit(emphasis[0])
    page.locator("nav a").nth(1).click()
    bar, heading = page.locator("#methods").bounding_box(), page.locator("#s1 h2").bounding_box()
    assert bar and heading and heading["y"] >= bar["y"] + bar["height"] - 1


def test_csv_and_bibtex_are_copied(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    page.locator("[data-table=main-full-10-r1] .copy[data-form=csv]").click()
    expect(page.locator("#said")).to_have_text("CSV copied")
    written = (pages["report"].parent / "tables" / "main-full-10-r1.csv").read_text()
    assert page.evaluate("navigator.clipboard.readText()") == written
    assert written.startswith("Method,Verdict,Surest audit,")
    page.locator("#copy-bibtex").click()
    expect(page.locator("#said")).to_have_text("BibTeX copied")
    assert "zarifzadeh2024rmia" in page.evaluate("navigator.clipboard.readText()")


def test_theme_follows_the_system_and_the_button(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"], scheme="dark")
    theme = page.locator("html").get_attribute
    assert theme("data-theme") == "dark"
    button = page.locator("#theme")
    button.click()
    assert theme("data-theme") == "light" and button.inner_text() == "Theme: light"
    button.click()
    assert theme("data-theme") == "dark"


def test_figures_say_values_and_can_be_saved(visit: Open, pages: dict[str, Path]) -> None:
    page = visit(pages["report"])
    chart = page.locator("#forgetting-utility-full-10-r1")
    point = chart.locator("[data-method=my_method] use").first
    point.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    box = point.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator("#tip").inner_text() == "my_method\n52.50 ±0.58; 94.00 ±0.00 (n = 4)"
    page.mouse.move(1, 1)
    assert not page.locator("#tip").is_visible()
    with page.expect_download() as svg:
        chart.get_by_text("Save SVG").click()
    assert svg.value.suggested_filename == "forgetting-utility-full-10-r1.svg"
    assert "<svg" in Path(svg.value.path()).read_text()
    with page.expect_download() as png:
        chart.get_by_text("Save PNG").click()
    assert Path(png.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["report", "overview", "compare"])
def test_nothing_sticks_out_at_any_width(visit: Open, pages: dict[str, Path], name: str) -> None:
    for width in WIDTHS:
        page = visit(pages[name], width=width)
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "overview", "compare"])
def test_axe_finds_no_serious_fault(
    visit: Open, pages: dict[str, Path], name: str, scheme: str
) -> None:
    page = visit(pages[name], scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
