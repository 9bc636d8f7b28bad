"""A table for an article: booktabs, aligned numbers, never wider than the text of a page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

from unlearnbench.reporting.escape import latex

COLUMN, TEXT = 234.0, 395.0
"""Points that a column of ICML and CVPR has, and the text of NeurIPS, which is the narrowest."""
LETTER, BETWEEN = 4.5, 6.0
"""Points of a letter in \\footnotesize, at most on average, and what stands between two columns."""
LONG, PARAGRAPH = 40, 180.0
"""Letters from which on text is broken into lines, and the points that it then has."""
WORD = 16
"""Letters after which a long word may be broken."""
HEAD = 9
"""Letters that a line of a heading may have, where its cells are not wider."""
SPREAD = re.compile(r"(\S+) ([±\[].*)")
"""A number, and its standard deviation or interval."""
CellParts = tuple[str, ...]


@dataclass(frozen=True)
class Tabular:
    """Hold one of the tabulars of a table: which columns it has, and what frames its rows."""

    columns: list[int]
    head: list[str]
    foot: list[str]


@dataclass(frozen=True)
class Article:
    """Hold a table in pieces, so that a page can put together the rows that it shows.

    rows: cells without emphasis, a number apart from its spread; pinned: of each row, whether
    others are measured by it: a rule follows the last of these.
    """

    top: list[str]
    parts: list[Tabular]
    bottom: list[str]
    rows: list[list[CellParts]]
    pinned: list[bool]

    def lines(self, forms: Sequence[Sequence[str]]) -> list[str]:
        """Put it together; forms: of each cell, what its text is put into, as "{}"."""
        lines = list(self.top)
        for part in self.parts:
            lines += part.head
            for row, (cells, form) in enumerate(zip(self.rows, forms, strict=True)):
                if row and self.pinned[row - 1] and not self.pinned[row]:
                    lines.append(r"\midrule")
                written = [
                    form[at].format(text) if text else ""
                    for at in part.columns
                    for text in cells[at]
                ]
                lines.append(" & ".join(written) + r" \\")
            lines += part.foot
        return [*lines, *self.bottom]

    def as_data(self) -> dict[str, Any]:
        """Return it for the script of a page."""
        return asdict(self)


def article(
    headings: Sequence[str],
    sides: str,
    cells: Sequence[Sequence[str]],
    pinned: Sequence[bool],
    words: Mapping[str, str],
) -> Article:
    """Lay a table out; what is too wide is broken into several tabulars, the first column in each.

    sides: a letter for each column, l for text and r for numbers; words: its title, its setting (of
    which data, model and seeds it is, "" for none), its label and notes to stand below it.
    """
    columns = [
        _Column.of(one, sides[place], [row[place] for row in cells])
        for place, one in enumerate(headings)
    ]
    groups, left = [[0]], TEXT - columns[0].width
    for place, column in enumerate(columns[1:], 1):
        if column.width > left and len(groups[-1]) > 1:
            groups.append([0])
            left = TEXT - columns[0].width
        groups[-1].append(place)
        left -= column.width
    parts = [Tabular(group, *_frame([columns[place] for place in group])) for group in groups]
    for part in parts[1:]:
        part.head.insert(0, r"\par\medskip")
    wide = max(sum(columns[place].width for place in group) for group in groups)
    star = "*" if wide > COLUMN else ""
    title = ": ".join(filter(None, [words["title"], words["setting"]]))
    top = [
        r"% needs \usepackage{array,booktabs}",
        rf"\begin{{table{star}}}",
        r"\centering\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex(title)}}}",
        rf"\label{{tab:{words['label']}}}",
    ]
    notes = rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {latex(words['notes'])}}}"
    rows = [[column.parts[at] for column in columns] for at in range(len(cells))]
    return Article(top, parts, [notes, rf"\end{{table{star}}}"], rows, list(pinned))


@dataclass(frozen=True)
class _Column:
    """Hold a column: how LaTeX sets it, its heading, the escaped parts of its cells, its width."""

    form: str
    heading: str
    parts: list[CellParts]
    width: float

    @classmethod
    def of(cls, heading: str, side: str, cells: Sequence[str]) -> "_Column":
        longest = max(map(len, cells), default=0)
        lines = wrap(heading, max(longest, HEAD), break_long_words=False) or [""]
        width = LETTER * max(longest, *map(len, lines)) + BETWEEN
        stacked = r"\\".join(map(latex, lines))
        shown = rf"\shortstack{{{stacked}}}" if len(lines) > 1 else stacked
        if side == "l" and longest > LONG:
            form = rf">{{\raggedright\arraybackslash}}p{{{PARAGRAPH:g}pt}}"
            return cls(form, shown, [(_broken(cell),) for cell in cells], PARAGRAPH + BETWEEN)
        if side == "r" and any(SPREAD.fullmatch(cell) for cell in cells):
            parts = [tuple(map(latex, _apart(cell))) for cell in cells]
            return cls(r"r@{\,}l", rf"\multicolumn{{2}}{{c}}{{{shown}}}", parts, width)
        return cls(side, shown, [(latex(cell),) for cell in cells], width)


def _broken(cell: str) -> str:
    """Escape text that is broken into lines, where need be within a word."""
    pieces = re.findall(rf"\s+|\S{{1,{WORD}}}", cell)
    return "".join(latex(one) + (r"\allowbreak{}" if len(one) == WORD else "") for one in pieces)


def _apart(cell: str) -> CellParts:
    """Part a number and its spread, so that numbers stand below each other digit by digit."""
    if found := SPREAD.fullmatch(cell):
        return found[1], found[2]
    return ("", cell) if cell.startswith("±") else (cell, "")


def _frame(columns: Sequence[_Column]) -> tuple[list[str], list[str]]:
    """Return what stands above and below the rows of a tabular."""
    head = [
        rf"\begin{{tabular}}{{{''.join(column.form for column in columns)}}}",
        r"\toprule",
        " & ".join(column.heading for column in columns) + r" \\",
        r"\midrule",
    ]
    return head, [r"\bottomrule", r"\end{tabular}"]
