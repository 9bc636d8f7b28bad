"""Run a benchmark: plan, make what is missing, tell the listener what happens."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unlearnbench import registry
from unlearnbench.api.listening import Listener, Outlook, usual
from unlearnbench.api.request import Methods, Request, Setup, prepare
from unlearnbench.api.request import benchmark as read_benchmark
from unlearnbench.api.results import Results, of_plan, whole
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import stale_runs
from unlearnbench.execution import Workplace
from unlearnbench.files import write_text
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.cluster import open_cluster
from unlearnbench.scheduling.scheduler import Progress, Scheduler, progress
from unlearnbench.scheduling.slots import open_workers
from unlearnbench.storage import housekeeping
from unlearnbench.storage.store import Store
from unlearnbench.units import duration


def run(
    benchmark: str | Path | Setup = "digits",
    *,
    methods: Methods | None = None,
    seeds: int | None = None,
    devices: str = "auto",
    jobs_per_device: int | None = None,
    plugins: Sequence[str | Path] = (),
    data: str | Path = "data",
    results: str | Path = "results",
    timeout: float | None = None,
    budget: float | None = None,
    retry_failed: bool = False,
    retry_stale: bool = False,
    keep_weights: bool = False,
    profile: bool = False,
    address: str | None = None,
    listener: Listener | None = None,
) -> Results:
    """Run a benchmark, or go on with one that was interrupted; return what came out.

    benchmark: a name, a TOML file, or what `ub.benchmark` returns; methods: names, files, classes
    and instances, all that the benchmark has if None, or a mapping from labels of rows to them;
    seeds: how often everything is repeated; devices, jobs_per_device, timeout, budget, address: as
    `Request` has them; data, results: folders; listener: hears what happens, None for a progress
    bar in a notebook and silence elsewhere. A method that fails is in `results.findings.failures`
    and harms no other. Raises UserError for what is unknown, wrong or not there, and where no run
    has finished.
    """
    setup = benchmark if isinstance(benchmark, Setup) else read_benchmark(benchmark)
    request = Request(
        setup.repeated(seeds),
        Path(data),
        Path(results),
        methods,
        plugins=[Path(file) for file in plugins],
        devices=devices,
        jobs_per_device=jobs_per_device,
        retry_failed=retry_failed,
        retry_stale=retry_stale,
        timeout=timeout,
        budget=budget,
        address=address,
        profile=profile,
        keep_weights=keep_weights,
    )
    return whole(follow(request, listener or usual())[0])


def follow(request: Request, listener: Listener) -> tuple[Results, bool]:
    """Do what is requested; return what came out, and whether nothing failed."""
    planned, store = begin(request, listener)
    succeeded = make(request, planned, store, listener)
    return of_plan(planned, store), succeeded


def make(
    request: Request,
    planned: Planned,
    store: Store,
    listener: Listener,
    heading: str | None = None,
) -> bool:
    """Make what a plan lacks and remember what was asked; say whether nothing failed.

    heading: what the plan is called to the listener, the benchmark's name if None.
    """
    for name, count in housekeeping.adopt(store, planned.plan).items():
        listener.told(f"{count} models are the same as in {name}: copied from there.")
    outlook = look(request, planned, store, heading)
    listener.planned(outlook)
    if outlook.state.open and not request.address:
        request.placement.require()
    store.prepare()
    _remember(store, planned.benchmark)
    whole = not outlook.state.open or _work_off(request, planned, store, outlook, listener)
    return whole and not outlook.state.failed


def look(request: Request, planned: Planned, store: Store, heading: str | None = None) -> Outlook:
    """Say what a plan lacks and what it will take; nothing is made."""
    plan = planned.plan
    state = progress(plan, store, _retried(request, planned, store))
    known = estimate.from_store(plan, store)
    placement = None if request.address else request.placement
    cost = estimate.cost(plan, store, state.open, known, placement)
    return Outlook(heading or planned.benchmark.name, plan, state, known, cost)


def begin(request: Request, listener: Listener, *, dry_run: bool = False) -> tuple[Planned, Store]:
    """Expand a request, as far as fits in the time given, and open the store of its results."""
    planned = prepare(request)
    store = Store((request.results / planned.benchmark.name).resolve())
    if request.budget is not None:
        planned = within_budget(request, store, listener, dry_run=dry_run)
    return planned, store


def _work_off(
    request: Request, planned: Planned, store: Store, outlook: Outlook, listener: Listener
) -> bool:
    """Make the open nodes; say whether all could be made."""
    benchmark, placement = planned.benchmark, request.placement
    registry.source(benchmark.data, request.data).fetch()  # before any worker starts
    opened = (
        open_cluster(request.address)
        if request.address
        else open_workers(placement.devices, placement.jobs)
    )
    plugins = registry.added(planned.plugins)
    workplace, failed = Workplace(request.data.resolve(), plugins, request.profile), 0
    with opened as workers:
        scheduler = Scheduler(
            planned.plan,
            store,
            workers,
            workplace,
            length=outlook.known.length,
            capacity=placement.capacity(planned.plan, store),
            timeout=request.timeout,
        )
        slots = [worker.slot for worker in workers]
        with _stopped_by_ctrl_c(scheduler, listener), listener.working(outlook, slots):
            for event in scheduler.run(outlook.state):
                node = planned.plan.nodes[event.run]
                if event.status == "done" and not event.message:
                    outlook.known.learn(node, event.seconds)
                listener.ended(event)
                failed += event.status in ("failed", "blocked")
    store.refresh()
    return not failed


def within_budget(
    request: Request, store: Store, listener: Listener, *, dry_run: bool = False
) -> Planned:
    """Take as many whole repetitions as fit in the time given, the first first; tell how many.

    Where nothing is known of the time, the first model is made to learn it, or in a dry run all
    repetitions are taken. Raises UserError where not even one fits.
    """
    seconds = request.budget or 0.0
    first = prepare(request, 1)
    request.placement.require()
    known = estimate.from_store(first.plan, store)
    if not known.rates and dry_run:
        listener.told("Nothing is known of the time yet: run it, and the first model tells.")
        return prepare(request)
    if not known.rates:
        store.prepare()
        listener.told("Making the first model, to learn how long they take.")
        alone = Progress([], [], [next(iter(first.plan.nodes))])
        cost = estimate.cost(first.plan, store, alone.open, known, request.placement)
        outlook = Outlook(first.benchmark.name, first.plan, alone, known, cost)
        _work_off(request, first, store, outlook, listener)
    needs, asked = 0.0, len(prepare(request).benchmark.seeds.forget)
    for count in range(asked, 0, -1):
        planned = prepare(request, count)
        todo = [node for run, node in planned.plan.nodes.items() if not store.done(run)]
        needs = known.total(todo, request.placement.slots) or 0.0
        if needs <= seconds:
            listener.told(f"{count} of {asked} repetitions fit in {duration(seconds)}.")
            return planned
    raise UserError(
        f"One repetition takes about {duration(needs)}, which is more than {duration(seconds)}.",
        "Take fewer methods or references, or give it more time; what was made is kept.",
    )


@contextmanager
def _stopped_by_ctrl_c(scheduler: Scheduler, listener: Listener) -> Iterator[None]:
    """Let the first Ctrl-C finish what is running and the second one stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return

    def on_signal(number: int, frame: object) -> None:
        if scheduler.stopping:
            raise KeyboardInterrupt
        scheduler.stopping = True
        listener.told("Finishing what is running; Ctrl-C again stops at once.")

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


def _remember(store: Store, benchmark: Benchmark) -> None:
    """Write down what was asked, beside the rows asked for before."""
    before = housekeeping.remembered(store)
    merged = reading.merge(benchmark, before) if before else benchmark
    write_text(store.folder / "benchmark.toml", reading.as_toml(merged))
