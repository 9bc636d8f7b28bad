"""The commands `run` and `plan`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unlearnbench.cli import options
from unlearnbench.cli.said import copied, moving
from unlearnbench.errors import UserError
from unlearnbench.units import read_duration

if TYPE_CHECKING:
    from unlearnbench.api.request import Request

SCRIPT = """#!/bin/bash
#SBATCH --job-name=unlearnbench-{name}
#SBATCH --array=1-{tasks}
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task={cores}
#SBATCH --time={time}
#SBATCH --output={name}-%A_%a.log
#SBATCH --requeue
# {models} models to make. Every task runs the same command on the same results folder, which all of
# them must see: they share the work by leases, a task that is ended loses the runs in flight, and
# one more submission of this script goes on. Data must be there already.
set -euo pipefail
exec {command}
"""


_TIMEOUT = Annotated[str | None, typer.Option(help="End a run that takes longer: 30m, 2h.")]
_BUDGET = Annotated[
    str | None, typer.Option(help="Take as many whole repetitions as fit in this time: 2h.")
]
_BACKEND = Annotated[
    Literal["local", "dask"], typer.Option(help="Where to run: here, or on a cluster.")
]
_ADDRESS = Annotated[
    str | None, typer.Option(help="Address of the Dask scheduler: tcp://HOST:8786.")
]
_KEEP_WEIGHTS = Annotated[
    bool, typer.Option("--keep-weights", help="Keep the weights of unlearned models too.")
]
_ADOPT = Annotated[
    list[Path] | None,
    typer.Option(
        help="Take originals and references from this results folder, by name or path, whose maker"
        " you trust; may be repeated."
    ),
]
_RETRY_STALE = Annotated[
    bool,
    typer.Option(help="Rerun results whose method, data or model source has changed."),
]


def run(
    benchmark: options.BenchmarkName = options.DEFAULT,
    methods: options.Methods = None,
    seeds: options.Seeds = None,
    set_: options.Changes = None,
    forget: options.Forget = None,
    devices: options.Devices = "auto",
    jobs_per_device: options.JobsPerDevice = "auto",
    plugin: options.Plugins = None,
    data: options.Data = Path("data"),
    results: options.Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    timeout: _TIMEOUT = None,
    budget: _BUDGET = None,
    backend: _BACKEND = "local",
    address: _ADDRESS = None,
    keep_weights: _KEEP_WEIGHTS = False,
    adopt: _ADOPT = None,
    images: options.Images = "auto",
    profile: Annotated[
        bool, typer.Option("--profile", help="Record where the time of each run goes.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option(help="Try failed runs again.")] = False,
    retry_stale: _RETRY_STALE = False,
) -> None:
    """Run a benchmark, or go on with one that was interrupted, and show its table."""
    with moving():
        request = options.requested(
            benchmark,
            methods,
            set_,
            plugin,
            data,
            results,
            seeds=seeds,
            forget=forget,
            devices=devices,
            jobs_per_device=options.job_count(jobs_per_device),
            retry_failed=retry_failed,
            retry_stale=retry_stale,
            timeout=None if timeout is None else read_duration(timeout),
            budget=None if budget is None else read_duration(budget),
            address=_address(backend, address, budget),
            keep_weights=keep_weights,
            adopt=adopt or [],
            images=images,
            profile=profile,
        )
    with options.stoppable("Stopped. Finished runs are kept; the same command goes on."):
        raise typer.Exit(_run(request, dry_run=dry_run))


def _run(request: Request, *, dry_run: bool = False) -> int:
    """Do what is requested and show its tables, or what it would take; return the exit code."""
    with moving():
        from unlearnbench.api.session import follow, rehearse
        from unlearnbench.cli.display import Display
        from unlearnbench.reporting.outcome import outcome

    display = Display()
    if dry_run:
        display.graph(rehearse(request, display))
        return options.OK
    results, succeeded = follow(request, display)
    if not results.runs.empty:
        for condition in results.conditions:
            display.table(condition.table())
    display.notes(results.warnings)
    if results.runs.empty:
        return options.SOME_FAILED
    for condition in results.conditions:
        display.said(outcome(condition))
    display.told(f"Next: unlearnbench report {results.name}")
    return options.OK if succeeded else options.SOME_FAILED


def _address(backend: str, address: str | None, budget: str | None) -> str | None:
    """Read --backend and --address: where the cluster is, or None for this machine."""
    if (backend == "dask") != (address is not None):
        raise UserError("--backend dask and --address tcp://HOST:PORT go together.")
    if address is not None and budget is not None:
        raise UserError("--budget counts this machine's slots: it does not go with --backend dask.")
    return address


def plan(
    benchmark: options.BenchmarkName = options.DEFAULT,
    slurm: Annotated[bool, typer.Option("--slurm", help="Write a Slurm array script.")] = False,
    tasks: Annotated[int, typer.Option(min=1, help="Array tasks, a GPU each.")] = 8,
    methods: options.Methods = None,
    seeds: options.Seeds = None,
    set_: options.Changes = None,
    forget: options.Forget = None,
    plugin: options.Plugins = None,
    data: options.Data = Path("data"),
    results: options.Results = Path("results"),
) -> None:
    """Show what a run would make, or write a script that runs it on a Slurm cluster."""
    from unlearnbench.api.session import begin, look
    from unlearnbench.cli.display import Display
    from unlearnbench.scheduling.placement import MOST_ON_A_GPU

    request = options.requested(
        benchmark, methods, set_, plugin, data, results, seeds=seeds, forget=forget
    )
    if not slurm:
        raise typer.Exit(_run(request, dry_run=True))
    outlook = look(request, *begin(request, Display())[:2])
    todo = [outlook.plan.nodes[run] for run in outlook.state.open]
    seconds = outlook.known.total(todo)
    # Of what is known, time to start and some to spare.
    hours = 24.0 if seconds is None else 1.5 * seconds / 3600 / tasks + 0.25
    minutes = math.ceil(60 * hours)
    asked: dict[str, object] = {"methods": methods, "seeds": seeds, "set": set_, "forget": forget}
    asked |= {"plugin": plugin}
    places = {"data": data, "results": results, "devices": "cuda:0"}
    script = SCRIPT.format(
        name=outlook.heading,
        tasks=tasks,
        cores=MOST_ON_A_GPU,
        time=f"{minutes // 60}:{minutes % 60:02d}:00",
        models=len(todo),
        command=options.typed("run", benchmark, **asked, **places),
    )
    copied(script)
