"""How long the rest will take and how much disk it needs, from what similar runs took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from unlearnbench.plan import Node, Plan
from unlearnbench.store import Store


class Estimate:
    """Learn the duration of each kind of node and say how long others will take."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def learn(self, label: str, seconds: float) -> None:
        """Note how long a node took."""
        self.seconds[label].append(seconds)

    def left(self, nodes: Iterable[Node], slots: int) -> float | None:
        """Return the seconds that nodes will take on so many slots; None if nothing is known yet.

        A kind of which no run has ended yet counts as the mean of the kinds that are known.
        """
        means = {label: sum(times) / len(times) for label, times in self.seconds.items()}
        if not means:
            return None
        typical = sum(means.values()) / len(means)
        return sum(means.get(node.label, typical) for node in nodes) / slots


def from_store(plan: Plan, store: Store) -> Estimate:
    """Learn from the records of a plan's finished nodes."""
    estimate = Estimate()
    for run, node in plan.nodes.items():
        if store.done(run):
            estimate.learn(node.label, store.record(run)["seconds"]["total"])
    return estimate


def disk(plan: Plan, store: Store, runs: Iterable[str]) -> int | None:
    """Return the bytes that runs will take, from what runs of their kind take; None if unknown."""
    sizes: dict[str, int] = {}
    for run, node in plan.nodes.items():
        if node.label not in sizes and store.done(run):
            sizes[node.label] = store.size(run)
    if not sizes:
        return None
    typical = sum(sizes.values()) // len(sizes)
    return sum(sizes.get(plan.nodes[run].label, typical) for run in runs)
