"""Which run goes where and when, and what happens when one goes wrong; no model is trained."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unlearnbench.data.prepare import DataSpec
from unlearnbench.execution import Workplace
from unlearnbench.planning.plan import Node, Plan, Spec
from unlearnbench.recipe import Recipe
from unlearnbench.scheduling import scheduler as scheduler_module
from unlearnbench.scheduling.estimate import disk
from unlearnbench.scheduling.placement import OVERHEAD, Capacity
from unlearnbench.scheduling.processes import LOST, Worker, open_workers
from unlearnbench.scheduling.progress import progress
from unlearnbench.scheduling.scheduler import Agenda, Scheduler
from unlearnbench.scheduling.slots import Event, Job, Slot
from unlearnbench.storage import leases
from unlearnbench.storage.housekeeping import leftovers, size_of
from unlearnbench.storage.leases import Leases
from unlearnbench.storage.records import EVERY
from unlearnbench.storage.store import Store


def node(seed: int, seconds: float, needs: tuple[str, ...] = (), does: str = "") -> Node:
    data = DataSpec(name="digits")
    settings = {"seconds": seconds, "does": does}
    spec = Spec(
        kind="original", seed=seed, data=data, model="x", recipe=Recipe(), settings=settings
    )
    return Node(spec, does or "run", needs)


def left_by(spec: Spec) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the record, signals and logits of a run on one training and one test sample."""
    record = {"spec": spec.model_dump(mode="json"), "train": 1, "test": 1, "gradients": 0}
    record |= {"seconds": {}, "trace": [], "notes": {}, "environment": {}}
    kinds = {"correct": np.bool_, "member": np.bool_, "label": np.int16}
    return record, {name: np.zeros(2, kinds.get(name, np.float32)) for name in EVERY}, {}


def plan_of(*nodes: Node) -> Plan:
    plan = Plan()
    for one in nodes:
        plan.add(one)
    return plan


def seconds(node: Node) -> float:
    return float(node.spec.settings["seconds"])


def pretend(job: Job, slot: Slot) -> Event:
    """Take as long as a node says, go wrong as it says, and leave a record and a line in a log."""
    spec, log = job.node.spec, job.results / "log"
    first = not (job.results / f"tried-{spec.id}").exists()
    (job.results / f"tried-{spec.id}").touch()
    started = time.time()
    does = spec.settings["does"]
    if does == "dies" or (does == "dies once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "is slow once" and first:
        time.sleep(5.0)
    if does == "holds":  # Python's lock, in C code, so that no thread of its process moves
        ctypes.PyDLL(None).sleep(int(spec.settings["seconds"]))
    time.sleep(spec.settings["seconds"])
    with log.open("a") as file:
        file.write(f"{spec.seed} {started} {time.time()}\n")
    if does == "exhausts" or (does == "exhausts once" and first):
        return Event("failed", spec.id, job.node.label, 0.0, "out of memory", exhausted=True)
    Store(job.results).save(spec, *left_by(spec))
    return Event("done", spec.id, job.node.label, spec.settings["seconds"])


def work_off(plan: Plan, folder: Path, slots: int, **options: Any) -> list[Event]:
    store = Store(folder)
    store.prepare()
    devices = [f"fake:{i}" for i in range(slots)]
    with open_workers(devices, options.pop("jobs", 1)) as made:
        scheduler = Scheduler(plan, store, made, Workplace(folder), work=pretend, **options)
        return list(scheduler.run(progress(plan, store, set())))


def log(folder: Path) -> dict[int, tuple[float, float]]:
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return {int(seed): (float(start), float(end)) for seed, start, end in lines}


@dataclass(eq=False)
class Simulated:
    """Stand for a worker whose runs take no time but that of a clock which the test moves."""

    slot: Slot
    clock: Clock
    fresh: bool = False

    def submit(self, work: Any, job: Job) -> Future[Event]:
        future, run = Future[Event](), job.node
        ends = self.clock.now + seconds(run)
        self.clock.ends[future] = ends, Event("done", run.spec.id, run.label, seconds(run))
        return future

    def stop(self) -> None:
        pass


@dataclass
class Clock:
    now: float = 0.0
    ends: dict[Future[Event], tuple[float, Event]] = field(default_factory=dict)

    def wait(self, running: Any, **_: Any) -> tuple[list[Future[Event]], None]:
        """Go on to when the next run ends, in the place of `concurrent.futures.wait`."""
        future = min(running, key=lambda one: self.ends[one][0])
        self.now, event = self.ends[future]
        future.set_result(event)
        return [future], None


def test_four_devices_are_kept_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    originals = [node(i, 0.4) for i in range(4)]
    long = [node(10 + i, 1.2) for i in range(2)]
    short = [node(20 + i, 0.2, (originals[i].spec.id,)) for i in range(4)]
    plan = plan_of(*originals, *short, *long)  # the order of the file is the wrong one
    store, clock = Store(tmp_path), Clock()
    store.prepare()
    monkeypatch.setattr(scheduler_module, "wait", clock.wait)
    workers = [Simulated(Slot(None, f"fake:{i}"), clock) for i in range(4)]
    scheduler = Scheduler(plan, store, workers, Workplace(tmp_path), length=seconds)
    events = list(scheduler.run(progress(plan, store, set())))
    assert {event.status for event in events} == {"done"} and len(events) == 10
    assert clock.now == pytest.approx((4 * 0.4 + 2 * 1.2 + 4 * 0.2) / 4), "no device was idle"


@pytest.mark.slow
def test_a_thousand_runs_of_no_time_cost_little(tmp_path: Path) -> None:
    plan = plan_of(*(node(i, 0.0) for i in range(1000)))
    start = time.perf_counter()
    events = work_off(plan, tmp_path, 2)
    took = time.perf_counter() - start
    assert len(events) == 1000 and took / 1000 < 0.02


def test_what_is_long_or_waited_for_goes_first() -> None:
    first, alone = node(1, 1.0), node(2, 2.5)
    last = node(3, 2.0, (first.spec.id,))
    nodes = {n.spec.id: n for n in (last, alone, first)}
    agenda = Agenda({n.spec.id: n for n in (first, alone, last)}, set(), seconds)
    taken = [agenda.take(lambda n: True), agenda.take(lambda n: True), agenda.take(lambda n: True)]
    assert taken == [first, alone, None], "1 + 2 is longer than 2.5, and the last one waits"
    agenda.done(first.spec.id)
    assert agenda.take(lambda n: True) == last and len(nodes) == 3


def test_what_waits_for_a_lost_node_is_given_up_with_all_that_waits_for_it() -> None:
    a = node(1, 1.0)
    b = node(2, 1.0, (a.spec.id,))
    c = node(3, 1.0, (b.spec.id,))
    agenda = Agenda({n.spec.id: n for n in (a, b, c)}, set(), seconds)
    lost = [(n.spec.seed, missing) for n, missing in agenda.lost(a.spec.id)]
    assert lost == [(2, a.spec.id), (3, b.spec.id)] and not agenda.open


def test_a_run_whose_worker_is_killed_is_tried_once_more_and_no_other_is_touched(
    tmp_path: Path,
) -> None:
    plan = plan_of(
        node(1, 0.0, does="dies once"),
        node(2, 0.0, does="dies"),
        *(node(i, 0.1) for i in range(3, 9)),
    )
    events = work_off(plan, tmp_path, 2)
    by_seed: dict[int, list[str]] = {}
    for event in events:
        by_seed.setdefault(plan.nodes[event.run].spec.seed, []).append(event.status)
    assert by_seed[1] == ["again", "done"] and by_seed[2] == ["again", "failed"]
    assert all(by_seed[i] == ["done"] for i in range(3, 9))
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 7, "none was run twice because another one's worker died"
    error = Store(tmp_path).error(next(r for r, n in plan.nodes.items() if n.spec.seed == 2))
    assert error == "its process was ended, by itself, by hand or by a system short of memory\n"


def test_a_worker_that_died_is_replaced_by_the_next_job(tmp_path: Path) -> None:
    worker = Worker(Slot(tmp_path / "0.json", "fake:0"))
    try:
        with pytest.raises(LOST):  # from then on its executor refuses every job
            worker.submit(die, None).result()
        assert worker.submit(pid_of, None).result() != os.getpid()
    finally:
        worker.stop()


def die(job: None, slot: Slot) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pid_of(job: None, slot: Slot) -> int:
    return os.getpid()


def test_a_run_that_exhausts_the_memory_is_tried_again_with_no_neighbours(tmp_path: Path) -> None:
    plan = plan_of(node(1, 0.1, does="exhausts once"), *(node(i, 0.15) for i in range(2, 8)))
    events = work_off(plan, tmp_path, 1, jobs=2)
    statuses = [e.status for e in events if plan.nodes[e.run].spec.seed == 1]
    assert statuses == ["again", "done"]
    times = log(tmp_path)
    start, end = times.pop(1)
    assert all(e <= start + 0.02 or s >= end - 0.02 for s, e in times.values())
    hopeless = plan_of(node(50, 0.0, does="exhausts"))
    (once, twice) = work_off(hopeless, tmp_path, 1, jobs=2)
    assert (once.status, twice.status) == ("again", "failed")


def test_the_start_of_a_process_is_none_of_the_time_that_a_run_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "LOOK", 0.05)
    plan = plan_of(node(1, 0.0), node(2, 60.0))
    first, second = work_off(plan, tmp_path, 1, timeout=0.01)
    assert first.status == "done", "its process starts"
    assert (second.status, second.message) == ("failed", "did not end within 0.01 s (--timeout)")


@pytest.mark.slow
def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    hang = node(1, 60.0), node(6, 60.0, does="holds")
    plan = plan_of(*(node(i, 0.05) for i in range(2, 6)), *hang)
    start = time.perf_counter()
    events = {plan.nodes[e.run].spec.seed: e for e in work_off(plan, tmp_path, 2, timeout=5.0)}
    assert time.perf_counter() - start < 50
    for seed in (1, 6):
        assert events[seed].status == "failed"
        assert events[seed].message == "did not end within 5 s (--timeout)"
    assert all(events[i].status == "done" for i in range(2, 6))


def _share(folder: Path, plan: Plan, together: Any) -> list[tuple[str, str]]:
    """Work off a plan from when both are ready, this one's worker too."""
    store = Store(folder)
    store.prepare()
    with open_workers(["fake:0"], 1) as made:
        made[0].submit(pid_of, None).result()
        scheduler = Scheduler(plan, store, made, Workplace(folder), work=pretend)
        state = progress(plan, store, set())
        together.wait(60)
        return [(event.status, event.message) for event in scheduler.run(state)]


def _second(folder: Path, plan: Plan, found: Any, together: Any) -> None:
    found.put(_share(folder, plan, together))


@pytest.mark.slow
def test_two_processes_share_the_work_and_do_nothing_twice(tmp_path: Path) -> None:
    first = [node(i, 0.1) for i in range(20)]
    plan = plan_of(*first, *(node(50 + i, 0.05, (n.spec.id,)) for i, n in enumerate(first)))
    context = multiprocessing.get_context("spawn")
    found: Any = context.Queue()
    together = context.Barrier(2)
    other = context.Process(target=_second, args=(tmp_path, plan, found, together))
    other.start()
    mine = _share(tmp_path, plan, together)
    theirs = found.get(timeout=60)
    other.join()
    assert len(mine) == len(theirs) == 40 and {s for s, _ in mine + theirs} == {"done"}
    made = [sum(not message for _, message in events) for events in (mine, theirs)]
    assert sum(made) == 40 and min(made) >= 1, "both had a share, and nobody's work was repeated"
    assert len((tmp_path / "log").read_text().splitlines()) == 40
    assert not list((tmp_path / "leases").iterdir())


def test_what_another_process_makes_before_the_start_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(scheduler_module, "wait", clock.wait)
    done, failed, again = (node(seed, 0.0) for seed in (1, 2, 3))
    plan, store, other = plan_of(done, failed, again), Store(tmp_path), Store(tmp_path)
    store.prepare()
    other.fail(again.spec, "earlier\n")
    state = progress(plan, store, {again.spec.id})
    other.save(done.spec, *left_by(done.spec))
    other.fail(failed.spec, "why\n")
    other.save(again.spec, *left_by(again.spec))
    workers = [Simulated(Slot(None, "fake:0"), clock)]
    events = list(Scheduler(plan, store, workers, Workplace(tmp_path)).run(state))
    assert [event.status for event in events] == ["done", "failed", "done"]
    assert {event.message for event in events} == {"by another process"}


def _slow(folder: Path, plan: Plan, found: Any, lease: float) -> None:
    leases.LEASE = lease
    found.put([e.status for e in work_off(plan, folder, 1)])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds workers by /proc")
def test_a_machine_that_was_stopped_and_goes_on_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 3.0)
    monkeypatch.setattr(scheduler_module, "PATIENCE", 0.1)
    plan = plan_of(node(0, 0.0, does="is slow once"), *(node(i, 0.1) for i in range(1, 6)))
    context = multiprocessing.get_context("spawn")
    found: Any = context.Queue()
    other = context.Process(target=_slow, args=(tmp_path, plan, found, 3.0))
    other.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("tried-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().split()
    stopped = [int(pid) for pid in (*children, str(other.pid))]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    told: list[str] = []
    try:
        mine = work_off(plan, tmp_path, 1, tell=told.append)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    theirs = found.get(timeout=60)
    other.join()
    assert {event.status for event in mine} == {*theirs} == {"done"}
    assert len([line for line in told if line.startswith("Took over ")]) >= 1
    store = Store(tmp_path)
    assert [store.damage(run) for run in plan.nodes] == [None] * len(plan.nodes)
    assert not list((tmp_path / "leases").iterdir())


def test_leases_of_the_dead_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", 2.0)
    mine, other = Leases(tmp_path), Leases(tmp_path)
    assert mine.take("run") and not other.take("run")
    marker = (tmp_path / "run").read_text()
    mine.drop("run")
    assert other.take("run")
    other.drop_all()
    # A dead process of this machine: at once.
    dead = multiprocessing.get_context("spawn").Process(target=int)
    dead.start()
    dead.join()
    (tmp_path / "gone").write_text(marker.replace(f"pid={os.getpid()}", f"pid={dead.pid}"))
    assert mine.take("gone")
    # One of another machine: when it has shown no sign of life for as long as was agreed, by this
    # process's clock, whatever the time of day does meanwhile.
    (tmp_path / "far").write_text(marker.replace(f"host={socket.gethostname()}", "host=elsewhere"))
    assert not mine.take("far")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    os.utime(tmp_path / "far", (0, 0))
    deadline = time.monotonic() + 10
    while not mine.take("far") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert time.monotonic() < deadline
    mine.drop_all()


def test_a_lease_that_a_power_cut_has_emptied_is_taken_over_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 1.0)
    monkeypatch.setattr(scheduler_module, "PATIENCE", 0.1)
    monkeypatch.setattr(scheduler_module, "LOOK", 0.02)
    one, other = node(1, 0.0), node(2, 0.0)
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / one.spec.id).touch()
    (tmp_path / "leases" / other.spec.id).write_text("what nobody can read\n")
    told: list[str] = []
    events = work_off(plan_of(one, other), tmp_path, 1, tell=told.append)
    assert [event.status for event in events] == ["done", "done"]
    whose = "a process without a name"
    assert f"Waiting for 2 models being made by {whose} (leases in {tmp_path / 'leases'})." in told
    for run in (one.spec.id, other.spec.id):
        lease = tmp_path / "leases" / run
        assert f"Took over {lease}, left by {whose}, which is no more." in told
    assert len(told) == 3 and not list((tmp_path / "leases").iterdir())


def test_a_lease_of_another_version_is_waited_for_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = Leases(tmp_path), Leases(tmp_path)
    assert mine.take("run")
    monkeypatch.setattr(leases, "LEASE", 30.0)  # as that version has it
    assert not other.take("run")
    assert other.holders(["run"]) == f"process {os.getpid()} on {socket.gethostname()}"
    mine.drop("run")


def test_runs_fit_beside_each_other_by_what_their_kind_has_needed() -> None:
    capacity = Capacity({"cuda:0": 10_000})
    assert capacity.fits("a", [], "cuda:0"), "the first of a kind is alone"
    assert not capacity.fits("a", ["a"], "cuda:0"), "as long as nobody knows what it needs"
    capacity.learn("a", 2400)
    capacity.learn("a", 2000)
    assert capacity.fits("a", ["a", "a"], "cuda:0") and OVERHEAD == 600
    assert not capacity.fits("a", ["a", "a", "a"], "cuda:0"), "4 x 3000 of 9000 MB"
    assert not capacity.fits("b", ["a"], "cuda:0")
    assert capacity.fits("b", ["a"] * 9, "cpu"), "its memory was not given"


def test_a_run_whose_weights_are_wanted_is_open_until_they_are_kept(tmp_path: Path) -> None:
    without = node(1, 0.0)
    wanted = replace(without, keep_weights=True)
    run, store = without.spec.id, Store(tmp_path)
    store.save(without.spec, *left_by(without.spec))
    assert progress(plan_of(without), store, set()).done == [run]
    state = progress(plan_of(wanted), store, set())
    assert (state.done, state.open, state.damaged) == ([], [run], {})
    size = disk(plan_of(without), store, [run])
    assert size is not None
    kept: list[Path] = []

    def write(path: Path) -> None:
        path.write_bytes(bytes(10_000))
        kept.append(store.model_path(run))

    store.save(without.spec, *left_by(without.spec), weights=write)
    store.refresh()
    assert progress(plan_of(wanted), store, set()).done == [run]
    for known in (wanted, without):  # without them the run would be made again
        assert not leftovers(store, [plan_of(known)])
    assert leftovers(store, [plan_of(node(2, 0.0))]) == {"1 file with weights of no run": kept}
    other = replace(node(2, 0.0), keep_weights=True)
    grown = size_of([store.runs()[run]])
    assert disk(plan_of(wanted, other), store, [other.spec.id]) == grown + 10_000
    assert disk(plan_of(wanted, node(3, 0.0)), store, [node(3, 0.0).spec.id]) == grown


def test_stopping_finishes_what_is_running(tmp_path: Path) -> None:
    plan = plan_of(*(node(i, 0.3) for i in range(10)))
    store = Store(tmp_path)
    store.prepare()
    with open_workers(["fake:0", "fake:1"], 1) as made:
        scheduler = Scheduler(plan, store, made, Workplace(tmp_path), work=pretend)
        events = []
        for event in scheduler.run(progress(plan, store, set())):
            events.append(event)
            scheduler.stopping = True
    assert 1 <= len(events) <= 3 and {event.status for event in events} == {"done"}
    assert not list((tmp_path / "leases").iterdir())


@pytest.mark.slow
def test_the_first_of_a_kind_whose_time_is_published_is_alone(tmp_path: Path) -> None:
    """On a GPU, whatever else is to do, and no neighbour comes to it."""
    timed = [node(i, 0.2, does="timed") for i in range(1, 4)]
    plan = plan_of(*timed, *(node(i, 0.15, does="other") for i in range(10, 14)))
    store = Store(tmp_path)
    store.prepare()
    capacity = Capacity(untimed={"timed"})
    with open_workers(["cuda:0"], 2) as made:
        scheduler = Scheduler(plan, store, made, Workplace(tmp_path), work=alone, capacity=capacity)
        events = list(scheduler.run(progress(plan, store, set())))
    assert {event.status for event in events} == {"done"} and not capacity.untimed
    first = next(e for e in events if e.label == "timed")
    assert first.neighbours == 0
    start, end = log(tmp_path)[plan.nodes[first.run].spec.seed]
    others = [times for seed, times in log(tmp_path).items() if times != (start, end)]
    assert all(e <= start + 0.02 or s >= end - 0.02 for s, e in others)


def alone(job: Job, slot: Slot) -> Event:
    """Do as a worker does with the slot; take as long as a node says."""
    began = slot.enter()
    event = pretend(job, slot)
    beside = slot.neighbours(began)
    slot.idle()
    return Event("done", event.run, event.label, event.seconds, neighbours=beside)
