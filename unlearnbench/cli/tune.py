"""The command `unlearnbench tune`."""

from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.cli import options


def tune(
    benchmark: options.BenchmarkName = options.DEFAULT,
    methods: options.Methods = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Settings to try for each method, its defaults first.")
    ] = 16,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds to try each on, from 1001 on; none is reported.")
    ] = 4,
    blind: Annotated[
        bool, typer.Option("--blind", help="Choose without retrained models; none is trained.")
    ] = False,
    set_: options.Changes = None,
    devices: options.Devices = "auto",
    jobs_per_device: options.JobsPerDevice = "auto",
    plugin: options.Plugins = None,
    data: options.Data = Path("data"),
    results: options.Results = Path("results"),
    reports: options.Reports = Path("reports"),
) -> None:
    """Choose each method's settings, on seeds and test samples that are never reported.

    Chosen is the safest trial within one standard error of the best, in pairs over forget sets: the
    one closest to the method's defaults, by the share of each search range that lies between, on a
    log scale where the range spans a factor of ten or more. If two are equally close, the one with
    the smaller mean is chosen. A value within 10 % of an end of its range is named: widen the
    range, and tune the method again.
    """
    from unlearnbench.api import tune as library
    from unlearnbench.cli.display import Display
    from unlearnbench.tuning import outcome

    request = options.requested(
        benchmark,
        methods,
        set_,
        plugin,
        data,
        results,
        devices=devices,
        jobs_per_device=options.job_count(jobs_per_device),
        retry_stale=True,  # what a method's earlier source made does not count
    )
    labels = request.asked.labels
    asked = {"methods": labels and ",".join(labels), "trials": trials, "seeds": seeds}
    command = options.typed("tune", benchmark, **asked, blind=blind, set=set_, plugin=plugin)
    display = Display()
    with options.stoppable("Stopped. Finished trials are kept; the same command goes on."):
        tuned = library.tune(request, command, trials, seeds, display, blind=blind)
        if tuned is None:
            raise typer.Exit(options.SOME_FAILED)
        folder = reports / f"{tuned.benchmark.name}-tuning{'-blind' if blind else ''}"
        paths = outcome.write_outcome(tuned, folder)
        display.table(outcome.table(tuned))
        display.notes(outcome.notes(tuned))
        for what, path in paths.items():
            display.told(f"{what}: {path}")
        raise typer.Exit(options.OK if tuned.whole else options.SOME_FAILED)
