"""The command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.errors import UserError
from unlearnbench.files import no_room

INTERRUPTED = 130

app = typer.Typer(
    name="unlearnbench",
    help="Compare machine-unlearning methods on image classifiers, measured against retraining.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BenchmarkName = Annotated[
    str, typer.Argument(help="A name of `unlearnbench benchmarks`, or a TOML file.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A file with one more method; may be repeated."),
]
Results = Annotated[Path, typer.Option(help="Folder that results are kept in.")]


@app.command()
def run(
    benchmark: BenchmarkName = "digits",
    methods: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; all if absent.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How often to repeat everything.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting: salun.keep=0.3, recipe.epochs=5; repeatable."
        ),
    ] = None,
    devices: Annotated[str, typer.Option(help="auto, or names: cpu, cuda:0,cuda:1.")] = "auto",
    jobs_per_device: Annotated[
        int | None,
        typer.Option(
            min=1, help="Runs at once on a device; as many as cores on the CPU, 1 on a GPU."
        ),
    ] = None,
    plugin: Plugins = None,
    data: Annotated[Path, typer.Option(help="Folder that data sets are found in.")] = Path("data"),
    results: Results = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    retry_failed: Annotated[bool, typer.Option(help="Try failed runs again.")] = False,
    retry_stale: Annotated[
        bool, typer.Option(help="Make runs anew whose method's source has changed.")
    ] = False,
) -> None:
    """Run a benchmark, or go on with one that was interrupted, and show its table."""
    from unlearnbench.session import Request, run_benchmark

    request = Request(
        benchmark=benchmark,
        methods=None if methods is None else [m.strip() for m in methods.split(",") if m.strip()],
        seeds=seeds,
        assignments=set_ or [],
        devices=devices,
        jobs_per_device=jobs_per_device,
        plugins=plugin or [],
        data=data,
        results=results,
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry_stale=retry_stale,
    )
    try:
        code = run_benchmark(request)
    except KeyboardInterrupt:
        typer.echo("Stopped. Finished runs are kept; the same command goes on.")
        code = INTERRUPTED
    raise typer.Exit(code)


@app.command()
def report(
    benchmark: BenchmarkName = "digits",
    plugin: Plugins = None,
    results: Results = Path("results"),
    reports: Annotated[Path, typer.Option(help="Folder that reports are written to.")] = Path(
        "reports"
    ),
) -> None:
    """Write tables and figures of what has been run."""
    from unlearnbench.session import write_report

    page = write_report(Path(benchmark).stem, plugin or [], results, reports)
    typer.echo(f"Report: {page}")


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the methods there are, or explain one with its hyperparameters."""
    from unlearnbench import catalogue

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
    from unlearnbench import catalogue

    typer.echo(catalogue.explain_benchmark(name) if name else catalogue.list_benchmarks())


@app.command()
def datasets(name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None) -> None:
    """List the data sets there are, or explain one."""
    from unlearnbench import catalogue

    typer.echo(catalogue.explain_dataset(name) if name else catalogue.list_datasets())


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The file of a method.")]) -> None:
    """Hold a method to the contract that every method keeps."""
    from unlearnbench.contract import examine

    failures = 0
    for result in examine(file):
        failures += result.problem is not None
        typer.echo(f"{'ok    ' if result.problem is None else 'FAILED'} {result.rule}")
        if result.problem:
            typer.echo(f"       {result.problem}")
    raise typer.Exit(1 if failures else 0)


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
