"""What a store holds of a plan already."""

from dataclasses import dataclass, field, replace

from unlearnbench.planning.plan import Plan
from unlearnbench.storage.store import OTHER_DATA, Store


@dataclass(frozen=True)
class Progress:
    """Say what the store holds of a plan.

    damaged: what is wrong with runs that are made again; weightless: those made again since they
    came without the weights that others begin with; data: digest of what those done are of; marks:
    of each open run, when the record and the error that it had were written, if it had any.
    """

    done: list[str]
    failed: list[str]
    open: list[str]
    damaged: dict[str, str] = field(default_factory=dict)
    weightless: list[str] = field(default_factory=list)
    data: str | None = None
    marks: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)


def progress(plan: Plan, store: Store, retry: set[str]) -> Progress:
    """Sort the nodes of a plan into done, failed before and still to do.

    `retry` is done again, and so is what is damaged, was made of other data than the first that is
    done, or lacks weights that are wanted; a damaged split is brought back by one of the runs that
    share it. A run that was taken over without its weights is made again only if one that is still
    to do needs them.
    """
    state, data = Progress([], [], []), None
    for run, node in plan.nodes.items():
        if run in retry or not store.exists(run):
            failed = run not in retry and store.error(run) is not None
            (state.failed if failed else state.open).append(run)
            # Whatever there is by now: what has not been seen here, another process has made since.
            state.marks[run] = store.marks(node.spec) if run in retry else (None, None)
            continue
        damage = store.damage(run)
        if damage is None and (split := store.split_damage(run)) not in state.damaged.values():
            damage = split
        found = store.digest(run)
        if damage is None and data is not None and found != data:
            damage = OTHER_DATA
        if damage is not None:
            state.damaged[run] = damage
        lacks = node.keep_weights and damage is None and not store.has_weights(run)
        lacks = lacks and not store.pruned(run)
        if damage or lacks:
            state.open.append(run)
        else:
            state.done.append(run)
            data = data or found
    return _with_weights(replace(state, data=data), plan, store)


def _with_weights(state: Progress, plan: Plan, store: Store) -> Progress:
    """Move what came without weights from done to open where an open run needs them."""
    done, todo, needed = set(state.done), set(state.open), set[str]()
    for run in reversed(plan.nodes):  # needs come before what waits for them
        if run in needed and run in done and not store.has_weights(run):
            state.weightless.append(run)
            todo.add(run)
        if run in todo:
            needed.update(plan.nodes[run].needs)
    state.done[:] = [run for run in state.done if run not in todo]
    state.open[:] = [run for run in plan.nodes if run in todo]
    for run in state.open:
        if run not in state.marks:
            state.marks[run] = store.marks(plan.nodes[run].spec)
    return state
