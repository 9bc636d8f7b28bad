"""What the commands `run` and `report` do, from a request to an exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from unlearnbench import benchmark as files
from unlearnbench import environment, estimate, registry
from unlearnbench import plan as planning
from unlearnbench.benchmark import Benchmark
from unlearnbench.display import Display
from unlearnbench.errors import UserError
from unlearnbench.expansion import expand
from unlearnbench.files import write_text
from unlearnbench.plan import Plan
from unlearnbench.report import tables
from unlearnbench.report.collect import collect
from unlearnbench.report.notes import stale_runs
from unlearnbench.scheduler import Scheduler, open_slots, progress
from unlearnbench.store import Store

OK, SOME_FAILED = 0, 1


@dataclass(frozen=True)
class Request:
    """Hold what the user typed after `unlearnbench run`."""

    benchmark: str
    methods: list[str] | None
    seeds: int | None
    assignments: list[str]
    devices: str
    jobs_per_device: int | None
    plugins: list[Path]
    data: Path
    results: Path
    dry_run: bool
    retry_failed: bool
    retry_stale: bool


def run_benchmark(request: Request) -> int:
    """Plan, run what is missing, show the table; return the exit code."""
    display = Display(Console())
    benchmark, plan, plugins = _prepare(request)
    store = Store(request.results / benchmark.name)
    retry = _retried(request, plan, store, plugins)
    state = progress(plan, store, retry)
    devices, jobs = _devices(request) if state.open else ([], 1)
    known = estimate.from_store(plan, store)
    slots = max(1, len(devices) * jobs)
    left = known.left((plan.nodes[run] for run in state.open), slots)
    display.plan(benchmark.name, plan, state, slots, left, estimate.disk(plan, store, state.open))
    if request.dry_run:
        display.graph(plan, state)
        return OK

    _require(devices)
    store.prepare()
    _remember(store, benchmark)
    bad = False
    if state.open:
        registry.source(benchmark.data, request.data).fetch()  # before any worker starts
        with open_slots(devices, jobs) as made:
            plugin_files = tuple(map(Path, benchmark.plugins))
            scheduler = Scheduler(plan, store, made, request.data, plugin_files)
            with _stopped_by_ctrl_c(scheduler, display):
                bad = bool(display.follow(scheduler.run(state), plan, state, made, known))
        store.refresh()
    findings = collect(benchmark, plan, store, plugins)
    if findings.runs.empty:
        display.notes(findings.notes)
        return SOME_FAILED
    for group in tables.groups(findings):
        display.table(tables.main_table(findings, group))
    display.notes(findings.notes)
    display.console.print(f"Next: unlearnbench report {benchmark.name}")
    return SOME_FAILED if bad or state.failed else OK


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


def write_report(name: str, plugin_files: list[Path], results: Path, reports: Path) -> Path:
    """Write the report of a benchmark that has been run; return its page."""
    store = Store(results / name)
    benchmark = _stored(store)
    if benchmark is None:
        hint = f"Run it first: unlearnbench run {name}."
        raise UserError(f"There are no results of '{name}' in {results}.", hint)
    plugins = registry.find("methods", _distinct([*map(Path, benchmark.plugins), *plugin_files]))
    plan = expand(benchmark, plugins)
    findings = collect(benchmark, plan, store, plugins)
    if findings.runs.empty:
        raise UserError(f"No run of '{name}' has finished yet.", f"Go on: unlearnbench run {name}.")
    from unlearnbench.report.write import write  # matplotlib is slow to import

    return write(findings, store, reports / name)


def _prepare(request: Request) -> tuple[Benchmark, Plan, dict[str, registry.Plugin]]:
    """Read the benchmark, apply what the user changed, and expand it."""
    raw = files.read(files.locate(request.benchmark))
    listed = [Path(path) for path in raw.get("plugins", [])]
    plugin_files = _distinct([*listed, *request.plugins])
    plugins = registry.find("methods", plugin_files)
    for path in plugin_files:
        registry.method_class(plugins[path.stem])  # named by the user: must import here and now
    raw["plugins"] = [str(path) for path in plugin_files]
    files.change(raw, request.assignments, plugins)
    if request.seeds is not None:
        files.repeat(raw, request.seeds)
    benchmark, broken = planning.resolve(files.validate(raw), plugins, request.methods)
    plan = expand(benchmark, plugins)
    for label, reason in broken.items():
        plan.skipped |= {(label, access): reason for access in benchmark.access}
    return benchmark, plan, plugins


def _distinct(paths: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(path.resolve() for path in paths))


def _retried(
    request: Request, plan: Plan, store: Store, plugins: dict[str, registry.Plugin]
) -> set[str]:
    retry = set(stale_runs(plan, store, plugins)) if request.retry_stale else set()
    if request.retry_failed:
        retry |= {run for run in plan.nodes if store.error(run) is not None}
    return retry


def _devices(request: Request) -> tuple[list[str], int]:
    """Return the devices to use and how many runs each takes at once."""
    names = [name.strip() for name in request.devices.split(",") if name.strip()]
    if names == ["auto"]:
        names = environment.devices()
    names = ["cuda:0" if name == "cuda" else name for name in names]
    if request.jobs_per_device:
        return names, request.jobs_per_device
    return names, len(os.sched_getaffinity(0)) if names == ["cpu"] else 1


def _require(devices: list[str]) -> None:
    """Raise UserError for a device that this machine lacks."""
    if set(devices) - {"cpu"}:
        there = ["cpu", *environment.gpus()]
        for device in devices:
            if device not in there:
                hint = f"This machine has {', '.join(there)}."
                raise UserError(f"There is no device '{device}' here.", hint)


def _stored(store: Store) -> Benchmark | None:
    path = store.folder / "benchmark.toml"
    return files.validate(files.read(path)) if path.exists() else None


def _remember(store: Store, benchmark: Benchmark) -> None:
    """Write down what was asked, beside the rows asked for before."""
    stored = _stored(store)
    merged = files.merge(benchmark, stored) if stored else benchmark
    write_text(store.folder / "benchmark.toml", files.as_toml(merged))
