"""The commands `unlearnbench results ...`."""

from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.cli.options import BenchmarkName, Plugins, Results
from unlearnbench.errors import UserError
from unlearnbench.units import size

app = typer.Typer(help="List, verify, prune or merge what has been run.", no_args_is_help=True)


@app.command("ls")
def ls(results: Results = Path("results")) -> None:
    """List the benchmarks that have results, with their number of runs and their size."""
    from unlearnbench.storage import housekeeping

    for name, done, failed, taken in housekeeping.stock(results):
        also = f", {failed} failed" if failed else ""
        typer.echo(f"{name:<20} {done} runs{also}, {size(taken)}")


@app.command("verify")
def verify(benchmark: BenchmarkName = "digits", results: Results = Path("results")) -> None:
    """Compare every file with the checksum it was written with."""
    from unlearnbench.storage import housekeeping

    store = housekeeping.open_store(results, Path(benchmark).stem)
    damaged = housekeeping.verify(store)
    for run, what in damaged.items():
        typer.echo(f"{run}: {what}")
    typer.echo(f"{len(store.runs())} runs, {len(damaged)} damaged")
    raise typer.Exit(1 if damaged else 0)


@app.command("prune")
def prune(
    benchmark: BenchmarkName = "digits",
    plugin: Plugins = None,
    results: Results = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; otherwise only list it.")] = False,
) -> None:
    """Remove runs of settings that are not asked for any more, and what was left half made."""
    from unlearnbench.api.results import planned_of
    from unlearnbench.storage import housekeeping

    store = housekeeping.open_store(results, Path(benchmark).stem)
    planned = planned_of(store, plugin or [])
    if planned is None:
        raise UserError(f"{store.folder} has no benchmark.toml.", "Run the benchmark once more.")
    paths = housekeeping.superfluous(store, planned.plan)
    for path in paths:
        typer.echo(str(path))
    what = f"{len(paths)} files and folders, {size(housekeeping.size_of(paths))}"
    if yes:
        housekeeping.remove(paths)
    typer.echo(f"Removed {what}." if yes else f"{what}; --yes removes them.")


@app.command("merge")
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders such as OTHER/results/digits.")],
    results: Results = Path("results"),
) -> None:
    """Copy runs that were made elsewhere and are lacking here."""
    from unlearnbench.storage import housekeeping
    from unlearnbench.storage.store import Store

    for source in sources:
        copied, damaged = housekeeping.merge_runs(source, Store(results / source.name))
        for line in damaged:
            typer.echo(f"left out, {line}")
        typer.echo(f"{source}: {copied} runs copied")
