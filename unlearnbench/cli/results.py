"""The commands `unlearnbench results ...`."""

from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.cli.options import BenchmarkName, Plugins, Results
from unlearnbench.errors import UserError
from unlearnbench.units import count, read_size, size

app = typer.Typer(
    help="List, verify, prune, merge, export or import what has been run.", no_args_is_help=True
)


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


@app.command("export")
def export(
    benchmark: BenchmarkName = "digits",
    bank: Annotated[
        bool, typer.Option("--bank", help="Originals and reference models only.")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="With the models that were kept.")
    ] = False,
    part_size: Annotated[
        str | None, typer.Option(help="In parts of at most this size: 50MB.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who made it: 'Name, laboratory'.")] = "",
    note: Annotated[str, typer.Option(help="What readers should know, as how it was tuned.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="File; by default NAME.zip or NAME-bank.zip here.")
    ] = None,
    plugin: Plugins = None,
    results: Results = Path("results"),
) -> None:
    """Pack results, or the bank of originals and references, with checksums, to hand on.

    Signals, logits and records are packed; what can be derived is left out, and comes back the
    same to the last bit.
    """
    from unlearnbench.api.packs import pack

    written = pack(
        benchmark,
        out,
        bank=bank,
        weights=weights,
        part_size=None if part_size is None else read_size(part_size),
        by=by,
        note=note,
        plugins=plugin or [],
        results=results,
    )
    for line in written.left_out:
        typer.echo(f"left out, {line}")
    for path in written.paths:
        typer.echo(f"{path}: {size(path.stat().st_size)}")
    typer.echo(f"{count(written.runs, 'run')} packed{'' if weights else ', without weights'}")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Packs, or parts of one.")],
    results: Results = Path("results"),
) -> None:
    """Take over the runs of packs that are lacking here; a pack is checked before it is written."""
    from unlearnbench.api.packs import unpack

    for file in files:
        (taken,) = unpack(file, results=results)
        typer.echo(
            f"{file.name}: {taken.what} of {taken.benchmark}, {count(taken.copied, 'run')} copied,"
            f" {taken.there} here already"
        )
        if taken.differing:
            typer.echo(
                f"{len(taken.differing)} of those here already have other signals than the pack's,"
                " and are left as they are: made on another machine, or by another version"
            )
        if taken.weightless:
            typer.echo(
                f"{count(taken.weightless, 'model')} came without weights: made again where others"
                " begin with them"
            )
        if taken.missing:
            typer.echo(
                f"{count(taken.missing, 'run')} of this pack are not here yet: import its other"
                " parts, or run the benchmark"
            )
