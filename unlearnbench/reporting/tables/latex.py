"""A table for an article: booktabs, aligned numbers, as wide as its text or a column of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from unlearnbench.reporting.escape import latex
from unlearnbench.reporting.tables.columns import (
    CellParts,
    PrintColumn,
    Size,
    grouped,
    height,
    taken,
)
from unlearnbench.reporting.tables.glyphs import ems

INCH = 72.27
"""TeX's points of an inch."""
COLUMN = 3.25 * INCH
"""Points of a column of ICML and CVPR."""
TALL = 610.0
"""Points that a float may be tall: a page of CVPR, which is the lowest, less what stands around."""
SIZES: tuple[Size, ...] = ((8.0, 9.5, 3.0), (7.0, 8.2, 2.0))
"""Of letters, of a line, and on both sides of a column: the first is taken unless the second saves
a part."""


@dataclass(frozen=True)
class Tabular:
    """Hold one of the tabulars of a table: which columns it has, and what frames its rows."""

    columns: list[int]
    head: list[str]
    foot: list[str]


@dataclass(frozen=True)
class Article:
    """Hold a table in pieces, so that a page can put together the rows that it shows.

    rows: cells without emphasis, a number apart from its spread; blocks: of each row, in which part
    of the table it is (yardsticks, methods, controls): a rule stands before the first of each.
    """

    top: list[str]
    parts: list[Tabular]
    bottom: list[str]
    rows: list[list[CellParts]]
    blocks: list[int]

    def lines(self, forms: Sequence[Sequence[str]]) -> list[str]:
        """Put it together; forms: of each cell, what its text is put into, as "{}"."""
        lines = list(self.top)
        for part in self.parts:
            lines += part.head
            for row, (cells, form) in enumerate(zip(self.rows, forms, strict=True)):
                if row and self.blocks[row] > max(self.blocks[:row]):
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


@dataclass(frozen=True)
class Sheet:
    """Hold what is laid out: text that is not escaped yet.

    sides: a letter for each column, l for text and r for numbers; hidden: the columns that are left
    out; blocks: as in an article; title, setting (of which data, model and seeds it is), notes:
    stand above and below it.
    """

    headings: Sequence[str]
    sides: str
    cells: Sequence[Sequence[str]]
    hidden: frozenset[int]
    blocks: Sequence[int]
    title: str
    setting: str
    notes: str
    label: str


def article(sheet: Sheet, width: float) -> Article:
    """Lay a table out in a width of points.

    It is one tabular if that fits; else several, below each other, with the first column in each.
    They stand in one float, or in one each, or in longtables where even those would be too tall.
    """
    columns = [
        PrintColumn.of(heading, sheet.sides[at], [row[at] for row in sheet.cells], at)
        for at, heading in enumerate(sheet.headings)
    ]
    shown = [column for column in columns if column.place not in sheet.hidden]
    ways = [_Way.of(sheet, shown, width, size) for size in SIZES]
    way = min(ways, key=lambda way: way.cost)  # of equals the first, with large letters
    frame = _Frame(sheet, way.star, way.size, width)
    made = (frame.together, frame.apart, frame.long)[way.floats](way.groups)
    rows = [[column.parts[at] for column in columns] for at in range(len(sheet.cells))]
    return Article(*made, rows, list(sheet.blocks))


@dataclass(frozen=True)
class _Way:
    """Hold a way to lay columns out; floats: 0 for one, 1 for one a part, 2 for longtables."""

    size: Size
    groups: list[list[PrintColumn]]
    star: str
    floats: int

    @property
    def cost(self) -> tuple[int, int]:
        """What there should be little of."""
        return len(self.groups), self.floats

    @classmethod
    def of(cls, sheet: Sheet, columns: Sequence[PrintColumn], width: float, size: Size) -> "_Way":
        groups = grouped(columns, width, size)
        wide = max(taken(group, size) for group in groups)
        star = "*" if wide > COLUMN + 0.5 else ""
        line = width if star else min(width, COLUMN)
        around = _lines(f"{sheet.title}: {sheet.setting}", 10, line) * 12 + 20
        around += _lines(sheet.notes, 7, line) * 8
        heights = [height(group, size) for group in groups]
        floats = int(around + sum(heights) > TALL) + int(around + max(heights) > TALL)
        return cls(size, groups, star, floats)


@dataclass(frozen=True)
class _Frame:
    """Write what stands around rows; `made` of each way: above all, parts, below all."""

    sheet: Sheet
    star: str
    size: Size
    width: float

    def together(self, groups: "_Groups") -> "_Made":
        """Put all parts below each other into one float."""
        parts = [self._tabular(group) for group in groups]
        for part in parts[1:]:
            part.head.insert(0, r"\par\medskip")
        top = [*self._comment(), *self._opened(self._caption())]
        return top, parts, [self._notes(), self._closed()]

    def apart(self, groups: "_Groups") -> "_Made":
        """Put each part into a float, all with one number."""
        parts = [self._tabular(group) for group in groups]
        for part in parts[1:]:
            part.head[:0] = self._opened([r"\addtocounter{table}{-1}", self._again("")])
        for part in parts[:-1]:
            part.foot.append(self._closed())
        top = [*self._comment(), *self._opened(self._caption())]
        return top, parts, [self._notes(), self._closed()]

    def long(self, groups: "_Groups") -> "_Made":
        """Make each part a longtable, which goes on over pages."""
        parts = []
        for at, group in enumerate(groups):
            (begin, rule, heads, below), (end, _) = self._tabular_lines(group)
            caption = self._again("[]") if at else "".join(self._caption())
            again = [r"\addtocounter{table}{-1}"] if at else []
            head = [*again, begin.replace("tabular", "longtable"), rf"{caption}\\[4pt]"]
            head += [rule, heads, below, r"\endfirsthead", rule, heads, below, r"\endhead"]
            foot = [r"\end{longtable}"]
            parts.append(Tabular([one.place for one in group], [*head, end, r"\endfoot"], foot))
        top = [*self._comment(long=True), r"\begingroup", self._letters()]
        top += [r"\setlength{\LTcapwidth}{\linewidth}"]
        notes = rf"\noindent{{\scriptsize {_prose(self.sheet.notes)}\par}}"
        return top, parts, [notes, r"\endgroup"]

    def _comment(self, *, long: bool = False) -> list[str]:
        packages = "array,booktabs,longtable" if long else "array,booktabs"
        said = [rf"% needs \usepackage{{{packages}}}"]
        if long:
            said.append(
                r"% longer than a page: in two columns, \onecolumn before, \twocolumn after"
            )
        return [
            *said,
            f"% {self.width / INCH:.4g} inches wide; Table.to_latex(width=...) makes another width",
        ]

    def _letters(self) -> str:
        letters, line, between = self.size
        font = rf"\fontsize{{{letters:g}}}{{{line:g}}}\selectfont"
        return rf"{font}\setlength{{\tabcolsep}}{{{between:g}pt}}"

    def _opened(self, caption: Sequence[str]) -> list[str]:
        opened = [rf"\begin{{table{self.star}}}", rf"\centering{self._letters()}"]
        return [*opened, r"\setlength{\belowcaptionskip}{4pt}", *caption]

    def _closed(self) -> str:
        return rf"\end{{table{self.star}}}"

    def _caption(self) -> list[str]:
        title = ": ".join(filter(None, [self.sheet.title, self.sheet.setting]))
        return [rf"\caption{{{_prose(title)}}}", rf"\label{{tab:{self.sheet.label}}}"]

    def _again(self, listed: str) -> str:
        return rf"\caption{listed}{{{latex(self.sheet.title)} (continued)}}"

    def _notes(self) -> str:
        text = _prose(self.sheet.notes)
        return rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {text}}}" if text else "%"

    def _tabular(self, group: Sequence[PrintColumn]) -> Tabular:
        return Tabular([one.place for one in group], *self._tabular_lines(group))

    def _tabular_lines(self, group: Sequence[PrintColumn]) -> tuple[list[str], list[str]]:
        forms = "".join(column.form(self.size[0]) for column in group)
        heads = " & ".join(column.head() for column in group)
        head = [
            rf"\begin{{tabular}}{{@{{}}{forms}@{{}}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
        ]
        return head, [r"\bottomrule", r"\end{tabular}"]


_Groups = Sequence[Sequence[PrintColumn]]
_Made = tuple[list[str], list[Tabular], list[str]]


def _lines(text: str, letters: float, width: float) -> int:
    return ceil(ems(text) * letters / width)


def _prose(text: str) -> str:
    """Escape sentences, in which a number stays with its unit."""
    return latex(text).replace(r" \%", r"~\%")
