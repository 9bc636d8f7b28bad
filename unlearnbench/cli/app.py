"""The command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from unlearnbench.cli import results as cli_results
from unlearnbench.cli import tune as cli_tune
from unlearnbench.cli.options import (
    BenchmarkName,
    Changes,
    Data,
    Devices,
    JobsPerDevice,
    Methods,
    Plugins,
    Reports,
    Results,
    Seeds,
    job_count,
    name_list,
    stoppable,
)
from unlearnbench.errors import UserError
from unlearnbench.files import no_room

app = typer.Typer(
    name="unlearnbench",
    help="Compare machine-unlearning methods on image classifiers, measured against retraining.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(cli_results.app, name="results")


@app.command()
def run(
    benchmark: BenchmarkName = "digits",
    methods: Methods = None,
    seeds: Seeds = None,
    set_: Changes = None,
    devices: Devices = "auto",
    jobs_per_device: JobsPerDevice = "auto",
    plugin: Plugins = None,
    data: Data = Path("data"),
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    timeout: Annotated[
        str | None, typer.Option(help="End a run that takes longer: 30m, 2h.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Take as many whole repetitions as fit in this time: 2h.")
    ] = None,
    backend: Annotated[
        Literal["local", "dask"], typer.Option(help="Where runs are made: here, or on a cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Dask scheduler: tcp://HOST:8786.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Note where the time of each run goes.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option(help="Try failed runs again.")] = False,
    retry_stale: Annotated[
        bool, typer.Option(help="Make runs anew whose method's source has changed.")
    ] = False,
) -> None:
    """Run a benchmark, or go on with one that was interrupted, and show its table."""
    from unlearnbench.commands.request import Request
    from unlearnbench.commands.run import run_benchmark
    from unlearnbench.units import read_duration

    request = Request(
        benchmark=benchmark,
        methods=name_list(methods),
        seeds=seeds,
        assignments=set_ or [],
        devices=devices,
        jobs_per_device=job_count(jobs_per_device),
        plugins=plugin or [],
        data=data,
        results=results,
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry_stale=retry_stale,
        timeout=None if timeout is None else read_duration(timeout),
        budget=None if budget is None else read_duration(budget),
        address=_address(backend, address, budget),
        profile=profile,
    )
    with stoppable("Stopped. Finished runs are kept; the same command goes on."):
        raise typer.Exit(run_benchmark(request))


def _address(backend: str, address: str | None, budget: str | None) -> str | None:
    """Read --backend and --address: where the cluster is, or None for this machine."""
    if (backend == "dask") != (address is not None):
        raise UserError("--backend dask and --address tcp://HOST:PORT go together.")
    if address is not None and budget is not None:
        raise UserError("--budget counts this machine's slots: it does not go with --backend dask.")
    return address


app.command()(cli_tune.tune)


@app.command()
def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BENCHMARK]...", help="One, or several for ranks over all of them."
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Put results folders side by side, by path or name.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again while a run goes on.")
    ] = False,
    plugin: Plugins = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
) -> None:
    """Write a page, tables and figures of what has been run."""
    asked = names or ["digits"]
    if (results / Path(asked[0]).stem).is_dir():
        from unlearnbench.report.figures import convert

        convert.begin()  # works while all that follows is imported
    from unlearnbench.commands import report as reporting

    if compare:
        page = reporting.compare(asked, plugin or [], results, reports)
    else:
        known = list(dict.fromkeys(Path(name).stem for name in asked))
        if watch and len(known) > 1:
            raise UserError("--watch takes one benchmark.")
        with stoppable("Stopped. The report is as it was when last written."):
            page = (
                reporting.watch(known[0], plugin or [], results, reports, typer.echo)
                if watch
                else reporting.report(known, plugin or [], results, reports)
            )
    typer.echo(f"Report: {page}")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the methods there are, or explain one with its hyperparameters."""
    from unlearnbench.commands import catalogue

    typer.echo(
        catalogue.explain_method(name, plugin or [])
        if name
        else catalogue.list_methods(plugin or [])
    )


@app.command()
def benchmarks(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
) -> None:
    """List the benchmarks there are, or show one."""
    from unlearnbench.commands import catalogue

    typer.echo(catalogue.explain_benchmark(name) if name else catalogue.list_benchmarks())


@app.command()
def datasets(name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None) -> None:
    """List the data sets there are, or explain one."""
    from unlearnbench.commands import catalogue

    typer.echo(catalogue.explain_dataset(name) if name else catalogue.list_datasets())


@app.command()
def models() -> None:
    """List the models there are."""
    from unlearnbench.commands import catalogue

    typer.echo(catalogue.list_models())


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The file of a method.")]) -> None:
    """Hold a method to the contract that every method keeps."""
    from unlearnbench.execution.contract import examine

    told = set()
    for result in examine(file):
        typer.echo(f"{'ok    ' if result.problem is None else 'FAILED'} {result.rule}")
        if result.problem is not None:
            typer.echo(f"       {'(as above)' if result.problem in told else result.problem}")
            told.add(result.problem)
    raise typer.Exit(1 if told else 0)


@app.command()
def doctor(
    data: Data = Path("data"),
    results: Results = Path("results"),
) -> None:
    """Say what this machine has, and what is wrong with it."""
    from unlearnbench.commands.doctor import examine

    findings = examine(data, results)
    for finding in findings:
        typer.echo(finding)
    raise typer.Exit(1 if any(finding.level == "PROBLEM" for finding in findings) else 0)


@app.command()
def plan(
    benchmark: BenchmarkName = "digits",
    slurm: Annotated[bool, typer.Option("--slurm", help="Write a Slurm array script.")] = False,
    tasks: Annotated[int, typer.Option(min=1, help="Array tasks, a GPU each.")] = 8,
    methods: Methods = None,
    seeds: Seeds = None,
    set_: Changes = None,
    plugin: Plugins = None,
    data: Data = Path("data"),
    results: Results = Path("results"),
) -> None:
    """Show what a run would make, or write a script that runs it on a Slurm cluster."""
    from unlearnbench.commands.request import Request
    from unlearnbench.commands.run import run_benchmark
    from unlearnbench.commands.slurm import script

    request = Request(
        benchmark, data, results, name_list(methods), seeds, set_ or [], plugin or [], dry_run=True
    )
    if not slurm:
        raise typer.Exit(run_benchmark(request))
    words: list[str] = []
    for name, value in (("--methods", methods), ("--seeds", seeds)):
        words += [] if value is None else [name, str(value)]
    for name, values in (("--set", set_ or []), ("--plugin", plugin or [])):
        words += [word for value in values for word in (name, str(value))]
    words += ["--data", str(data), "--results", str(results)]
    typer.echo(script(request, tasks, words), nl=False)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    try:
        app()
    except UserError as error:
        typer.echo(f"unlearnbench: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone, which is its right
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        full = no_room(error, Path.cwd())
        if full is None:
            raise
        typer.echo(f"unlearnbench: {full}", err=True)
        sys.exit(2)
