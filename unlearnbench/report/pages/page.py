"""The pages of a report: one HTML file that needs nothing else, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from unlearnbench.evaluation.findings import Findings, listed
from unlearnbench.evaluation.settings import compared, groups, select, suffix
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.pages import citations, story
from unlearnbench.report.section import Section
from unlearnbench.report.tables import escape, render
from unlearnbench.report.tables.table import BAND, Table

FIXED_ROWS = (ORIGINAL, RETRAIN, BAND, HELD_OUT)
"""Stay on top however a table is sorted: what everything is measured against."""


def markdown_pages(about: dict[str, Any], sections: Sequence[Section]) -> dict[str, str]:
    """Return report.md, attacks.md and reading.md, by name; about: as `story.about` has it."""
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
    library: str,
    refresh: int,
) -> str:
    """Return the page: no request leaves it.

    whole: tables of settings and, if there are any, failures; library: Vega's script.
    """
    every = [table for section in sections for table in (*section.tables, *section.attacks)]
    every += about["claimed"]
    labels = list(dict.fromkeys(compared(findings.runs)["label"]))
    return (
        _html()
        .get_template("page.html.j2")
        .render(
            about
            | {
                "title": findings.benchmark.title,
                "name": findings.benchmark.name,
                "findings": findings,
                "sections": sections,
                "whole": whole,
                "labels": labels,
                "fixed": FIXED_ROWS,
                "alignment": render.alignment,
                "library": library,
                "refresh": refresh,
                "data": {
                    "runs": _runs(findings),
                    "settings": story.settings(findings.benchmark),
                    "failures": findings.failures,
                    "tables": {table.name: _copies(table) for table in (*every, *whole)},
                    "figures": {f.name: f.spec for section in sections for f in section.figures},
                    "cite": {
                        "always": citations.always(),
                        "rows": citations.entries(findings.papers),
                    },
                },
            }
        )
    )


def plain_pages(
    title: str, said: Sequence[str], sections: Sequence[Section], name: str, library: str
) -> tuple[str, str]:
    """Return a page about more than one benchmark, in Markdown and in HTML."""
    every = [table for section in sections for table in section.tables]
    drawn = [figure for section in sections for figure in section.figures]
    labels = list(
        dict.fromkeys(
            row[0] for table in every if table.columns[0] == "Method" for row in table.rows
        )
    )
    about = {"title": title, "said": said, "sections": sections}
    markdown = _markdown().get_template("plain.md.j2").render(about, markdown=_as_markdown)
    data = {
        "tables": {table.name: _copies(table) for table in every},
        "figures": {figure.name: figure.spec for figure in drawn},
    }
    html = (
        _html()
        .get_template("plain.html.j2")
        .render(
            about,
            name=name,
            labels=labels,
            fixed=(),
            alignment=render.alignment,
            library=library,
            refresh=0,
            data=data,
        )
    )
    return markdown, html


def _as_markdown(table: Table) -> Markup:
    return Markup(render.markdown(table))  # escaped cell by cell


def _runs(findings: Findings) -> dict[str, dict[str, list[Any]]]:
    """Return the columns of the runs, by setting."""
    found = {}
    for group in groups(findings):
        own = select(findings.runs, group)
        columns = own.drop(columns=[name for name in own if str(name).startswith("auc: ")])
        sources = [findings.details[run].get("source") for run in own["run"]]
        found[suffix(group)] = listed(columns.round(4)) | {"source": sources}
    return found


def _copies(table: Table) -> dict[str, Any]:
    """Return a table as LaTeX and CSV in pieces, so that the rows shown can be put together."""
    top, bottom = render.latex_frame(table)
    head, *lines = render.csv_lines(table)
    return {
        "latex": {"top": top, "rows": render.latex_rows(table), "bottom": bottom},
        "csv": {"top": [head], "rows": lines, "bottom": []},
    }


def _written(value: Any) -> Any:
    """Escape what anyone may have named; what we have written as Markdown stays."""
    return value if isinstance(value, Markup) else escape.markdown(str(value))


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("unlearnbench.report.pages", "."),
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
