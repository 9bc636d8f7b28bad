"""How a table is laid out in a terminal of any width: which columns, how wide, folded where."""

import re
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from unlearnbench.errors import plain
from unlearnbench.reporting.tables.table import Table

MARKS = {"best": "bold", "tied": "underline"}
VERDICTS = {"equivalent": "bold green", "no difference found": "green", "different": "red"}
WHOLE = re.compile(r"\[[^\]]*\]|[≤≥] \S+|\S+(?: ±\S+)?")
"""What is never folded: an interval, a bound, a number with its spread, a word."""
SENTENCE = re.compile(r"(?<=\.) (?=[^a-z])")
LINES = 4
"""Lines of a caption where a terminal is too narrow for the whole table."""
Lines = list[str]


@dataclass(frozen=True)
class Layout:
    """Hold a table's columns as they are shown, with their widths, and what was left out."""

    table: Table
    widths: list[int]
    gap: int
    folded: list[list[Lines]]
    """By row, the headings first, and column: the lines of a cell."""
    left_out: list[str]

    def lines(self) -> list[Text]:
        """Return what is printed."""
        rows = [self._row(self.folded[0], ["bold"] * len(self.widths))]
        for number, cells in enumerate(self.folded[1:]):
            styles = [
                VERDICTS.get(" ".join(cell)) or MARKS.get(self.table.marks.get((number, at), ""))
                for at, cell in enumerate(cells)
            ]
            rows.append(self._row(cells, styles))
        return [line for row in rows for line in row]

    def _row(self, cells: list[Lines], styles: list[str | None]) -> list[Text]:
        lines = []
        for parts in zip_longest(*cells, fillvalue=""):
            line = Text()
            for at, (part, style) in enumerate(zip(parts, styles, strict=True)):
                space = " " * (self.widths[at] - cell_len(part))
                before, after = (space, "") if self.table.sides[at] == "r" else ("", space)
                line.append(" " * self.gap if at else "").append(before)
                line.append(part, style).append(after)  # what pads a cell is not underlined
            line.rstrip()
            lines.append(line)
        return lines


def lay_out(table: Table, width: int) -> Layout:
    """Lay a table out in so many columns of a terminal.

    Headings and words are folded first, then spare columns left out, and numbers are folded only
    where nothing else helps. It may be wider than asked for, as no word is cut.
    """
    levels = sorted({column.spare for column in table.columns if column.spare}, reverse=True)
    kept = [table, *map(table.without_spares, levels)]
    tries = [(one, _cells(one, loose=False)) for one in kept]
    tries.append((kept[-1], _cells(kept[-1], loose=True)))
    least = [_taken(_narrowest(cells)) for _, cells in tries]
    one, cells = next(
        (t for t, taken in zip(tries, least, strict=True) if taken <= width), tries[-1]
    )
    columns = [list(column) for column in zip(*cells, strict=True)]
    widths = _narrowest(cells)
    spare = width - _taken(widths)
    while spare > 0 and (best := _tallest(columns, widths, spare)):
        at, wanted = best
        spare -= wanted - widths[at]
        widths[at] = wanted
    gap = 2 if spare >= len(widths) - 1 else 1
    folded = [[_folded(cell, widths[at]) for at, cell in enumerate(row)] for row in cells]
    left_out = [c.heading for c in table.columns if c.heading not in one.headings]
    return Layout(one, widths, gap, folded, left_out)


def shortened(caption: str, laid: Layout, width: int) -> str:
    """Return what of a caption is needed below a table of which columns are left out.

    Sentences on these go, with those that go on about them and name no column, and the last that
    `LINES` lines of so many columns have no room for; what marks in the table mean stays.
    """
    sentences: list[str] = []
    gone = False
    for one in SENTENCE.split(caption):
        if ":" in one or not one[0].isalnum():
            gone = _of_any(one, laid.left_out) and not _of_any(one, laid.table.headings)
        sentences += [] if gone else [one]
    kept = [one for one in sentences if not one[0].isalnum()]
    for one in sentences:
        longer = [other for other in sentences if other == one or other in kept]
        if one not in kept and len(wrap(" ".join(longer), width)) > LINES:
            break
        kept = longer
    return " ".join(kept)


def _of_any(sentence: str, headings: list[str]) -> bool:
    """Say whether a sentence, such as "Conf F, T: a mean", explains one of these columns."""
    first = re.split(r"[,:(]", sentence)[0].strip()
    return ":" in sentence and any(heading.startswith(first) for heading in headings)


def _cells(table: Table, *, loose: bool) -> list[list[Lines]]:
    """Return headings and cells in the parts that are not folded; the first column is whole."""
    heads = [plain(heading).split() or [""] for heading in table.headings]
    rows = []
    for label, *others in table.cells():
        parts = [plain(cell).split() if loose else WHOLE.findall(plain(cell)) for cell in others]
        rows.append([[plain(label)], *(part or [""] for part in parts)])
    return [heads, *rows]


def _narrowest(cells: list[list[Lines]]) -> list[int]:
    """Return how wide columns are at least."""
    columns = zip(*cells, strict=True)
    return [max(cell_len(part) for cell in column for part in cell) for column in columns]


def _taken(widths: list[int]) -> int:
    """Return how many columns of a terminal a table takes, with one between its own."""
    return sum(widths) + len(widths) - 1


def _tallest(columns: list[list[Lines]], widths: list[int], spare: int) -> tuple[int, int] | None:
    """Return the tallest column that can be made lower, and the width at which it is."""
    heights = [_height(column, width) for column, width in zip(columns, widths, strict=True)]
    for at in sorted(range(len(columns)), key=heights.__getitem__, reverse=True):
        for wanted in range(widths[at] + 1, widths[at] + spare + 1):
            if _height(columns[at], wanted) < heights[at]:
                return at, wanted
    return None


def _height(column: list[Lines], width: int) -> int:
    return max(len(_folded(cell, width)) for cell in column)


def _folded(parts: Lines, width: int) -> Lines:
    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1]) + 1 + cell_len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines
