"""The open nodes of a plan: which are ready, which go first, which can no longer be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from unlearnbench.planning.plan import Node


class Agenda:
    """Give out nodes whose needs are met, the longest way to the end first.

    A node's way is its own length and that of the longest chain of nodes waiting for it, so what
    others wait for comes early and what is short and last fills the gaps at the end.
    """

    def __init__(
        self, nodes: dict[str, Node], done: set[str], length: Callable[[Node], float]
    ) -> None:
        """Take the open nodes in the order in which ties are broken; `done` are those made."""
        self.open = nodes
        self._waiters: dict[str, list[str]] = {}
        self._missing: dict[str, set[str]] = {}
        for run, node in nodes.items():
            self._missing[run] = {need for need in node.needs if need not in done}
            for need in self._missing[run]:
                self._waiters.setdefault(need, []).append(run)
        self._way: dict[str, float] = {}
        for run in reversed(list(nodes)):  # needs come before what waits for them
            after = max((self._way[w] for w in self._waiters.get(run, ())), default=0.0)
            self._way[run] = length(nodes[run]) + after
        self._place = {run: place for place, run in enumerate(nodes)}
        self._ready: list[tuple[float, int, str]] = []
        for run, missing in self._missing.items():
            if not missing:
                self.put(run)

    def __bool__(self) -> bool:
        """Say whether anything is left, ready or not."""
        return bool(self.open)

    def put(self, run: str) -> None:
        """Make a node ready, for the first time or again."""
        heappush(self._ready, (-self._way[run], self._place[run], run))

    def take(self, fits: Callable[[Node], bool]) -> Node | None:
        """Take out the first ready node that fits; None if there is none."""
        passed: list[tuple[float, int, str]] = []
        found: Node | None = None
        while self._ready and found is None:
            entry = heappop(self._ready)
            node = self.open[entry[2]]
            if fits(node):
                found = node
            else:
                passed.append(entry)
        for entry in passed:
            heappush(self._ready, entry)
        return found

    def done(self, run: str) -> None:
        """Note that a node has been made; what waited for it only becomes ready."""
        self.open.pop(run, None)
        for waiter in self._waiters.pop(run, ()):
            missing = self._missing.get(waiter)
            if missing is not None:
                missing.discard(run)
                if not missing and waiter in self.open:
                    self.put(waiter)

    def lost(self, run: str) -> Iterator[tuple[Node, str]]:
        """Note that a node cannot be made; yield all that waited for it, and for which node."""
        self.open.pop(run, None)
        for waiter in self._waiters.pop(run, ()):
            node = self.open.get(waiter)
            if node is not None:
                yield node, run
                yield from self.lost(waiter)
