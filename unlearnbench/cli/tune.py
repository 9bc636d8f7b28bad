"""The command `unlearnbench tune`."""

from __future__ import annotations

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
    from unlearnbench.commands.tune import Tuning
    from unlearnbench.commands.tune import tune as choose

    asked = Tuning(
        benchmark,
        data,
        results,
        reports,
        trials,
        seeds,
        methods=name_list(methods),
        blind=blind,
        assignments=set_ or [],
        plugins=plugin or [],
        devices=devices,
        jobs_per_device=job_count(jobs_per_device),
    )
    with stoppable("Stopped. Finished trials are kept; the same command goes on."):
        raise typer.Exit(choose(asked))
