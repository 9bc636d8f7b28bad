"""The pages of a report: one HTML file that needs nothing else, and Markdown; what they cite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from unlearnbench.evaluation.findings import Findings, listed
from unlearnbench.reporting import escape
from unlearnbench.reporting.tables.table import Table

if TYPE_CHECKING:
    from unlearnbench.reporting.figures import Drawing

ATTACKS = ("https://arxiv.org/abs/2312.03262", "https://arxiv.org/abs/2112.03570")
"""RMIA, which gives FT AUC, and LiRA."""
OURS = """@software{unlearnbench,
  title = {unlearnbench: machine-unlearning methods measured against retraining},
  author = {{The unlearnbench maintainers}},
  year = {2026}
}"""


@dataclass(frozen=True)
class Section:
    """Hold what is shown of one condition: main tables, every attack in full, figures."""

    heading: str
    suffix: str
    tables: list[Table]
    attacks: list[Table]
    figures: list[Drawing]


def markdown_pages(about: dict[str, Any], sections: Sequence[Section]) -> dict[str, str]:
    """Return report.md, attacks.md and reading.md, by name; about: as `summary.about` has it."""
    shown = about | {"sections": sections, "markdown": _as_markdown}
    return {
        name: _markdown().get_template(f"{name}.md.j2").render(shown)
        for name in ("report", "attacks", "reading")
    }


def html_page(
    findings: Findings,
    about: dict[str, Any],
    sections: Sequence[Section],
    whole: Sequence[Table],
    refresh: int,
) -> str:
    """Return the page: no request leaves it.

    whole: tables of settings and, if there are any, failures.
    """
    labels = dict.fromkeys(label for one in findings.conditions for label in one.labels)
    details = [table for section in sections for table in section.attacks]
    data = {
        "runs": _runs(findings),
        "settings": about["settings"],
        "failures": findings.failures,
        "cite": {"always": _always(), "rows": entries(findings.papers)},
    }
    shown = about | {"findings": findings, "whole": whole, "name": findings.benchmark.name}
    shown |= {"title": findings.benchmark.title, "labels": list(labels), "refresh": refresh}
    return _page("page.html.j2", shown, sections, data, [*details, *about["claimed"], *whole])


def plain_pages(
    title: str, said: Sequence[str], sections: Sequence[Section], name: str
) -> tuple[str, str]:
    """Return a page about more than one benchmark, in Markdown and in HTML."""
    every = [table for section in sections for table in section.tables]
    rows = [row[0] for table in every if table.headings[0] == "Method" for row in table.cells()]
    shown: dict[str, Any] = {"title": title, "said": said, "sections": sections}
    markdown = _markdown().get_template("plain.md.j2").render(shown, markdown=_as_markdown)
    shown |= {"name": name, "labels": list(dict.fromkeys(rows)), "refresh": 0}
    return markdown, _page("plain.html.j2", shown, sections, {}, [])


def _page(
    template: str,
    shown: dict[str, Any],
    sections: Sequence[Section],
    data: dict[str, Any],
    others: Sequence[Table],
) -> str:
    """Render a page of sections, and of tables that are in none; data: for its script."""
    from unlearnbench.reporting.figures.export import page_svg, tips  # it brings Matplotlib

    drawings = [drawing for section in sections for drawing in section.figures]
    every = [*(table for section in sections for table in section.tables), *others]
    data |= {"tables": {table.name: table.pieces() for table in every}}
    data |= {"tips": {drawing.name: tips(drawing) for drawing in drawings}}
    return (
        _html()
        .get_template(template)
        .render(shown, sections=sections, data=data, svg=lambda one: Markup(page_svg(one)))
    )


def _as_markdown(table: Table) -> Markup:
    return Markup(table.to_markdown())  # escaped cell by cell


def _runs(findings: Findings) -> dict[str, dict[str, list[Any]]]:
    """Return the columns of the runs, by condition."""
    by_condition = {}
    for condition in findings.conditions:
        runs = condition.every_run
        columns = runs.drop(columns=[name for name in runs if str(name).startswith("auc: ")])
        sources = [findings.details[run].get("source") for run in runs["run"]]
        by_condition[condition.suffix] = listed(columns.round(4)) | {"source": sources}
    return by_condition


def _written(value: Any) -> Any:
    """Escape what anyone may have named; what we have written as Markdown stays."""
    return value if isinstance(value, Markup) else escape.markdown(str(value))


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("unlearnbench.reporting", "pages"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        **options,
    )


@cache
def _markdown() -> jinja2.Environment:
    return _environment(finalize=_written)


@cache
def _html() -> jinja2.Environment:
    return _environment(autoescape=True)


def entries(papers: dict[str, str]) -> dict[str, str]:
    """Return the BibTeX entry of each row's paper.

    papers: address by row. A paper that is not in papers.bib is cited by its address; a row without
    one has no entry.
    """
    known = _known()
    return {
        label: known.get(paper) or _by_address(label, paper)
        for label, paper in papers.items()
        if paper
    }


def _always() -> list[str]:
    """Return what every report cites: this project, and the attacks behind its numbers."""
    known = _known()
    return [OURS, *(known[paper] for paper in ATTACKS)]


def bibliography(papers: dict[str, str]) -> str:
    """Return a .bib file of everything, each entry once."""
    return "\n\n".join(dict.fromkeys([*_always(), *entries(papers).values()])) + "\n"


def _known() -> dict[str, str]:
    text = (files("unlearnbench.reporting") / "pages" / "papers.bib").read_text()
    found = text.strip().split("\n\n")
    return {re.findall(r"url = \{(.*?)\}", entry)[0]: entry for entry in found}


def _by_address(label: str, paper: str) -> str:
    title = escape.latex(label)
    address = re.sub(r"[{}\\\s]", "", paper)
    return f"@misc{{{escape.label(label)},\n  title = {{{title}}},\n  url = {{{address}}}\n}}"
