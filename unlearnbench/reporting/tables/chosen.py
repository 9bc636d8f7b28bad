"""The rows and columns of a table that somebody wants: methods, headings, equal rows once."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from unlearnbench.errors import UserError, unknown
from unlearnbench.planning.plan import REFERENCE_ROWS
from unlearnbench.reporting.tables.best import Contest

if TYPE_CHECKING:
    from unlearnbench.reporting.tables.table import Table

YARDSTICKS = ("reference", "band", "power")
"""Kinds of rows by which the others are measured: they stay whatever is chosen."""
COMPARED = ("label", "nearer", "farther")
"""Columns of a frame that name rows of a benchmark."""
SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
"""Between two sentences of a caption."""
UNITS = re.compile(r"( %| ↓| ↑| →0| \[95 %\])+$")
"""What nobody needs to type of a heading."""


def meant(names: str | Iterable[str], known: Mapping[str, str]) -> set[str]:
    """Return the labels of methods by any of their names; known: the label of every name.

    Raises UserError, with a suggestion, where a name is not known.
    """
    asked = [names] if isinstance(names, str) else list(names)
    for name in asked:
        if name not in known:
            raise unknown("method", name, known)
    return {known[name] for name in asked}


def with_methods(table: "Table", names: str | Iterable[str]) -> "Table":
    """Leave the rows of these methods, by label or display name, and those they are measured by.

    What is best, and ranks, are then of these. Raises UserError where one is not in the table.
    """
    frame = table.frame
    sides = [side for side in COMPARED if side in frame]
    if not sides:
        raise UserError(f"The rows of the table '{table.name}' are no methods: leave methods out.")
    kinds = dict(zip(frame[sides[0]], table.kinds, strict=True))
    labels = [str(label) for side in sides for label in frame[side]]
    known = {table.titles.get(label, label): label for label in labels}
    wanted = meant(names, known | {label: label for label in labels})
    firsts = {table.same.get(label, label) for label in wanted}
    kept = {
        label
        for label in labels
        if label in wanted | firsts
        or kinds.get(label) in YARDSTICKS
        or (not kinds.get(label) and label in REFERENCE_ROWS)
    }
    gone = {table.titles.get(label, label) for label in set(labels) - kept}
    shown = _of_rows(table, frame[sides].isin(kept).all(axis=1), kept)
    return replace(shown, caption=unsaid(table.caption, gone))


def with_columns(table: "Table", names: str | Sequence[str]) -> "Table":
    """Leave the columns with these headings, in this order, behind the first.

    Units may be left out. Raises UserError where there is no such heading.
    """
    plain = [UNITS.sub("", heading) for heading in table.headings]
    places = [0]
    for name in [names] if isinstance(names, str) else names:
        found = [at for at, one in enumerate(table.headings) if name in (one, plain[at])]
        if not found:
            raise unknown("column", name, table.headings)
        places += [at for at in found if at not in places]
    shown = {plain[at] for at in places}
    caption = unsaid(table.caption, {*plain} - shown, shown)
    return replace(table.of_columns(places), caption=caption)


def unsaid(caption: str, gone: Collection[str], shown: Collection[str] = ()) -> str:
    """Leave out the sentences of a caption that explain only what is gone, as "Time: ..." does."""
    kept = []
    for sentence in SENTENCE.split(caption):
        term, colon, _ = sentence.partition(": ")
        terms = set(term.split(", ")) if colon else set()
        if not terms.intersection(gone) or terms.intersection(shown):
            kept.append(sentence)
    return " ".join(kept)


def twins(table: "Table") -> dict[str, str]:
    """Return, of rows that have the runs of another one of the table, that one, by label."""
    there = set(table.labels)
    return {label: table.same[label] for label in table.labels if table.same.get(label) in there}


def merged(table: "Table") -> "Table":
    """Show rows that have the same runs once, with the names of all, as figures do."""
    others = twins(table)
    if not others:
        return table
    names: dict[str, str] = {}
    for label, one in others.items():
        before = names.get(one) or table.titles.get(one, one)
        names[one] = f"{before} = {table.titles.get(label, label)}"
    kept = ~table.frame.iloc[:, 0].isin(list(others))
    shown = _of_rows(table, kept, {*table.labels}.difference(others))
    return replace(shown, titles={**table.titles, **names})


def _of_rows(table: "Table", kept: "pd.Series[bool]", labels: set[str]) -> "Table":
    frame = table.frame[kept].reset_index(drop=True)
    contests = {at: _among(one, labels) for at, one in table.contests.items()}
    ranks = {at: _among(one, labels) for at, one in table.ranks.items()}
    for contest in ranks.values():
        places = contest.places(sorted(contest.far, key=contest.far.__getitem__))
        for row, label in frame.iloc[:, 0].items():
            if label in places:
                frame.loc[row, ["rank", "rank_last"]] = places[label]
    return replace(table, frame=frame, contests=contests, ranks=ranks)


def _among(contest: Contest, labels: set[str]) -> Contest:
    far = {label: value for label, value in contest.far.items() if label in labels}
    return replace(contest, far=far)


def named(text: str, titles: Mapping[str, str]) -> str:
    """Write a cell that names a row with its display name; what follows the name stays."""
    found = re.fullmatch(r"(.*?)((?:, of \d+)?(?: [†‡]+)*)", text, re.DOTALL)
    return f"{titles.get(found[1], found[1])}{found[2]}" if found else text


def heading_named(heading: str, titles: Mapping[str, str]) -> str:
    """Write a heading, in which a row may be named, with its display name."""

    def title(found: re.Match[str]) -> str:
        return titles.get(found[0], found[0])

    return re.sub(r"[\w.+-]+", title, heading)
