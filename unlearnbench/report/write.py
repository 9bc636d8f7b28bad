"""Write a report: one folder with pages, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unlearnbench.files import write_text
from unlearnbench.report import audit, figures, ledger, pages, render, tables
from unlearnbench.report.figures import Figure
from unlearnbench.report.findings import Findings
from unlearnbench.report.tables import Group, Table


@dataclass(frozen=True)
class Section:
    """Hold what is shown of one setting: main tables, every attack in full, figures."""

    heading: str
    suffix: str
    tables: list[Table]
    attacks: list[Table]
    figures: list[Figure]


def write(findings: Findings, folder: Path) -> Path:
    """Write index.html, Markdown pages, tables/, figures/ and findings.json; return the page."""
    sections = [section(findings, group) for group in tables.groups(findings)]
    whole = _present(ledger.settings_table(findings), ledger.failures_table(findings))
    for part in sections:
        _write_tables([*part.tables, *part.attacks], folder)
        for figure in part.figures:
            figures.save(figure, folder / "figures")
    _write_tables(whole, folder)
    for name, text in render.tidy(findings).items():
        write_text(folder / "tables" / f"{name}.csv", text)
    for name, text in pages.markdown_pages(findings, sections).items():
        write_text(folder / f"{name}.md", text)
    write_text(folder / "findings.json", findings.as_json())
    write_text(folder / "index.html", pages.html_page(findings, sections, whole))
    return folder / "index.html"


def section(findings: Findings, group: Group) -> Section:
    """Make all tables and figures of one setting."""
    attacks = [
        audit.attack_table(findings, group, attack)
        for attack in audit.shown_attacks(findings, group)
    ]
    return Section(
        tables.heading(group, findings.benchmark),
        tables.suffix(group),
        _present(
            tables.main_table(findings, group),
            tables.published_table(findings, group),
            audit.attacks_table(findings, group),
            audit.control_table(findings, group),
            audit.distance_table(findings, group),
            tables.gap_table(findings, group),
            tables.more_table(findings, group),
            ledger.cost_table(findings, group),
        ),
        [*attacks, *_present(audit.pairs_table(findings, group))],
        figures.figures(findings, group),
    )


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
