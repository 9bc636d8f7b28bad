"""What stands under one heading of a page."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnbench.report.figures.figure import Figure
from unlearnbench.report.tables.table import Table


@dataclass(frozen=True)
class Section:
    """Hold what is shown of one setting: main tables, every attack in full, figures."""

    heading: str
    suffix: str
    tables: list[Table]
    attacks: list[Table]
    figures: list[Figure]
