"""Give nodes to device slots, skip what is stored, yield events. Knows nothing of models."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from loky.process_executor import ShutdownExecutorError

from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Node, Plan
from unlearnbench.scheduling.agenda import Agenda
from unlearnbench.scheduling.capacity import Capacity
from unlearnbench.scheduling.jobs import Event, Job
from unlearnbench.scheduling.slots import Slot, Worker
from unlearnbench.storage.leases import Leases
from unlearnbench.storage.store import OTHER_DATA, Store

LOOK = 0.5
"""Seconds between two looks at the clock, and at what other processes have made."""


@dataclass(frozen=True)
class Progress:
    """Say what the store holds of a plan; damaged: what is wrong with runs that are made again."""

    done: list[str]
    failed: list[str]
    open: list[str]
    damaged: dict[str, str] = field(default_factory=dict)


def progress(plan: Plan, store: Store, retry: set[str]) -> Progress:
    """Sort the nodes of a plan into done, failed before and still to do.

    `retry` is done again, and so is what is damaged, or was made of other data than the first that
    is done; a damaged split is brought back by one of the runs that share it.
    """
    done: list[str] = []
    failed: list[str] = []
    todo: list[str] = []
    damaged: dict[str, str] = {}
    for run in plan.nodes:
        if run in retry:
            todo.append(run)
        elif store.exists(run):
            damage = store.damage(run)
            if damage is None and (split := store.split_damage(run)) not in damaged.values():
                damage = split
            if damage is None and done and store.digest(run) != store.digest(done[0]):
                damage = OTHER_DATA
            if damage is None:
                done.append(run)
            else:
                damaged[run] = damage
                todo.append(run)
        elif store.error(run) is not None:
            failed.append(run)
        else:
            todo.append(run)
    return Progress(done, failed, todo, damaged)


def _work(job: Job) -> Event:
    """Import the working side in the worker only: it brings torch along."""
    from unlearnbench.scheduling.worker import work

    return work(job)


@contextmanager
def open_workers(devices: list[str], jobs_per_device: int) -> Iterator[list[Worker]]:
    """Make the workers of this machine for as long as the block lasts; none starts yet."""
    with tempfile.TemporaryDirectory(prefix="unlearnbench-") as folder:
        names = [device for device in devices for _ in range(jobs_per_device)]
        yield [Worker(Slot(Path(folder), index, device)) for index, device in enumerate(names)]


class SlotWorker(Protocol):
    """Stand for whatever does the jobs of one slot: a process here, or a task on a cluster."""

    slot: Slot

    def submit(self, work: Callable[[Job], Event], job: Job) -> Future[Event]:
        """Begin a job; one at a time."""
        ...

    def stop(self) -> None:
        """Give up the job, if there is one."""


@dataclass
class _Run:
    """Hold a node that is being made: by whom, since when, and whether it took too long."""

    node: Node
    worker: SlotWorker
    started: float = field(default_factory=time.monotonic)
    too_long: bool = False

    @property
    def device(self) -> str:
        return self.worker.slot.device


class Scheduler:
    """Work off the open nodes of a plan, each when what it needs is there."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        workers: Sequence[SlotWorker],
        data_root: Path,
        plugins: tuple[Path, ...],
        *,
        length: Callable[[Node], float] = lambda node: 1.0,
        capacity: Capacity | None = None,
        timeout: float | None = None,
        profile: bool = False,
        work: Callable[[Job], Event] = _work,
    ) -> None:
        """Prepare to run on `workers`; nothing starts yet.

        length: how long a node will take, in any unit; timeout: seconds a run may take; profile:
        note where the time of each goes; work: what a worker does with a job.
        """
        self.plan, self.store = plan, store
        self.data_root, self.plugins = data_root, plugins
        self.length, self.timeout, self.work = length, timeout, work
        self.profile = profile
        self.capacity = capacity or Capacity()
        self.leases = Leases(store.folder / "leases")
        self.workers = workers
        self.running: dict[Future[Event], _Run] = {}
        self.alone: dict[str, str] = {}
        """Runs to be tried once more, and the device that each must have to itself."""
        self.elsewhere: set[str] = set()
        """Runs on which another process holds a lease."""
        self.digest: str | None = None
        """Of the data that finished runs were made of."""
        self.stopping = False

    def stop(self) -> None:
        """Start nothing more; what is running is finished."""
        self.stopping = True

    def run(self, state: Progress) -> Iterator[Event]:
        """Yield an event for each node that ends. On any exception, Ctrl-C included, workers stop.

        A run that kills its worker, or exhausts the memory, is tried once more, with no neighbours
        on its device. Runs on which another process holds a lease are left to it.
        """
        nodes = {run: self.plan.nodes[run] for run in state.open}
        self.before = {run: self.store.marks(node.spec) for run, node in nodes.items()}
        self.digest = self.store.digest(state.done[0]) if state.done else None
        agenda = Agenda(nodes, set(state.done), self.length)
        try:
            for run in state.failed:
                yield from self._block(agenda, run)
            while self.running or (agenda and not self.stopping):
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
            self.leases.drop_all()
            self.leases.sweep()

    def _block(self, agenda: Agenda, lost: str) -> Iterator[Event]:
        """Give up the nodes that need one that is lost."""
        for node, missing in agenda.lost(lost):
            message = f"needs {self.plan.nodes[missing].label} {missing}, which failed"
            yield Event("blocked", node.spec.id, node.label, 0.0, message)

    def _start(self, agenda: Agenda) -> Iterator[Event]:
        """Give every idle worker a node; yield an event for each that another process has ended."""
        for run in self.elsewhere:
            agenda.put(run)
        self.elsewhere.clear()
        busy = {run.worker for run in self.running.values()}
        for worker in self.workers:
            while worker not in busy and not self.stopping:
                node = agenda.take(partial(self._fits, worker.slot.device))
                if node is None:
                    break
                run = node.spec.id
                if not self.leases.take(run):
                    self.elsewhere.add(run)
                    continue
                event = self._ended_elsewhere(node)
                if event is not None:
                    self.leases.drop(run)
                    yield event
                    continue
                self.running[worker.submit(self.work, self._job(node))] = _Run(node, worker)
                busy.add(worker)

    def _job(self, node: Node) -> Job:
        return Job(node, self.store.folder, self.data_root, self.plugins, self.profile, self.digest)

    def _fits(self, device: str, node: Node) -> bool:
        """Say whether a node may start on a device beside what is running there."""
        here = [run.node for run in self.running.values() if run.device == device]
        own = self.alone.get(node.spec.id)
        if own is not None:
            return own == device and not here
        if device in self.alone.values():  # someone has it to itself, or waits for that
            return False
        return self.capacity.fits(node.label, [other.label for other in here], device)

    def _ended_elsewhere(self, node: Node) -> Event | None:
        """Return how another process ended a run since this one looked; None if none has."""
        run, message = node.spec.id, "by another process"
        record, error = self.store.marks(node.spec)
        if record != self.before[run][0]:
            return Event("done", run, node.label, 0.0, message)
        if error != self.before[run][1] and run not in self.alone:
            return Event("failed", run, node.label, 0.0, message)
        return None

    def _ended(self) -> list[Event]:
        """Wait until a run ends, or it is time to look again; return what ended."""
        if not self.running:
            if self.elsewhere and not self.stopping:
                time.sleep(LOOK)
            return []
        look = LOOK if self.timeout or self.elsewhere else None
        ended, _ = wait(self.running, timeout=look, return_when=FIRST_COMPLETED)
        self._end_what_hangs()
        events = []
        for future in ended:
            run = self.running.pop(future)
            events.append(self._event(future, run))
            self.leases.drop(run.node.spec.id)
        return events

    def _end_what_hangs(self) -> None:
        for run in self.running.values():
            if self.timeout and time.monotonic() - run.started > self.timeout:
                run.too_long = True
                run.worker.stop()

    def _event(self, future: Future[Event], run: _Run) -> Event:
        """Return how a run ended, and decide whether it is tried again."""
        node, seconds = run.node, time.monotonic() - run.started
        try:
            event = future.result()
        except (BrokenProcessPool, ShutdownExecutorError, CancelledError):
            run.worker.stop()
            message = "its worker was killed, by the system for want of memory or by hand"
            if run.too_long:
                message = f"did not end within {self.timeout:g} s (--timeout)"
            exhausted = not run.too_long
            event = Event("failed", node.spec.id, node.label, seconds, message, exhausted=exhausted)
            if run.too_long:
                self.store.fail(node.spec, f"{message}\n")
        if event.fatal:
            raise UserError(event.message)
        if event.memory is not None:
            self.capacity.learn(event.label, event.memory)
        if event.status == "failed" and event.exhausted and event.run not in self.alone:
            self.alone[event.run] = run.device
            return replace(event, status="again", message=f"{event.message}; tried again alone")
        if event.status == "failed" and event.exhausted:
            # Only now, not after the first try: should this process be killed, it is still to do.
            self.store.fail(node.spec, f"{event.message}\n")
        self.alone.pop(event.run, None)
        return event
