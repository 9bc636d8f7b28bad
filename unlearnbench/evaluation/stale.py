"""Which stored runs would come out otherwise now, and what about them has changed."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from unlearnbench import registry
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import Cell, Node, Plan, Spec
from unlearnbench.planning.sources import Now
from unlearnbench.storage.store import Store

Records = dict[str, dict[str, Any]]  # by run


def stale_runs(planned: Planned, store: Store, records: Records | None = None) -> dict[str, str]:
    """Say, of each finished run that would come out otherwise now, what has changed.

    That is its data set, its model, its method or audit, the toolkit, or a run that it began with.
    """
    known, plan = records or {}, planned.plan
    now = Now(planned.plugins | registry.find("controls"), planned.benchmark.plugins)
    stale: dict[str, str] = {}
    for run, node in plan.nodes.items():  # needs come before what waits for them
        if not store.done(run):
            continue
        record = known[run] if run in known else store.record(run)
        what = now.changed(node.spec, record)
        if said := _said(node.spec, what) if what else _begun(plan, node, record, store, stale):
            stale[run] = said
    return stale


def _said(spec: Spec, what: str) -> str:
    """Name for people what a record has under a name."""
    words = {
        "data source": f"the data set {spec.data.name}",
        "model source": f"the model {spec.model}",
        "source": f"the audit {spec.audit}" if spec.audit else "the method",
        "toolkit": "the toolkit",
    }
    return words[what]


def _begun(
    plan: Plan, node: Node, record: dict[str, Any], store: Store, stale: dict[str, str]
) -> str | None:
    """Name the run that a run began with and that is stale, or was made again since; None if none.

    A record of version 0.1 does not say which weights it began with.
    """
    weights = record.get("made from", {})
    for need in node.needs:
        made = need in weights and store.done(need)
        if need in stale or (made and weights[need] != store.weights_checksum(need)):
            return f"the {plan.nodes[need].label}"
    return None


def stale_rows(plan: Plan, stale: dict[str, str]) -> dict[str, dict[str, int]]:
    """Count stale runs by row of the tables, or what else they are, and by what has changed."""
    rows: dict[str, set[str]] = {}
    for cell in _cells(plan):
        rows.setdefault(cell.run, set()).add(cell.label)
    counted: dict[str, Counter[str]] = {}
    for run, what in stale.items():
        for label in sorted(rows.get(run, {plan.nodes[run].label})):
            counted.setdefault(label, Counter())[what] += 1
    return {label: dict(counts) for label, counts in counted.items()}


def _cells(plan: Plan) -> Iterator[Cell]:
    """Yield all that tables are read off."""
    return chain(plan.cells, *plan.audited.values(), plan.swapped.values(), plan.shadows)
