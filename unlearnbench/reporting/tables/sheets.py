"""A table as an article has it: display names, signs with notes, no column that says nothing."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearnbench.reporting import escape
from unlearnbench.reporting.tables.chosen import YARDSTICKS, heading_named, named, unsaid
from unlearnbench.reporting.tables.latex import Sheet

if TYPE_CHECKING:
    from unlearnbench.reporting.tables.table import Table

NOTHING = {"", "–", "n/a"}
LETTERS = "ᵃᵇᶜᵈᵉᶠᵍ"
"""Signs behind names, for what few rows have."""
MISSING = re.compile(r"(.*) \((.* not run)\)")
"""A verdict, and what it does without."""


def sheet_of(table: "Table") -> Sheet:
    """Return what is to be laid out of a table."""
    cells = [list(row) for row in table.cells()]
    for at, side in enumerate(table.sides):
        for row in cells:
            row[at] = named(row[at], table.titles) if side == "l" else row[at]
    notes = [_starred(cells), *_aside(table, cells)]
    hidden = frozenset(_hidden(table, cells))
    said = table.caption.removeprefix(f"{table.heading}. ") if table.setting else table.caption
    if "Verdict: " in table.setting:
        said = unsaid(said, ["Verdict"])
    name = f"{table.benchmark}-{table.name}" if table.benchmark else table.name
    return Sheet(
        headings=[heading_named(heading, table.titles) for heading in table.headings],
        sides=table.sides,
        cells=cells,
        hidden=hidden,
        blocks=[_block(kind) for kind in table.kinds],
        title=table.title or table.name,
        setting=table.setting,
        notes=" ".join(filter(None, [said, *notes])),
        label=escape.label(name),
    )


def _block(kind: str) -> int:
    """Say in which part of a table a row is: yardsticks, then methods, then controls."""
    return 0 if kind in YARDSTICKS else 2 if kind == "control" else 1


def _starred(cells: Sequence[list[str]]) -> str:
    """Put a star in place of what a verdict does without; return what it means."""
    signs: dict[str, str] = {}
    for row in cells:
        for at, cell in enumerate(row):
            if found := MISSING.fullmatch(cell):
                sign = signs.setdefault(found[2], "*" * (len(signs) + 1))
                row[at] = f"{found[1]}{sign}"
    return " ".join(f"{sign} {missing}." for missing, sign in signs.items())


def _aside(table: "Table", cells: Sequence[list[str]]) -> list[str]:
    """Put letters behind the names of rows for what columns say of few; return what they mean."""
    signs: dict[str, str] = {}
    for at, column in enumerate(table.columns):
        for row in cells:
            if column.aside and row[at] not in NOTHING:
                again, place = divmod(len(signs), len(LETTERS))
                row[0] += signs.setdefault(row[at], LETTERS[place] * (again + 1))
    return [f"{sign} {what}." for what, sign in signs.items()]


def _hidden(table: "Table", cells: Sequence[list[str]]) -> list[int]:
    """List the columns without any cell, those that repeat the first, and those put aside."""
    hidden = []
    for at, column in enumerate(table.columns):
        own = {row[at] for row in cells}
        repeats = at > 0 and bool(cells) and all(row[at] == row[0] for row in cells)
        if at and (column.aside or own <= NOTHING or repeats):
            hidden.append(at)
    return hidden
