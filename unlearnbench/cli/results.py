"""The commands `unlearnbench results ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearnbench.cli.options import DEFAULT, Plugins, Results, ResultsName
from unlearnbench.cli.said import say
from unlearnbench.errors import UserError
from unlearnbench.units import count, read_size, size

if TYPE_CHECKING:
    from unlearnbench.storage.store import Store

app = typer.Typer(
    help="List, verify, prune, remove, merge, export or import what has been run.",
    no_args_is_help=True,
)


@app.command("ls")
def ls(results: Results = Path("results")) -> None:
    """List the benchmarks that have results: runs, size, and what is kept and not shown."""
    from unlearnbench.storage import asked, housekeeping
    from unlearnbench.storage.finding import require_above
    from unlearnbench.storage.store import Store

    require_above(results)
    for name, done, failed, taken in housekeeping.stock(results):
        also = f", {failed} failed" if failed else ""
        say(f"{name:<20} {done} runs{also}, {size(taken)}")
        try:
            lines = asked.kept_said(Store(results / name))
        except UserError as error:
            lines = [str(error)]
        for line in lines:
            say(f"  {line}")


@app.command("verify")
def verify(benchmark: ResultsName = DEFAULT, results: Results = Path("results")) -> None:
    """Compare every file with the checksum it was written with, and say what is not there."""
    from unlearnbench.api import keeping
    from unlearnbench.storage import housekeeping

    store = housekeeping.open_store(results, benchmark)
    damaged = housekeeping.verify(store)
    for run, what in damaged.items():
        say(f"{run}: {what}")
    try:
        if absent := keeping.lacking(store):
            rows = ", ".join(f"{label} ({many})" for label, many in absent.items())
            say(f"Requested, but not here: {rows}. unlearnbench run makes it.")
    except UserError as error:
        say(f"It is not known what was requested: {error}")
    say(f"{len(store.runs())} runs, {len(damaged)} damaged")
    raise typer.Exit(1 if damaged else 0)


Yes = Annotated[bool, typer.Option("--yes", help="Remove it; otherwise only list it.")]


@app.command("prune")
def prune(
    benchmark: ResultsName = DEFAULT,
    plugin: Plugins = None,
    results: Results = Path("results"),
    yes: Yes = False,
) -> None:
    """Remove what no command asked for, row by row, and what was left half made.

    What was asked for with other settings before is kept: see `results ls` and `results rm`.
    """
    from unlearnbench.api import keeping
    from unlearnbench.storage import asked, housekeeping

    store = housekeeping.open_store(results, benchmark)
    with asked.changing(store):
        _remove(keeping.prunable(store, plugin or []), store, yes=yes)


@app.command("rm")
def rm(
    benchmark: ResultsName = DEFAULT,
    row: Annotated[
        list[str] | None, typer.Option(help="A row to remove, by its label; may be repeated.")
    ] = None,
    earlier: Annotated[
        str, typer.Option(help="What is kept but not shown, by its name in `results ls`.")
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
    store = housekeeping.open_store(results, benchmark)
    with asked.changing(store):
        removal, left = keeping.removable(store, row or [], earlier, plugin or [])
        if yes:
            asked.keep(store, left[0], left[1:])
        _remove(removal, store, yes=yes)


def _remove(removal: dict[str, list[Path]], store: "Store", *, yes: bool) -> None:
    """Say what is removed from a results folder, or would be."""
    from unlearnbench.storage import housekeeping

    for what, paths in removal.items():
        say(f"{what}, {size(housekeeping.size_of(paths))}")
    every = [path for paths in removal.values() for path in paths]
    if not every:
        say("There is nothing to remove.")
        return
    told = f"{len(every)} files and folders, {size(housekeeping.size_of(every))}"
    if yes:
        housekeeping.remove_unasked(every, store)
    say(f"Removed {told}." if yes else f"{told}; --yes removes them.")


@app.command("merge")
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Folders such as OTHER/results/digits.")],
    results: Results = Path("results"),
) -> None:
    """Copy runs that were made elsewhere and are missing here."""
    from unlearnbench.storage import housekeeping
    from unlearnbench.storage.store import Store

    for source in sources:
        copied, damaged = housekeeping.merge_runs(source, Store(results / source.name))
        for line in damaged:
            say(f"left out, {line}")
        say(f"{source}: {copied} runs copied")


@app.command("export")
def export(
    benchmark: ResultsName = DEFAULT,
    bank: Annotated[
        bool, typer.Option("--bank", help="Pack originals and reference models only.")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Include the models that were kept.")
    ] = False,
    part_size: Annotated[
        str | None, typer.Option(help="Split into parts of at most this size: 50MB.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who made it: 'Name, laboratory'.")] = "",
    note: Annotated[str, typer.Option(help="A note for readers, such as how it was tuned.")] = "",
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
        say(f"left out, {line}")
    for path in written.paths:
        say(f"{path}: {size(path.stat().st_size)}")
    say(f"{count(written.runs, 'run')} packed{'' if weights else ', without weights'}")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Packs, or parts of one.")],
    results: Results = Path("results"),
) -> None:
    """Take over the runs of packs that are missing here; a pack is checked before it is written."""
    from unlearnbench.api.packs import unpack
    from unlearnbench.storage import asked
    from unlearnbench.storage.store import Store

    for file in files:
        (taken,) = unpack(file, results=results)
        say(
            f"{file.name}: {taken.what} of {taken.benchmark}, {count(taken.copied, 'run')} copied,"
            f" {taken.there} here already"
        )
        if taken.differing:
            say(
                f"{len(taken.differing)} of those here already have other signals than the pack's,"
                " and are left as they are: made on another machine, or by another version"
            )
        if taken.weightless:
            one = taken.weightless == 1
            say(
                f"{count(taken.weightless, 'model')} {'has' if one else 'have'} no weights in this"
                f" pack; {'it is' if one else 'they are'} retrained if a later run needs them"
            )
        if taken.missing:
            say(
                f"{count(taken.missing, 'run')} of this pack are not here yet: import its other"
                " parts, or run the benchmark"
            )
        for line in asked.kept_said(Store(results / taken.benchmark)):
            say(f"kept, and not shown: {line}")
