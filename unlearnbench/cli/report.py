"""The command `report`: one benchmark, several ranked together, folders side by side, or live."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unlearnbench.cli import options
from unlearnbench.cli.options import stoppable
from unlearnbench.cli.said import moving, say
from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from unlearnbench.api.results import Results


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BENCHMARK]...",
            help="Results by name or path; several are ranked together.",
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
        bool, typer.Option("--watch", help="Rewrite the report while a run goes on.")
    ] = False,
    training: Annotated[
        Literal["csv", "tensorboard"] | None,
        typer.Option(help="Also write the training curves of all runs."),
    ] = None,
    plugin: options.Plugins = None,
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
) -> None:
    """Write a page, tables and figures of what has been run."""
    with moving():
        from unlearnbench.api import reports as library
        from unlearnbench.api.results import load
        from unlearnbench.storage.finding import results_folder

    # Figures are many small objects, for which the collector would look at all modules again.
    gc.freeze()
    gc.set_threshold(50_000)
    asked, plugins = names or [options.DEFAULT], plugin or []
    if watch and (compare or len(asked) > 1):
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
            page = library.watch(asked[0], plugins, results, reports, say)
    else:
        with moving("Writing the report"):
            folders = dict.fromkeys(results_folder(name, results) for name in asked)
            loaded = [load(folder, plugins=plugins) for folder in folders]
            page = _written(loaded, reports, training)
    say(f"Report: {page}")


def _written(
    loaded: list[Results], reports: Path, training: Literal["csv", "tensorboard"] | None
) -> Path:
    """Write the report of each, and one of all if they are several; return the last page."""
    from unlearnbench.api import reports as library

    for single in loaded:
        if training is not None:
            say(f"Training: {single.write_training(training, reports / single.name)}")
    (page, *more) = [single.report(reports / single.name) for single in loaded]
    if more:
        page = library.rank(loaded).report(reports / "+".join(single.name for single in loaded))
    return page
