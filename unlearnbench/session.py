"""What the commands `run` and `plan` do, from a request to an exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from unlearnbench import benchmark as files
from unlearnbench import estimate, housekeeping, past, placement, registry, slurm
from unlearnbench import plan as planning
from unlearnbench.benchmark import Benchmark
from unlearnbench.capacity import Capacity
from unlearnbench.cluster import open_cluster
from unlearnbench.display import Display, duration
from unlearnbench.errors import UserError
from unlearnbench.estimate import Estimate
from unlearnbench.expansion import expand
from unlearnbench.files import write_text
from unlearnbench.plan import Plan
from unlearnbench.report import tables
from unlearnbench.report.collect import collect
from unlearnbench.report.notes import stale_runs
from unlearnbench.scheduler import Progress, Scheduler, open_workers, progress
from unlearnbench.store import Store

OK, SOME_FAILED = 0, 1


@dataclass(frozen=True)
class Request:
    """Hold what the user typed after `unlearnbench run`."""

    benchmark: str
    data: Path
    results: Path
    methods: list[str] | None = None
    seeds: int | None = None
    assignments: list[str] = field(default_factory=list)
    plugins: list[Path] = field(default_factory=list)
    devices: str = "auto"
    jobs_per_device: int | None = None
    dry_run: bool = False
    retry_failed: bool = False
    retry_stale: bool = False
    timeout: float | None = None
    budget: float | None = None
    address: str | None = None
    profile: bool = False


def run_benchmark(request: Request) -> int:
    """Plan, run what is missing, show the table; return the exit code."""
    display = Display(Console())
    benchmark, plan, plugins = _prepare(request, None)
    store = Store((request.results / benchmark.name).resolve())
    if request.budget is not None:
        devices, jobs = placement.choose(request.devices, request.jobs_per_device)
        placement.require(devices)
        benchmark, plan = _within_budget(request, store, display, max(1, len(devices) * jobs))
    whole = make(request, benchmark, plan, plugins, store, display)
    if request.dry_run:
        return OK
    findings = collect(benchmark, plan, store, plugins)
    if findings.runs.empty:
        display.notes(findings.notes)
        return SOME_FAILED
    for group in tables.groups(findings):
        display.table(tables.main_table(findings, group))
    display.notes(findings.notes)
    display.console.print(f"Next: unlearnbench report {benchmark.name}")
    return OK if whole else SOME_FAILED


def make(
    request: Request,
    benchmark: Benchmark,
    plan: Plan,
    plugins: dict[str, registry.Plugin],
    store: Store,
    display: Display,
    heading: str | None = None,
) -> bool:
    """Say what a plan lacks, make it and remember what was asked; say whether nothing failed.

    heading: what the line of the plan begins with, the benchmark's name if None.
    """
    devices, jobs = placement.choose(request.devices, request.jobs_per_device)
    if not request.dry_run:
        for name, count in housekeeping.adopt(store, plan).items():
            display.console.print(f"{count} models are the same as in {name}: copied from there.")
    retry = _retried(request, plan, store, plugins)
    state = progress(plan, store, retry)
    known = estimate.from_store(plan, store)
    slots = max(1, len(devices) * jobs) if state.open else 1
    left = known.left((plan.nodes[run] for run in state.open), slots)
    space = estimate.disk(plan, store, state.open)
    on_gpu = any(device.startswith("cuda") for device in devices)
    display.plan(heading or benchmark.name, plan, state, slots, left, space, gpus=on_gpu)
    if request.dry_run:
        display.graph(plan, state, known)
        return True

    bad = False
    if state.open:
        placement.require(devices)
    store.prepare()
    _remember(store, benchmark)
    if state.open:
        bad = _work_off(request, benchmark, plan, store, state, known, display)
    return not (bad or state.failed)


def _work_off(
    request: Request,
    benchmark: Benchmark,
    plan: Plan,
    store: Store,
    state: Progress,
    known: Estimate,
    display: Display,
) -> bool:
    """Make the open nodes; say whether any could not be made."""
    registry.source(benchmark.data, request.data).fetch()  # before any worker starts
    devices, jobs = placement.choose(request.devices, request.jobs_per_device)
    capacity = Capacity()
    if request.jobs_per_device is None:
        capacity = placement.capacity(devices, plan, store)
    opened = open_cluster(request.address) if request.address else open_workers(devices, jobs)
    with opened as made:
        scheduler = Scheduler(
            plan,
            store,
            made,
            request.data.resolve(),
            tuple(map(Path, benchmark.plugins)),
            length=known.length,
            capacity=capacity,
            timeout=request.timeout,
            profile=request.profile,
        )
        with _stopped_by_ctrl_c(scheduler, display):
            slots = [worker.slot for worker in made]
            bad = display.follow(scheduler.run(state), plan, state, slots, known)
    store.refresh()
    return bool(bad)


def _within_budget(
    request: Request, store: Store, display: Display, slots: int
) -> tuple[Benchmark, Plan]:
    """Take as many repetitions as can be made in the time given: whole ones, the first first.

    Where nothing is known of the time, the first model is made to learn it.
    """
    budget = request.budget or 0.0
    benchmark, plan, _ = _prepare(request, 1)
    known = estimate.from_store(plan, store)
    if not known.rates and request.dry_run:
        display.console.print(
            "Nothing is known of the time yet: run it, and the first model tells."
        )
        return _prepare(request, None)[:2]
    if not known.rates:
        store.prepare()
        first = Progress([], [], [next(iter(plan.nodes))])
        display.console.print("Making the first model, to learn how long they take.")
        _work_off(request, benchmark, plan, store, first, known, display)
    whole, _, _ = _prepare(request, None)
    for count in range(len(whole.seeds.forget), 0, -1):
        benchmark, plan, _ = _prepare(request, count)
        todo = [node for run, node in plan.nodes.items() if not store.done(run)]
        needs = known.left(todo, slots) or 0.0
        if needs <= budget:
            display.console.print(
                f"{count} of {len(whole.seeds.forget)} repetitions fit in {duration(budget)}."
            )
            return benchmark, plan
    raise UserError(
        f"One repetition takes about {duration(needs)}, which is more than {duration(budget)}.",
        "Take fewer methods or references, or give it more time; what was made is kept.",
    )


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


def slurm_script(request: Request, tasks: int, words: list[str]) -> str:
    """Return a Slurm array script that runs a benchmark on `tasks` GPUs; `words` are for `run`."""
    benchmark, plan, _ = _prepare(request, None)
    store = Store(request.results / benchmark.name)
    state = progress(plan, store, set())
    seconds = estimate.from_store(plan, store).total(plan.nodes[run] for run in state.open)
    hours = None if seconds is None else seconds / 3600
    command = ["unlearnbench", "run", request.benchmark, *words, "--devices", "cuda:0"]
    cores = request.jobs_per_device or placement.MOST_ON_A_GPU
    return slurm.script(benchmark.name, command, len(state.open), hours, tasks, cores)


def superfluous(name: str, plugin_files: list[Path], results: Path) -> list[Path]:
    """List what the results of a benchmark do not need."""
    store = housekeeping.open_store(results, name)
    known = past.planned(store, plugin_files)
    if known is None:
        raise UserError(f"{store.folder} has no benchmark.toml.", "Run the benchmark once more.")
    return housekeeping.superfluous(store, known[1])


def _prepare(
    request: Request, repetitions: int | None
) -> tuple[Benchmark, Plan, dict[str, registry.Plugin]]:
    """Read the benchmark, apply what the user changed, and expand it.

    repetitions: how many to take of those asked for; None for all.
    """
    raw, plugins = read_with_plugins(request.benchmark, request.plugins)
    files.change(raw, request.assignments, plugins)
    if request.seeds is not None:
        files.repeat(raw, request.seeds)
    if repetitions is not None:
        files.repeat(raw, repetitions)
    benchmark, broken = planning.resolve(files.validate(raw), plugins, request.methods)
    plan = expand(benchmark, plugins)
    for label, reason in broken.items():
        plan.skipped |= {(label, access): reason for access in benchmark.access}
    return benchmark, plan, plugins


def read_with_plugins(
    name: str, plugin_files: list[Path]
) -> tuple[dict[str, Any], dict[str, registry.Plugin]]:
    """Read a benchmark, and find the methods there are, in files named by it or the user too."""
    raw = files.read(files.locate(name))
    listed = [Path(path) for path in raw.get("plugins", [])]
    every = past.distinct([*listed, *plugin_files])
    plugins = registry.find("methods", every)
    for path in every:
        registry.method_class(plugins[path.stem])  # named by the user: must import here and now
    raw["plugins"] = [str(path) for path in every]
    return raw, plugins


def _retried(
    request: Request, plan: Plan, store: Store, plugins: dict[str, registry.Plugin]
) -> set[str]:
    retry = set(stale_runs(plan, store, plugins)) if request.retry_stale else set()
    if request.retry_failed:
        retry |= {run for run in plan.nodes if store.error(run) is not None}
    return retry


def _remember(store: Store, benchmark: Benchmark) -> None:
    """Write down what was asked, beside the rows asked for before."""
    stored = past.stored(store)
    merged = files.merge(benchmark, stored) if stored else benchmark
    write_text(store.folder / "benchmark.toml", files.as_toml(merged))
