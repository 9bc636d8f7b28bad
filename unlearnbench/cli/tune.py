"""The command `unlearnbench tune`."""

from pathlib import Path
from typing import Annotated

import typer

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
    job_count,
    name_list,
    stoppable,
)
from unlearnbench.cli.run import OK, SOME_FAILED


def tune(
    benchmark: BenchmarkName = "digits",
    methods: Methods = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Settings tried of every method, its defaults first.")
    ] = 16,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds each is tried on, 1001 and on; none is reported.")
    ] = 4,
    blind: Annotated[
        bool, typer.Option("--blind", help="Choose without retrained models, and train none.")
    ] = False,
    set_: Changes = None,
    devices: Devices = "auto",
    jobs_per_device: JobsPerDevice = "auto",
    plugin: Plugins = None,
    data: Data = Path("data"),
    results: Results = Path("results"),
    reports: Reports = Path("reports"),
) -> None:
    """Choose each method's settings, on seeds and samples that are never reported."""
    from rich.console import Console

    from unlearnbench.api.request import Request
    from unlearnbench.api.request import benchmark as setup
    from unlearnbench.api.tune import Tuning
    from unlearnbench.cli.display import Display
    from unlearnbench.tuning import outcome

    request = Request(
        setup(benchmark),
        data,
        results,
        name_list(methods),
        assignments=set_ or [],
        plugins=plugin or [],
        devices=devices,
        jobs_per_device=job_count(jobs_per_device),
        retry_stale=True,  # what a method's earlier source made does not count
    )
    display = Display(Console())
    with stoppable("Stopped. Finished trials are kept; the same command goes on."):
        tuning = Tuning(benchmark, request, trials, seeds, blind=blind)
        tuned = tuning.run(display)
        if tuned is None:
            raise typer.Exit(SOME_FAILED)
        paths = outcome.write_outcome(tuned, tuning.about, reports / tuning.folder)
        display.table(outcome.table(tuned, tuning.about))
        display.notes(outcome.notes(tuned))
        for what, path in paths.items():
            display.told(f"{what}: {path}")
        raise typer.Exit(OK if tuning.whole else SOME_FAILED)
