"""Columns of a table in print: how wide they are, what is broken into lines, what fits together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

from unlearnbench.reporting.escape import latex
from unlearnbench.reporting.tables.glyphs import ems

Size = tuple[float, float, float]
WRAPS, LINES, WIDEST = 8.0, 6, 22.0
"""Ems from which on text is broken into lines, into how many at most, and which it has at least if
that is not enough."""
HEAD = 3.6
"""Ems that a line of a heading may have, where its cells are not wider."""
SHARES = (0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
"""Of the width that is there, by which parts are tried to be alike."""
WORD = 16
"""Letters after which a long word may be broken."""
SPREAD = re.compile(r"(\S+) ([±\[].*)")
"""A number, and its standard deviation or interval."""
KEPT = re.compile(r" (?=[%↓↑→]|\d+ %)")
"""Spaces at which a heading is not broken."""
CellParts = tuple[str, ...]


@dataclass(frozen=True)
class PrintColumn:
    """Hold a column: its heading, the parts of its cells, and how wide it is.

    whole, least: ems that it takes at its widest, and if its text is broken into lines; given: what
    it has of these; cells: ems of each; pair: whether numbers stand apart from their spreads.
    """

    place: int
    heading: list[str]
    side: str
    parts: list[CellParts]
    cells: list[float]
    whole: float
    given: float
    pair: bool = False

    @classmethod
    def of(cls, heading: str, side: str, cells: Sequence[str], place: int) -> "PrintColumn":
        """Measure a column, which is given the least that it can do with; place: in its table."""
        pair = side == "r" and any(map(SPREAD.fullmatch, cells))
        texts = [_apart(cell) if pair else (cell,) for cell in cells]
        sizes = [[ems(text) for text in one] for one in texts]
        widest = sum(max(one) for one in zip(*sizes, strict=True)) if sizes else 0.0
        lines = _folded(heading, widest)
        whole = max(widest, *map(ems, lines))
        wraps = side == "l" and widest > WRAPS
        word = max((ems(one) for cell in cells for one in _words(cell)), default=0.0)
        least = max(word, *map(ems, _folded(heading, 0.0)), min(WIDEST, widest / LINES))
        parts = [_broken(one[0]) if wraps else _escaped(one) for one in texts]
        given = min(whole, least) if wraps else whole
        return cls(place, lines, side, parts, list(map(sum, sizes)), whole, given, pair)

    @property
    def broken(self) -> bool:
        """Whether its text is broken into lines."""
        return self.given < self.whole

    def points(self, size: Size) -> float:
        """Return how wide it is with what stands beside it."""
        letters, _, between = size
        return self.given * letters + 2 * between + (1.7 if self.pair else 0.0)

    def form(self, letters: float) -> str:
        """Return how LaTeX sets it."""
        if self.broken:
            room = floor(self.given * letters)
            return rf">{{\raggedright\arraybackslash}}p{{{room}pt}}"
        return "r@{}l" if self.pair else self.side

    def head(self) -> str:
        """Return its heading."""
        lines = _folded(" ".join(self.heading), self.given) if self.broken else self.heading
        text = r"\\ ".join(map(_safe, lines))
        at = "[l]" if self.side == "l" else ""
        text = rf"\shortstack{at}{{{text}}}" if len(lines) > 1 else text
        return rf"\multicolumn{{2}}{{c}}{{{text}}}" if self.pair else text


def grouped(columns: Sequence[PrintColumn], width: float, size: Size) -> list[list[PrintColumn]]:
    """Share columns out to as few parts as hold them, which are about as wide as each other.

    What is left of the width is given to the columns that are broken.
    """
    fewest = len(_filled(columns, width, size))
    ways = (_filled(columns, share * width, size) for share in SHARES)
    groups = next(way for way in ways if len(way) == fewest)
    return [_shared(group, width, size) for group in groups]


def _filled(columns: Sequence[PrintColumn], width: float, size: Size) -> list[list[PrintColumn]]:
    """Fill one part after the other, each with the first column."""
    first, *others = columns
    groups = [[first]]
    for column in others:
        if len(groups[-1]) > 1 and taken([*groups[-1], column], size) > width:
            groups.append([first])
        groups[-1].append(column)
    return groups


def _shared(group: Sequence[PrintColumn], width: float, size: Size) -> list[PrintColumn]:
    """Give broken columns what a part has left, those most that need most."""
    left = (width - taken(group, size)) / size[0]
    wanted = sum(column.whole - column.given for column in group)
    share = max(0.0, min(1.0, left / wanted)) if wanted else 0.0
    return [
        replace(one, given=one.given + share * (one.whole - one.given)) if one.broken else one
        for one in group
    ]


def taken(group: Sequence[PrintColumn], size: Size) -> float:
    """Return how wide a part is, in points; nothing stands before the first and behind the last."""
    return sum(column.points(size) for column in group) - 2 * size[2]


def height(group: Sequence[PrintColumn], size: Size) -> float:
    """Return how tall a part is, in points."""
    rows = zip(*(column.cells for column in group), strict=True)
    given = [column.given * 0.9 if column.broken else float("inf") for column in group]
    lines = sum(
        max(ceil(cell / room) or 1 for cell, room in zip(row, given, strict=True)) for row in rows
    )
    return size[1] * (lines + max(len(column.heading) for column in group) + 2)


def _folded(heading: str, widest: float) -> list[str]:
    """Break a heading into lines, as wide as its cells or a little wider; units stay with words."""
    whole = KEPT.sub("\N{NO-BREAK SPACE}", heading)
    lines = [""]
    for word in whole.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and ems(longer) > max(widest, HEAD):
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _words(cell: str) -> list[str]:
    """Return what text cannot be broken in."""
    return re.findall(rf"\S{{1,{WORD}}}", cell)


def _broken(cell: str) -> CellParts:
    """Escape text that is broken into lines, where need be within a word."""
    pieces = re.findall(rf"\s+|\S{{1,{WORD}}}", cell)
    escaped = (_safe(one) + (r"\allowbreak{}" if len(one) == WORD else "") for one in pieces)
    return ("".join(escaped),)


def _safe(text: str) -> str:
    """Escape text that may stand behind the end of a line, which takes "[" and "*" for its own."""
    return f"{{}}{latex(text)}" if text[:1] in ("[", "*") else latex(text)


def _escaped(texts: CellParts) -> CellParts:
    """Escape the parts of a cell."""
    number, *spread = map(_safe, texts)
    # The thin space is underlined with what it parts.
    return number, *(rf"\,{one.removeprefix('{}')}" if number and one else one for one in spread)


def _apart(cell: str) -> CellParts:
    """Part a number and its spread, so that numbers stand below each other digit by digit."""
    if found := SPREAD.fullmatch(cell):
        return found[1], found[2]
    return ("", cell) if cell[:1] in tuple("±≤≥") else (cell, "")
