"""What a results folder holds beside its tables, and what may go: by row, with the reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from unlearnbench.api.results import methods_of, planned_of, stored_plan
from unlearnbench.errors import UserError, unknown
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.storage import asked, housekeeping, inside
from unlearnbench.storage.apart import apart
from unlearnbench.storage.plugins import known_audits
from unlearnbench.storage.store import Store
from unlearnbench.units import count

Removal = dict[str, list[Path]]
"""Files and folders, by what they are and why they are not needed."""


def lacking(store: Store) -> dict[str, int]:
    """Count by row what the folder's tables ask for and is not there. Raises as `planned_of`."""
    planned = planned_of(store)
    nodes = planned.plan.nodes.items() if planned else ()
    return Counter(node.label for run, node in nodes if not store.exists(run))


def prunable(store: Store, plugins: Iterable[Path] = ()) -> Removal:
    """List what no command asked for. Raises UserError where nobody knows, or a method is missing.

    What was asked for before and is not shown is not among it.
    """
    return _superfluous(store, _asked(store), plugins)


def removable(
    store: Store, rows: Sequence[str], name: str = "", plugins: Iterable[Path] = ()
) -> tuple[Removal, list[Benchmark]]:
    """List what only these rows need, and return what the folder is asked for without them.

    name: of what was asked for earlier, all of it if no rows are named; "" for what is shown.
    Raises UserError for a row or a name that is not there.
    """
    before, kept = _asked(store), asked.earlier(store)
    if name and name not in kept:
        raise unknown(f"name of what was asked of {store.folder.name} earlier", name, kept)
    meant = kept[name] if name else before[0]
    others = [one for one in before if one != meant]
    known = [label for label in meant.methods if name or label != RETRAIN]
    for row in rows:
        if row == RETRAIN and not name:
            raise UserError("The row 'retrain' stays: the others are compared with it.")
        if row not in known:
            raise unknown("row", row, known)
    left = asked.without(meant, rows or known)
    after = [left, *others] if not name else [*others, *([left] if left.methods else [])]
    old = {path for paths in _superfluous(store, before, plugins).values() for path in paths}
    gone = _superfluous(store, after, plugins)
    return {what: new for what, paths in gone.items() if (new := [*set(paths) - old])}, after


def _asked(store: Store) -> list[Benchmark]:
    asked.require_whole(store)
    benchmarks = asked.every(store)
    if not asked.in_view(store):
        raise asked.nothing_asked(store)
    return benchmarks


def _superfluous(store: Store, benchmarks: list[Benchmark], plugins: Iterable[Path]) -> Removal:
    """List what none of these benchmarks needs, and nobody is making; the first is shown."""
    own = list(plugins)
    methods, audits = methods_of(store, own), known_audits(store, list(map(str, own)))
    plans = [stored_plan(one, store, methods, audits).plan for one in benchmarks]
    made = store.leases.of_others()
    needed = {run for plan in plans for run in plan.nodes} | made
    rows = {}
    for one in apart(store, benchmarks[0], needed):
        if folders := inside.ours([store.runs()[run] for run in one.runs], store.folder):
            rows[f"{one.row}: {count(len(folders), 'run')} {one.why}"] = folders
    rest = housekeeping.leftovers(store, plans, made)
    return rows | rest
