"""Tables of a condition: each a function in a file of this folder, found by being there."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.registry import discover
from unlearnbench.reporting.tables.rows import stale_marked
from unlearnbench.reporting.tables.table import Table
from unlearnbench.units import count

Make = Callable[[Condition], Table | None]


@dataclass(frozen=True)
class Design:
    """Hold a table's name, its title, and what makes it of a condition.

    place: on pages, before those with a higher one; detail: it is for auditors, and folded away.
    """

    name: str
    title: str
    make: Make
    place: int
    detail: bool

    def __call__(self, condition: Condition) -> Table | None:
        """Make the table of a condition; None where there is nothing to show."""
        made = self.make(condition)
        if made is None:
            return None
        marked, of = stale_marked(made, condition.findings), condition.benchmark
        named = replace(marked, name=f"{self.name}{condition.suffix}", title=self.title)
        return replace(
            named, titles=condition.findings.titles, benchmark=of.name, setting=_setting(condition)
        )


def _setting(condition: Condition) -> str:
    """Say what a table is of, for a caption that stands alone."""
    of, sets = condition.benchmark, condition.every_run["forget_seed"].nunique()
    made = f"{count(sets, 'forget set')}, {count(of.seeds.retrains, 'retrained model')} each"
    return f"{of.data.name}, {of.model}, {condition.heading}; {made}."


TABLES: dict[str, Design] = {}


def register(
    name: str, title: str, *, place: int = 1000, detail: bool = False
) -> Callable[[Make], Make]:
    """Register what makes a table of a condition under a name, which its files have too."""

    def add(make: Make) -> Make:
        if name in TABLES:
            files = TABLES[name].make.__module__, make.__module__
            raise UserError(f"Two tables are called '{name}', in {' and '.join(files)}.")
        TABLES[name] = Design(name, title, make, place, detail)
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
