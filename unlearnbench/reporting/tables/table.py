"""A table: numbers in a frame, and columns that say how they are written where they are shown."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape as html
from io import StringIO
from typing import Any, Literal

import numpy as np
import pandas as pd

from unlearnbench.errors import UserError
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.metrics.metric import known
from unlearnbench.reporting import escape
from unlearnbench.reporting.tables.best import Contest, Mark
from unlearnbench.reporting.tables.chosen import (
    YARDSTICKS,
    merged,
    twins,
    with_columns,
    with_methods,
)
from unlearnbench.reporting.tables.headings import explained
from unlearnbench.reporting.tables.latex import COLUMN, INCH, article
from unlearnbench.reporting.tables.sheets import sheet_of

Entry = Mapping[str, Any]
"""A row of a table's frame, None for what is missing."""
Marks = Mapping[Mark | None, str]
ABSENT = "–"
PARTIAL = ("band", "power", "skipped")
"""Kinds of rows that do not sum up runs."""
MARKDOWN: Marks = {None: "{}", "best": "**{}**", "tied": "<ins>{}</ins>"}
LATEX: Marks = {
    None: "{}",
    "best": r"\textbf{{{}}}",
    "tied": r"\underline{{\smash{{{}}}}}",  # of a number and its spread the lines meet
}
TEXT, NARROWEST = 5.5, 2.0
"""Inches: how wide the text of NeurIPS is, and the least that a table is laid out in."""
CSS: Marks = {None: "", "best": "font-weight: bold; ", "tied": "text-decoration: underline; "}
SIDES = {"l": "text-align: left", "r": "text-align: right"}


@dataclass(frozen=True)
class Column:
    """Hold a heading and what writes a cell from a row of the frame.

    key: the metric or cost that its cells sum up over runs, "" for none; side: l for text, r for
    numbers; spare: 0, or else a narrow terminal may leave it out, the higher the sooner; order:
    what comes first when it is sorted: "low" or "high" numbers, those "near" retrain's or a number,
    or "text" by its letters; aside: in an article it is a sign behind the name of those few rows
    that have anything there.
    """

    heading: str
    write: Callable[[Entry], str]
    key: str = ""
    side: Literal["l", "r"] = "r"
    spare: int = 0
    order: str = "text"
    aside: bool = False

    @property
    def about(self) -> str:
        """What its cells are, for the reader who points at its heading; "" if that is all."""
        if said := explained(self.heading):
            return said
        if not self.key:
            return ""
        metric = known(self.key)
        return f"{metric.title}: {metric.about}" if metric.about else metric.title


@dataclass(frozen=True)
class Table:
    """Hold a caption, a frame, and the columns in which it is shown.

    frame: first what a row is of, then, where not all are runs of a label, `kind`: reference,
    method or control; band (how large a gap is by chance), power or skipped; then numbers; name: of
    its files; contests: by column, which row is best there; ranks: by column, that
    whose places it shows; titles: display names of labels, for an article; same: rows that have the
    runs of another: that one, by label; benchmark: of which it is, or of which results folder;
    heading, setting: its condition, and for an article its data, model and seeds as well; short:
    headings of those columns that a column of an article has room for, () for all.
    """

    caption: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    name: str = ""
    title: str = ""
    contests: Mapping[int, Contest] = field(default_factory=dict)
    ranks: Mapping[int, Contest] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    benchmark: str = ""
    heading: str = ""
    setting: str = ""
    short: Sequence[str] = ()

    def __repr__(self) -> str:
        """Name it: `to_markdown` and `to_html` show it."""
        return f"<Table {self.name}: {len(self.frame)} rows, {', '.join(self.headings)}>"

    @property
    def headings(self) -> list[str]:
        """What stands above its columns."""
        return [column.heading for column in self.columns]

    @property
    def sides(self) -> str:
        """A letter for each column: l for text, r for numbers."""
        return "".join(column.side for column in self.columns)

    @property
    def kinds(self) -> list[str]:
        """What each row is; "" where all are alike."""
        return list(self.frame["kind"]) if "kind" in self.frame else [""] * len(self.frame)

    def pinned(self, row: int) -> bool:
        """Say whether others are measured by a row: it stays on top however they are sorted."""
        return self.kinds[row] in YARDSTICKS

    @property
    def labels(self) -> list[str]:
        """What each row is of, without marks."""
        return list(map(str, self.frame.iloc[:, 0]))

    @cached_property
    def marks(self) -> dict[tuple[int, int], Mark]:
        """What is best by row and column, and what is not shown to be worse."""
        found = {place: one.marks() for place, one in self.contests.items()}
        return {
            (row, place): of[label]
            for row, label in enumerate(self.labels)
            for place, of in found.items()
            if label in of
        }

    def without_spares(self, level: int = 1) -> "Table":
        """Return it without the columns that may be left out at this level or sooner."""
        kept = [place for place, column in enumerate(self.columns) if not 0 < level <= column.spare]
        return self.of_columns(kept)

    def of_columns(self, places: Sequence[int]) -> "Table":
        """Return it with the columns at these places, in their order."""
        contests, ranks = (
            {new: of[old] for new, old in enumerate(places) if old in of}
            for of in (self.contests, self.ranks)
        )
        columns = [self.columns[place] for place in places]
        return replace(self, columns=columns, contests=contests, ranks=ranks)

    def cells(self) -> list[list[str]]:
        """Return its rows as text."""
        return self._cells

    @cached_property
    def _cells(self) -> list[list[str]]:
        cells = [[column.write(entry) for column in self.columns] for entry in as_rows(self.frame)]
        for row, kind in zip(cells, self.kinds, strict=True):
            if kind == "skipped":
                row[1] = kind
        return cells

    def to_markdown(self) -> str:
        """Write a pipe table, numbers to the right."""
        rules = [{"l": "---", "r": "---:"}[side] for side in self.sides]
        rows = [[escape.markdown(heading) for heading in self.headings], rules]
        rows += self._marked(MARKDOWN, escape.markdown)
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def to_latex(
        self,
        *,
        methods: str | Iterable[str] | None = None,
        columns: str | Sequence[str] | None = None,
        width: float = TEXT,
    ) -> str:
        """Write a complete booktabs table with caption, label and notes, which fits a width.

        methods: the rows to show, by label or display name, None for all; original, retrain and
        the other rows that methods are measured by stay, and what is best is found among those that
        are shown. columns: their headings, which may go without units ("FT AUC"), None for all;
        width: inches that the text has, 5.5 in NeurIPS, 6.75 in ICML, 6.875 in CVPR, 3.25 for a
        column of the last two, in which `main` has a short set of columns unless `columns` says
        otherwise. Raises UserError for a name that is not there, and a width that is no width.
        """
        if not width >= NARROWEST:  # nor is NaN a width
            raise UserError(
                f"A table cannot be {width:g} inches wide.",
                "Give the width of the text in inches: 5.5 in NeurIPS, 3.25 for a column of ICML.",
            )
        shown = self if methods is None else with_methods(self, methods)
        if columns is None and width * INCH <= COLUMN + 1:
            columns = [one for one in self.short if one in self.headings]
        shown = merged(with_columns(shown, columns) if columns else shown)
        shape = range(len(shown.frame)), range(len(shown.columns))
        forms = [[LATEX[shown.marks.get((row, at))] for at in shape[1]] for row in shape[0]]
        laid = article(sheet_of(shown), width * INCH)
        return "".join(f"{line}\n" for line in laid.lines(forms))

    def to_csv(self) -> str:
        """Write its cells as they are shown, without emphasis; `frame` has the numbers."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(map(escape.csv, row) for row in (self.headings, *self.cells()))
        return text.getvalue()

    def to_html(self) -> str:
        """Write a table for a notebook."""
        from pandas.io.formats.style import Styler  # slow to import, and a terminal needs none

        text = pd.DataFrame(self.cells(), columns=range(len(self.columns)))
        sides = [SIDES[side] for side in self.sides]
        css = [list(map("".join, zip(row, sides, strict=True))) for row in self._marked(CSS, str)]
        name, caption = escape.label(self.name), html(self.caption)
        style = Styler(text, uuid=name, cell_ids=False, caption=caption).hide(axis="index")
        style = style.apply(lambda _: pd.DataFrame(css, columns=text.columns), axis=None)
        style = style.relabel_index([html(heading) for heading in self.headings], axis="columns")
        return style.format(escape="html").to_html()

    def _repr_html_(self) -> str:
        return self.to_html()

    def pieces(self) -> dict[str, Any]:
        """Return LaTeX in pieces, so that the rows shown on a page can be put together.

        Its cells are without emphasis, which rests on what is shown; same: of rows that have the
        runs of another, that one: of the two, one is written if both are shown.
        """
        written = article(sheet_of(merged(self)), TEXT * INCH)
        every = article(sheet_of(self), TEXT * INCH)
        rows = {"rows": every.rows, "blocks": every.blocks}
        same = {
            self.labels.index(label): self.labels.index(one) for label, one in twins(self).items()
        }
        return written.as_data() | rows | {"same": same}

    def _marked(self, forms: Marks, safe: Callable[[str], str]) -> list[list[str]]:
        return [
            [forms[self.marks.get((row, place))].format(safe(c)) for place, c in enumerate(cells)]
            for row, cells in enumerate(self.cells())
        ]


def text(heading: str, name: str, key: str = "") -> Column:
    """Show text as it is."""
    return Column(heading, lambda row: str(row[name] or ABSENT), key, "l")


def number(
    heading: str, name: str, form: str = "", *, key: str = "", absent: str = ABSENT
) -> Column:
    """Show one number; absent: what a row of runs shows that has none."""

    def write(row: Entry) -> str:
        return _missing(row, absent) if row[name] is None else format(row[name], form)

    return Column(heading, write, key, order=_order(key, form))


def averaged(key: str, heading: str = "", *, name: str = "", sign: str = "") -> Column:
    """Show the mean and standard deviation of a metric or cost over runs, and its noise band.

    heading, name: if they are not those of the metric; sign: "+" for differences.
    """
    metric, name = known(key), name or key

    def write(row: Entry) -> str:
        if row["kind"] == "band" and row[name] is not None:
            signs = {"higher": "≥ ", "lower": "≤ ", None: "±"}
            return f"{signs[metric.better]}{row[name]:.{metric.digits}f}"
        return mean_std(row, name, metric.digits, sign)

    return Column(heading or metric.heading, write, key, order=_order(key, sign))


def _order(key: str, form: str) -> str:
    """Say what is best of numbers: of differences, which have signs, what is near to zero."""
    if form.startswith("+"):
        return "near 0"
    if not key:
        return "low"
    metric = known(key)
    near = "retrain" if metric.ideal is None else f"{metric.ideal:g}"
    return {"lower": "low", "higher": "high", None: f"near {near}"}[metric.better]


def mean_std(row: Entry, name: str, digits: int, sign: str = "") -> str:
    """Write a mean, and a standard deviation unless it is of one run."""
    mean, std = row[name], row[f"{name}_std"]
    if mean is None:
        return ABSENT
    rounded = f"{np.round(mean, digits) + 0.0:{sign}.{digits}f}"  # + 0.0: never "-0.0"
    return rounded if std is None else f"{rounded} ±{std:.{digits}f}"


def interval(
    heading: str, name: str, sign: str = "", *, absent: str = ABSENT, digits: int = 1
) -> Column:
    """Show a number with its interval; of a noise band, which has none, its half width."""

    def write(row: Entry) -> str:
        if row[name] is None:
            return _missing(row, absent)
        if row.get("kind") == "band":
            return f"±{row[name]:.{digits}f}"
        return with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], sign, digits)

    return Column(heading, write, order=_order("", sign))


def with_interval(value: float, low: float, high: float, sign: str = "", digits: int = 1) -> str:
    """Write a number and its 95 % interval."""
    rounded = np.round([value, low, high], digits) + 0.0  # + 0.0: never "-0.0"
    whole = {0.0: "0"} if digits == 0 else {}  # "+0" would say on which side it is
    shown, first, last = (whole.get(end, f"{end:{sign}.{digits}f}") for end in rounded)
    return f"{shown} [{first}, {last}]"


def _missing(row: Entry, absent: str) -> str:
    return ABSENT if row.get("kind") in PARTIAL else absent
