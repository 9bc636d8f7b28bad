"""The command `report`: one benchmark, several ranked together, folders side by side, or live."""

import gc
from pathlib import Path
from typing import Annotated, Literal

import typer

from unlearnbench.cli.options import Plugins, Reports, Results, stoppable
from unlearnbench.cli.said import say
from unlearnbench.errors import UserError


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
    board: Annotated[
        Path | None,
        typer.Option(help="Make a leaderboard of the packs in this folder."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it again while a run goes on.")
    ] = False,
    training: Annotated[
        Literal["csv", "tensorboard"] | None,
        typer.Option(help="Write the training curves of all runs, too."),
    ] = None,
    plugin: Plugins = None,
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
) -> None:
    """Write a page, tables and figures of what has been run."""
    from unlearnbench.api import reports as library

    # Figures are many small objects, for which the collector would look at all modules again.
    gc.freeze()
    gc.set_threshold(50_000)
    asked, plugins = names or ["digits"], plugin or []
    known = list(dict.fromkeys(Path(name).stem for name in asked))
    if watch and (compare or len(known) > 1):
        raise UserError("--watch takes one benchmark.")
    if training and (compare or watch):
        raise UserError("--training goes with neither --compare nor --watch.")
    if board and (names or compare or watch or training):
        raise UserError("--board takes a folder of packs, and nothing beside it.")
    if board:
        from unlearnbench.api.board import board as entered

        page = entered(board).report(reports / f"board-{board.resolve().name}")
    elif compare:
        review = library.compare(*asked, results=results, plugins=plugins)
        folder = "-".join(["compare", *review.names]).replace("/", "-")
        page = review.report(reports / folder)
    elif watch:
        with stoppable("Stopped. The report is as it was when last written."):
            page = library.watch(known[0], plugins, results, reports, say)
    else:
        loaded = [library.loaded(name, results, plugins) for name in known]
        if training is not None:
            for single in loaded:
                say(f"Training: {single.write_training(training, reports / single.name)}")
        pages = [single.report(reports / single.name) for single in loaded]
        page = pages[0]
        if len(loaded) > 1:
            page = library.rank(loaded).report(reports / "+".join(known))
    say(f"Report: {page}")
