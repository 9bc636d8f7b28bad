"""The commands `unlearnbench results ...`."""

from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.cli.options import BenchmarkName, Plugins, Results
from unlearnbench.errors import UserError
from unlearnbench.units import size

app = typer.Typer(
    help="List, verify, prune, remove or merge what has been run.", no_args_is_help=True
)


@app.command("ls")
def ls(results: Results = Path("results")) -> None:
    """List the benchmarks that have results: runs, size, and what is kept and not shown."""
    from unlearnbench.storage import asked, housekeeping
    from unlearnbench.storage.store import Store

    for name, done, failed, taken in housekeeping.stock(results):
        also = f", {failed} failed" if failed else ""
        typer.echo(f"{name:<20} {done} runs{also}, {size(taken)}")
        for line in asked.kept_said(Store(results / name)):
            typer.echo(f"  {line}")


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


Yes = Annotated[bool, typer.Option("--yes", help="Remove it; otherwise only list it.")]


@app.command("prune")
def prune(
    benchmark: BenchmarkName = "digits",
    plugin: Plugins = None,
    results: Results = Path("results"),
    yes: Yes = False,
) -> None:
    """Remove what no command asked for, row by row, and what was left half made.

    What was asked for with other settings before is kept: see `results ls` and `results rm`.
    """
    from unlearnbench.api import keeping
    from unlearnbench.storage import housekeeping

    store = housekeeping.open_store(results, Path(benchmark).stem)
    _remove(keeping.prunable(store, plugin or []), yes=yes)


@app.command("rm")
def rm(
    benchmark: BenchmarkName = "digits",
    row: Annotated[
        list[str] | None, typer.Option(help="A row to remove, by its label; may be repeated.")
    ] = None,
    earlier: Annotated[
        str, typer.Option(help="Of what is kept and not shown: its name in `results ls`.")
    ] = "",
    plugin: Plugins = None,
    results: Results = Path("results"),
    yes: Yes = False,
) -> None:
    """Remove rows with their runs, or all that was asked for earlier under a name."""
    from unlearnbench.api import keeping
    from unlearnbench.storage import asked, housekeeping

    if not row and not earlier:
        hint = "Name it: --row LABEL, or --earlier NAME; see unlearnbench results ls."
        raise UserError("Nothing was named to remove.", hint)
    store = housekeeping.open_store(results, Path(benchmark).stem)
    removal, left = keeping.removable(store, row or [], earlier, plugin or [])
    if yes:
        asked.keep(store, left[0], left[1:])
    _remove(removal, yes=yes)


def _remove(removal: dict[str, list[Path]], *, yes: bool) -> None:
    """Say what is removed, or would be."""
    from unlearnbench.storage import housekeeping

    for what, paths in removal.items():
        typer.echo(f"{what}, {size(housekeeping.size_of(paths))}")
    every = [path for paths in removal.values() for path in paths]
    if not every:
        typer.echo("There is nothing to remove.")
        return
    told = f"{len(every)} files and folders, {size(housekeeping.size_of(every))}"
    if yes:
        housekeeping.remove(every)
    typer.echo(f"Removed {told}." if yes else f"{told}; --yes removes them.")


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
