"""Give nodes to device slots, skip what is stored, yield events. Knows nothing of models."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

from unlearnbench.errors import UserError
from unlearnbench.execution import Workplace
from unlearnbench.planning.plan import Node, Plan
from unlearnbench.scheduling.placement import Capacity
from unlearnbench.scheduling.processes import LOST
from unlearnbench.scheduling.progress import Progress
from unlearnbench.scheduling.slots import Event, Job, Slot
from unlearnbench.storage.store import Store
from unlearnbench.units import count

LOOK = 0.5
"""Seconds between two looks at the clock, and at what other processes have made."""
START = 120.0
"""Seconds that the first run of a process may take longer, which has to load torch and data."""
PATIENCE = 5.0
"""Seconds of waiting for other processes alone after which is said for whom."""


class Agenda:
    """Give out open nodes whose needs are met, the longest way to the end first.

    A node's way is its own length and that of the longest chain of nodes waiting for it, so what
    others wait for comes early and what is short and last fills the gaps at the end.
    """

    def __init__(
        self, nodes: dict[str, Node], done: set[str], length: Callable[[Node], float]
    ) -> None:
        """Take the open nodes in the order in which ties are broken; `done` are those made."""
        self.open = nodes
        self._waiters: dict[str, list[str]] = {}
        self._missing = {run: set(node.needs) - done for run, node in nodes.items()}
        for run, missing in self._missing.items():
            for need in missing:
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

    def put(self, run: str) -> None:
        """Make a node ready, for the first time or again."""
        heappush(self._ready, (-self._way[run], self._place[run], run))

    def take(self, fits: Callable[[Node], bool]) -> Node | None:
        """Take out the first ready node that fits; None if there is none."""
        passed: list[str] = []
        taken: Node | None = None
        while self._ready and taken is None:
            run = heappop(self._ready)[2]
            if fits(self.open[run]):
                taken = self.open[run]
            else:
                passed.append(run)
        for run in passed:
            self.put(run)
        return taken

    def done(self, run: str) -> None:
        """Note that a node has been made; what waited for it only becomes ready."""
        self.open.pop(run, None)
        for waiter in self._waiters.pop(run, ()):
            self._missing[waiter].discard(run)
            if not self._missing[waiter] and waiter in self.open:
                self.put(waiter)

    def lost(self, run: str) -> Iterator[tuple[Node, str]]:
        """Note that a node cannot be made; yield all that waited for it, and for which node."""
        self.open.pop(run, None)
        for waiter in self._waiters.pop(run, ()):
            if waiter in self.open:
                yield self.open[waiter], run
                yield from self.lost(waiter)


def _work(job: Job, slot: Slot) -> Event:
    """Import the working side in the worker only: it brings torch along."""
    from unlearnbench.scheduling.worker import work

    return work(job, slot)


class SlotWorker(Protocol):
    """Stand for whatever does the jobs of one slot: a process here, or a task on a cluster."""

    slot: Slot
    fresh: bool
    """Whether the job that it was given last is the first that its process does."""

    def submit(self, work: Callable[[Job, Slot], Event], job: Job) -> Future[Event]:
        """Begin a job, one at a time; its future raises one of LOST if the worker is."""
        ...

    def stop(self) -> None:
        """Give up the job, if there is one."""


@dataclass
class _Run:
    node: Node
    worker: SlotWorker
    started: float = field(default_factory=time.monotonic)
    too_long: bool = False


@dataclass
class Scheduler:
    """Work off the open nodes of a plan, each when what it needs is there.

    length: how long a node will take, in any unit; timeout: seconds a run may take; work: what a
    worker does with a job; tell: hears for whom it waits, and whose leases it has taken over.
    """

    plan: Plan
    store: Store
    workers: Sequence[SlotWorker]
    workplace: Workplace
    _: KW_ONLY
    length: Callable[[Node], float] = lambda node: 1.0
    capacity: Capacity = field(default_factory=Capacity)
    timeout: float | None = None
    work: Callable[[Job, Slot], Event] = _work
    tell: Callable[[str], None] = lambda text: None
    stopping: bool = False
    """Whether to start nothing more; what is running is finished."""
    running: dict[Future[Event], _Run] = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)
    """Runs to be tried once more, and the device that each must have to itself."""
    elsewhere: set[str] = field(default_factory=set)
    """Runs on which another process holds a lease."""
    before: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    """Of each open run, when record and error were written that were there when it was planned."""
    waiting: tuple[float, str] | None = None
    """Since when there is nothing to do but to wait for others, and for whom was said."""

    def run(self, state: Progress) -> Iterator[Event]:
        """Yield an event for each node that ends. On any exception, Ctrl-C included, workers stop.

        A run that kills its worker, or exhausts the memory, is tried once more, with no neighbours
        on its device. Runs on which another process holds a lease are left to it.
        """
        nodes = {run: self.plan.nodes[run] for run in state.open}
        self.before = {
            run: state.marks.get(run) or self.store.marks(node.spec) for run, node in nodes.items()
        }
        self.workplace = replace(self.workplace, digest=state.data)
        agenda = Agenda(nodes, set(state.done), self.length)
        try:
            for run in state.failed:
                yield from self._block(agenda, run)
            while self.running or (agenda.open and not self.stopping):
                for event in [*self._start(agenda), *self._ended()]:
                    yield event
                    if event.status == "again":
                        agenda.put(event.run)
                    elif event.status == "done":
                        agenda.done(event.run)
                    else:
                        yield from self._block(agenda, event.run)
        finally:
            for worker in self.workers:
                worker.stop()
            self.store.leases.drop_all()

    def _block(self, agenda: Agenda, lost: str) -> Iterator[Event]:
        """Give up the nodes that need one that is lost."""
        for node, missing in agenda.lost(lost):
            message = f"needs {self.plan.nodes[missing].label} {missing}, which failed"
            yield Event("blocked", node.spec.id, node.label, 0.0, message)

    def _start(self, agenda: Agenda) -> Iterator[Event]:
        """Give every idle worker a node; yield an event for each that another process has ended."""
        while self.elsewhere:
            agenda.put(self.elsewhere.pop())
        busy = {run.worker for run in self.running.values()}
        for worker in self.workers:
            fits = partial(self._fits, worker.slot.device)
            while worker not in busy and not self.stopping and (node := agenda.take(fits)):
                run = node.spec.id
                if not self.store.leases.take(run):
                    self.elsewhere.add(run)
                    continue
                for line in self.store.leases.reclaimed():
                    self.tell(line)
                if event := self._ended_elsewhere(node):
                    self.store.leases.drop(run)
                    yield event
                else:
                    job = Job(node, self.store.folder, self.workplace)
                    self.running[worker.submit(self.work, job)] = _Run(node, worker)
                    busy.add(worker)

    def _fits(self, device: str, node: Node) -> bool:
        """Say whether a node may start on a device beside what is running there."""
        here = [run.node for run in self.running.values() if run.worker.slot.device == device]
        if node.spec.id in self.alone:
            return self.alone[node.spec.id] == device and not here
        if device in self.alone.values():  # another run has it to itself, or waits for that
            return False
        return self.capacity.fits(node.label, [other.label for other in here], device)

    def _ended_elsewhere(self, node: Node) -> Event | None:
        """Return how another process ended a run since this one looked; None if none has."""
        run, (record, error) = node.spec.id, self.store.marks(node.spec)
        made, failed = record != self.before[run][0], error != self.before[run][1]
        if made or (failed and run not in self.alone):
            return Event("done" if made else "failed", run, node.label, 0.0, "by another process")
        return None

    def _ended(self) -> list[Event]:
        """Wait until a run ends, or it is time to look again; return what ended."""
        if not self.running:
            if self.elsewhere and not self.stopping:
                self._say_for_whom()
                time.sleep(LOOK)
            return []
        self.waiting = None
        look = LOOK if self.timeout or self.elsewhere else None
        ended, _ = wait(self.running, timeout=look, return_when=FIRST_COMPLETED)
        for run in self.running.values():
            took = time.monotonic() - run.started
            if self.timeout and took > self.timeout + START * run.worker.fresh:
                run.too_long = True
                run.worker.stop()
        events = []
        for future in ended:
            run = self.running.pop(future)
            events.append(self._event(future, run))
            self.store.leases.drop(run.node.spec.id)
        return events

    def _say_for_whom(self) -> None:
        """Say whose runs are waited for, where nothing else can be done; again if that changes."""
        since, said = self.waiting or (time.monotonic(), "")
        whose = self.store.leases.holders(self.elsewhere)
        if whose != said and time.monotonic() - since > PATIENCE:
            runs, place = count(len(self.elsewhere), "model"), self.store.leases.folder
            self.tell(f"Waiting for {runs} being made by {whose} (leases in {place}).")
            said = whose
        self.waiting = since, said

    def _event(self, future: Future[Event], run: _Run) -> Event:
        """Return how a run ended, and decide whether it is tried again."""
        node, seconds = run.node, time.monotonic() - run.started
        try:
            event = future.result()
        except LOST:
            run.worker.stop()
            message = "its process was ended, by itself, by hand or by a system short of memory"
            if run.too_long:
                message = f"did not end within {self.timeout:g} s (--timeout)"
                self.store.fail(node.spec, f"{message}\n")
            killed = not run.too_long
            event = Event("failed", node.spec.id, node.label, seconds, message, exhausted=killed)
        if event.stuck:
            run.worker.stop()  # a fresh one takes over
        if event.fatal:
            raise UserError(event.message)
        if event.memory is not None:
            self.capacity.learn(event.label, event.memory)
        if event.status == "done" and event.neighbours == 0:
            self.capacity.untimed.discard(event.label)
        if event.exhausted and event.run not in self.alone:
            self.alone[event.run] = run.worker.slot.device
            return replace(event, status="again", message=f"{event.message}; tried again alone")
        if event.exhausted:
            # Only now, not after the first try: should this process be killed, it is still to do.
            self.store.fail(node.spec, f"{event.message}\n")
        self.alone.pop(event.run, None)
        return event
