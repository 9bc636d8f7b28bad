"""Give nodes to device slots, skip what is stored, yield events. Knows nothing of models."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loky import get_reusable_executor

from unlearnbench.jobs import Event, Job
from unlearnbench.plan import Node, Plan
from unlearnbench.slots import Slot, claim
from unlearnbench.store import Store


@dataclass(frozen=True)
class Progress:
    """Say what the store holds of a plan."""

    done: list[str]
    failed: list[str]
    open: list[str]


def progress(plan: Plan, store: Store, retry: set[str]) -> Progress:
    """Sort the nodes of a plan into done, failed before and still to do; `retry` is done again."""
    done, failed, todo = [], [], []
    for run in plan.nodes:
        if run in retry:
            todo.append(run)
        elif store.done(run):
            done.append(run)
        elif store.error(run) is not None:
            failed.append(run)
        else:
            todo.append(run)
    return Progress(done, failed, todo)


def _work(job: Job) -> Event:
    """Import the working side in the worker only: it brings torch along."""
    from unlearnbench.worker import work

    return work(job)


@contextmanager
def open_slots(devices: list[str], jobs_per_device: int) -> Iterator[list[Slot]]:
    """Make the slots of this machine for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="unlearnbench-") as folder:
        names = [device for device in devices for _ in range(jobs_per_device)]
        yield [Slot(Path(folder), index, device) for index, device in enumerate(names)]


class Scheduler:
    """Work off the open nodes of a plan, each when what it needs is there."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        slots: list[Slot],
        data_root: Path,
        plugins: tuple[Path, ...],
    ) -> None:
        """Prepare to run on `slots`; nothing starts yet."""
        self.plan, self.store, self.slots = plan, store, slots
        self.data_root, self.plugins = data_root, plugins
        self.running: dict[Future[Event], Node] = {}

    def run(self, state: Progress) -> Iterator[Event]:
        """Yield an event for each node that ends. On any exception, Ctrl-C included, workers stop.

        A worker that dies takes the pool with it, and which run killed it cannot be told: all that
        were in flight are tried again one at a time, and one that kills its worker alone fails.
        """
        nodes = self.plan.nodes
        waiting = deque(nodes[run] for run in state.open)
        available, lost = set(state.done), set(state.failed)
        suspects: deque[Node] = deque()
        try:
            while waiting or suspects or self.running:
                yield from self._block(waiting, lost)
                try:
                    self._submit(waiting, suspects, available)
                    for event in self._collect():
                        (available if event.status == "done" else lost).add(event.run)
                        yield event
                except BrokenProcessPool:
                    victims = list(self.running.values())
                    self.running.clear()
                    if len(victims) > 1:
                        suspects.extend(victims)
                    elif victims:
                        yield self._killed(victims[0])
                        lost.add(victims[0].spec.id)
        finally:
            self._pool().shutdown(wait=True, kill_workers=True)

    def _pool(self) -> Any:
        return get_reusable_executor(
            max_workers=len(self.slots),
            initializer=claim,
            initargs=(self.slots, os.getpid()),
            timeout=None,
        )

    def _submit(self, waiting: deque[Node], suspects: deque[Node], available: set[str]) -> None:
        """Keep every slot busy and one node queued, so that no worker waits for the next."""
        if suspects:
            queue, free = suspects, 1 - len(self.running)
        else:
            queue, free = waiting, len(self.slots) + 1 - len(self.running)
        ready = [node for node in queue if available.issuperset(node.needs)]
        for node in ready[: max(0, free)]:
            job = Job(node, self.store.folder, self.data_root, self.plugins)
            self.running[self._pool().submit(_work, job)] = node
            queue.remove(node)

    def _collect(self) -> Iterator[Event]:
        """Wait for at least one node to end, if any is running."""
        ended, _ = wait(self.running, return_when=FIRST_COMPLETED)
        for future in ended:
            event = future.result()
            del self.running[future]
            yield event

    def _block(self, waiting: deque[Node], lost: set[str]) -> Iterator[Event]:
        """Give up the nodes that need one that is lost."""
        for node in list(waiting):
            missing = [run for run in node.needs if run in lost]
            if missing:
                waiting.remove(node)
                lost.add(node.spec.id)
                message = f"needs {self.plan.nodes[missing[0]].label} {missing[0]}, which failed"
                yield Event("blocked", node.spec.id, node.label, 0.0, message)

    def _killed(self, node: Node) -> Event:
        message = "its worker was killed, or ran out of memory"
        self.store.fail(node.spec, f"{message}\n")
        return Event("failed", node.spec.id, node.label, 0.0, message)
