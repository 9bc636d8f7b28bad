"""What the command `run` does, from a request to an exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from unlearnbench import registry
from unlearnbench.commands import budget, past
from unlearnbench.commands.display import Display
from unlearnbench.commands.request import Request, prepare
from unlearnbench.evaluation.collect import collect, stale_runs
from unlearnbench.evaluation.settings import groups
from unlearnbench.files import write_text
from unlearnbench.planning import reading
from unlearnbench.planning.expansion import Planned
from unlearnbench.report.pages.notes import notes
from unlearnbench.report.tables.results import main_table
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.cluster import open_cluster
from unlearnbench.scheduling.estimate import Estimate
from unlearnbench.scheduling.scheduler import Progress, Scheduler, open_workers, progress
from unlearnbench.storage import housekeeping
from unlearnbench.storage.store import Store

OK, SOME_FAILED = 0, 1


def run_benchmark(request: Request) -> int:
    """Plan, run what is missing, show the table; return the exit code."""
    display = Display(Console())
    planned = prepare(request)
    name = planned.benchmark.name
    store = Store((request.results / name).resolve())
    if request.budget is not None:
        planned = _within_budget(request, request.budget, store, display)
    whole = make(request, planned, store, display)
    if request.dry_run:
        return OK
    findings = collect(planned, store)
    if not findings.runs.empty:
        for group in groups(findings):
            display.table(main_table(findings, group))
    display.notes(notes(findings))
    if findings.runs.empty:
        return SOME_FAILED
    display.console.print(f"Next: unlearnbench report {name}")
    return OK if whole else SOME_FAILED


def make(
    request: Request,
    planned: Planned,
    store: Store,
    display: Display,
    heading: str | None = None,
) -> bool:
    """Say what a plan lacks, make it and remember what was asked; say whether nothing failed.

    heading: what the line of the plan begins with, the benchmark's name if None.
    """
    plan = planned.plan
    if not request.dry_run:
        for name, count in housekeeping.adopt(store, plan).items():
            display.console.print(f"{count} models are the same as in {name}: copied from there.")
    state = progress(plan, store, _retried(request, planned, store))
    known = estimate.from_store(plan, store)
    placement = None if request.address else request.placement
    cost = estimate.cost(plan, store, state.open, known, placement)
    display.plan(heading or planned.benchmark.name, plan, state, cost)
    if request.dry_run:
        display.graph(plan, state, known)
        return True

    if state.open and placement:
        placement.require()
    store.prepare()
    _remember(store, planned)
    whole = not state.open or _work_off(request, planned, store, state, known, display)
    return whole and not state.failed


def _work_off(
    request: Request,
    planned: Planned,
    store: Store,
    state: Progress,
    known: Estimate,
    display: Display,
) -> bool:
    """Make the open nodes; say whether all could be made."""
    plan, benchmark, placement = planned.plan, planned.benchmark, request.placement
    registry.source(benchmark.data, request.data).fetch()  # before any worker starts
    opened = (
        open_cluster(request.address)
        if request.address
        else open_workers(placement.devices, placement.jobs)
    )
    with opened as workers:
        scheduler = Scheduler(
            plan,
            store,
            workers,
            request.data.resolve(),
            tuple(map(Path, benchmark.plugins)),
            length=known.length,
            capacity=placement.capacity(plan, store),
            timeout=request.timeout,
            profile=request.profile,
        )
        with _stopped_by_ctrl_c(scheduler, display):
            slots = [worker.slot for worker in workers]
            bad = display.follow(scheduler.run(state), plan, state, slots, known)
    store.refresh()
    return not bad


def _within_budget(request: Request, seconds: float, store: Store, display: Display) -> Planned:
    """Take as many repetitions as can be made in the time given; say how many.

    Where nothing is known of the time, the first model is made to learn it.
    """
    first = prepare(request, 1)
    request.placement.require()
    known = estimate.from_store(first.plan, store)
    if not known.rates and request.dry_run:
        display.console.print(
            "Nothing is known of the time yet: run it, and the first model tells."
        )
        return prepare(request)
    if not known.rates:
        store.prepare()
        display.console.print("Making the first model, to learn how long they take.")
        one = Progress([], [], [next(iter(first.plan.nodes))])
        _work_off(request, first, store, one, known, display)
    planned, said = budget.within(request, seconds, store, known)
    display.console.print(said)
    return planned


@contextmanager
def _stopped_by_ctrl_c(scheduler: Scheduler, display: Display) -> Iterator[None]:
    """Let the first Ctrl-C finish what is running and the second one stop at once."""

    def on_signal(number: int, frame: object) -> None:
        if scheduler.stopping:
            raise KeyboardInterrupt
        scheduler.stop()
        display.console.print("Finishing what is running; Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if scheduler.stopping:
        raise KeyboardInterrupt


def _retried(request: Request, planned: Planned, store: Store) -> set[str]:
    retry = set(stale_runs(planned, store)) if request.retry_stale else set()
    if request.retry_failed:
        retry |= {run for run in planned.plan.nodes if store.error(run) is not None}
    return retry


def _remember(store: Store, planned: Planned) -> None:
    """Write down what was asked, beside the rows asked for before."""
    stored = past.stored(store)
    merged = reading.merge(planned.benchmark, stored) if stored else planned.benchmark
    write_text(store.folder / "benchmark.toml", reading.as_toml(merged))
