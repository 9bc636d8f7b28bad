"""Write a report: one folder with pages, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, groups, heading, suffix
from unlearnbench.files import write_text
from unlearnbench.report.figures import figure as figures
from unlearnbench.report.figures.convert import Converter
from unlearnbench.report.pages import citations, page, story
from unlearnbench.report.section import Section
from unlearnbench.report.tables import audit, ledger, printed, render, results
from unlearnbench.report.tables.table import Table


def write(findings: Findings, folder: Path, refresh: int = 0) -> Path:
    """Write index.html, Markdown pages, tables/, figures/ and findings.json; return the page.

    refresh: seconds after which an open page is read again; 0 for never.
    """
    convert = Converter()
    sections = [section(findings, group) for group in groups(findings)]
    _draw(sections, convert, folder)
    whole = _present(ledger.settings_table(findings), ledger.failures_table(findings))
    every = [table for part in sections for table in (*part.tables, *part.attacks)]
    about = story.about(findings)
    _write_tables([*every, *whole, *about["claimed"]], folder)
    for name, text in render.tidy(findings).items():
        write_text(folder / "tables" / f"{name}.csv", text)
    for name, text in page.markdown_pages(about, sections).items():
        write_text(folder / f"{name}.md", text)
    write_text(folder / "references.bib", citations.bibliography(findings.papers))
    write_text(folder / "findings.json", findings.as_json())
    convert.finish()
    html = page.html_page(findings, about, sections, whole, convert.library(), refresh)
    write_text(folder / "index.html", html)  # last: a page that is open finds everything there
    return folder / "index.html"


def write_sections(title: str, said: list[str], sections: list[Section], folder: Path) -> Path:
    """Write a page of sections that is about more than one benchmark, with tables and figures."""
    convert = Converter()
    _draw(sections, convert, folder)
    for part in sections:
        _write_tables(part.tables, folder)
    convert.finish()
    markdown, html = page.plain_pages(title, said, sections, folder.name, convert.library())
    write_text(folder / "report.md", markdown)
    write_text(folder / "index.html", html)
    return folder / "index.html"


def section(findings: Findings, group: Group) -> Section:
    """Make all tables and figures of one setting."""
    attacks = [
        audit.attack_table(findings, group, attack)
        for attack in audit.shown_attacks(findings, group)
    ]
    return Section(
        heading(group, findings.benchmark),
        suffix(group),
        _present(
            results.main_table(findings, group),
            printed.published_table(findings, group),
            audit.attacks_table(findings, group),
            audit.control_table(findings, group),
            audit.distance_table(findings, group),
            results.gap_table(findings, group),
            results.more_table(findings, group),
            ledger.cost_table(findings, group),
            ledger.profile_table(findings, group),
        ),
        [*attacks, *_present(audit.pairs_table(findings, group))],
        figures.figures(findings, group),
    )


def _draw(sections: Iterable[Section], convert: Converter, folder: Path) -> None:
    """Begin to draw all figures."""
    for part in sections:
        for figure in part.figures:
            convert.draw(figures.printed(figure.spec), folder / "figures" / figure.name)


def _write_tables(made: Iterable[Table], folder: Path) -> None:
    for table in made:
        for kind, text in {
            "tex": render.latex(table),
            "md": render.markdown(table) + "\n",
            "csv": render.table_csv(table),
        }.items():
            write_text(folder / "tables" / f"{table.name}.{kind}", text)


def _present(*made: Table | None) -> list[Table]:
    return [table for table in made if table is not None]
