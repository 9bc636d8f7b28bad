"""Write a report: one folder with pages, tables and figures."""

from collections.abc import Collection, Iterable
from pathlib import Path

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.files import write_text
from unlearnbench.reporting import page
from unlearnbench.reporting.figures import drawings
from unlearnbench.reporting.figures.export import write_data, write_print
from unlearnbench.reporting.page import Section
from unlearnbench.reporting.summary import about as about_benchmark
from unlearnbench.reporting.tables import section_tables
from unlearnbench.reporting.tables.results import failures_table, settings_table, tidy
from unlearnbench.reporting.tables.table import Table


def write_report(
    findings: Findings, folder: Path, refresh: int = 0, figures: Collection[str] | None = None
) -> Path:
    """Write index.html, then Markdown pages, tables/, figures/ and findings.json; return the page.

    refresh: seconds after which an open page is read again; 0 for never. A page that will be
    written again soon has no figures beside it, which take longest. figures: names of those wanted,
    None for all.
    """
    sections = [section(condition, figures) for condition in findings.conditions]
    failures = failures_table(findings)
    whole = [settings_table(findings), *([failures] if failures else [])]
    about = about_benchmark(findings)
    html = page.html_page(findings, about, sections, whole, refresh)
    write_text(folder / "index.html", html)
    every = [table for part in sections for table in (*part.tables, *part.attacks)]
    _write_tables([*every, *whole, *about["claimed"]], folder)
    for name, text in tidy(findings).items():
        write_text(folder / "tables" / f"{name}.csv", text)
    for name, text in page.markdown_pages(about, sections).items():
        write_text(folder / f"{name}.md", text)
    write_text(folder / "references.bib", page.bibliography(findings.papers))
    write_text(folder / "findings.json", findings.as_json())
    if not refresh:
        _write_figures(sections, folder)
    return folder / "index.html"


def write_sections(title: str, said: list[str], sections: list[Section], folder: Path) -> Path:
    """Write a page of sections that is about more than one benchmark, with tables and figures."""
    markdown, html = page.plain_pages(title, said, sections, folder.name)
    write_text(folder / "index.html", html)
    write_text(folder / "report.md", markdown)
    for part in sections:
        _write_tables(part.tables, folder)
    _write_figures(sections, folder)
    return folder / "index.html"


def section(condition: Condition, figures: Collection[str] | None = None) -> Section:
    """Make all tables of one condition, and all figures or those that are named."""
    suffix = condition.suffix
    tables, details = section_tables(condition)
    drawn = drawings(condition)
    wanted = [one for one in drawn if figures is None or one.figure.name in figures]
    return Section(condition.heading, suffix, tables, details, wanted)


def _write_figures(sections: Iterable[Section], folder: Path) -> None:
    every = [drawing for part in sections for drawing in part.figures]
    write_data(every, folder / "figures")
    write_print(every, folder / "figures")


def _write_tables(tables: Iterable[Table], folder: Path) -> None:
    for table in tables:
        for kind, text in {
            "tex": table.to_latex(),
            "md": f"{table.to_markdown()}\n",
            "csv": table.to_csv(),
        }.items():
            write_text(folder / "tables" / f"{table.name}.{kind}", text)
