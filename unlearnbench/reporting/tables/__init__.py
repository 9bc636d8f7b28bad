"""Tables of a condition: each a function in a file of this folder, found by being there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.registry import discover
from unlearnbench.reporting.tables.captions import setting
from unlearnbench.reporting.tables.rows import stale_marked
from unlearnbench.reporting.tables.table import Table

Make = Callable[[Condition], Table | None]


@dataclass(frozen=True)
class Design:
    """Hold a table's name, its title, and what makes it of a condition.

    place: on pages, before those with a higher one; detail: it is for auditors, and folded away;
    short: headings of the columns for which a column of an article has room, () for all.
    """

    name: str
    title: str
    make: Make
    place: int
    detail: bool
    short: Sequence[str] = ()

    def __call__(self, condition: Condition) -> Table | None:
        """Make the table of a condition; None where there is nothing to show.

        Its own title, if it has one, stands behind the design's, which several tables may share.
        """
        made = self.make(condition)
        if made is None:
            return None
        marked = stale_marked(made, condition.findings)
        return replace(
            marked,
            name=f"{self.name}{condition.suffix}",
            title=": ".join(filter(None, [self.title, made.title])),
            titles=condition.findings.titles,
            same=condition.same,
            benchmark=condition.benchmark.name,
            heading=condition.heading,
            setting=setting(condition, made.headings),
            short=self.short,
        )


TABLES: dict[str, Design] = {}


def register(
    name: str,
    title: str,
    *,
    place: int = 1000,
    detail: bool = False,
    short: Sequence[str] = (),
) -> Callable[[Make], Make]:
    """Register what makes a table of a condition under a name, which its files have too."""

    def add(make: Make) -> Make:
        if name in TABLES:
            files = TABLES[name].make.__module__, make.__module__
            raise UserError(f"Two tables are called '{name}', in {' and '.join(files)}.")
        TABLES[name] = Design(name, title, make, place, detail, short)
        return make

    return add


def section_tables(condition: Condition) -> tuple[list[Table], list[Table]]:
    """Make all tables of a condition: those that a page shows, and those that it folds away."""
    shown: list[Table] = []
    folded: list[Table] = []
    for design in sorted(TABLES.values(), key=lambda design: design.place):
        if made := design(condition):
            (folded if design.detail else shown).append(made)
    return shown, folded


discover(__name__)
