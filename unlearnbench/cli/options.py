"""Arguments and options that several commands have, and what they ask for."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from unlearnbench.cli.said import say
from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from unlearnbench.api.request import Request

OK, SOME_FAILED, INTERRUPTED = 0, 1, 130
DEFAULT = "digits"
"""The benchmark of a command that names none."""
MOST_JOBS = 256
"""Runs at once on a device."""

BenchmarkName = Annotated[
    str, typer.Argument(help="A name of `unlearnbench benchmarks`, or a TOML file.")
]
ResultsName = Annotated[str, typer.Argument(help="Results by name, file or path.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        help="A file with one more method, model, data set, metric or attack; may be repeated.",
    ),
]
Results = Annotated[Path, typer.Option(help="Folder for results.")]
Methods = Annotated[
    str | None,
    typer.Option(
        help="Only these, separated by commas; all: every method there is. By default those that"
        " the benchmark runs."
    ),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of repetitions.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: salun.keep=0.3, recipe.epochs=5; repeatable."),
]
Forget = Annotated[
    Path | None,
    typer.Option(
        help="Forget the samples listed in this file (.txt, .csv, .npy), by number or file name."
    ),
]
OwnBenchmark = Annotated[
    str | None,
    typer.Option(help="A benchmark, by name or file, that gives data, model and recipe."),
]
OwnModel = Annotated[str | None, typer.Option(help="The network of the weights, by name.")]
OwnDataset = Annotated[
    str | None, typer.Option(help="The data set it was trained on (default: folder).")
]
OwnPath = Annotated[
    str | None, typer.Option(help="Folder of the images, below --data (data set folder).")
]
OwnName = Annotated[str | None, typer.Option(help="Name of the folders of results and report.")]
Devices = Annotated[str, typer.Option(help="auto, or names: cpu, cuda:0,cuda:1.")]
JobsPerDevice = Annotated[
    str,
    typer.Option(help="Runs at once on a device; auto: on the CPU one a core, on a GPU what fits."),
]
Images = Annotated[
    Literal["auto", "resident", "streamed"],
    typer.Option(
        help="All on the device, or streamed to it from host memory or a file; auto: by size."
    ),
]
Reports = Annotated[Path, typer.Option(help="Folder for reports.")]
Data = Annotated[Path, typer.Option(help="Folder with the data sets.")]


@contextmanager
def stoppable(said: str) -> Iterator[None]:
    """Let Ctrl-C end a command with a line of what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        say(said)
        raise typer.Exit(INTERRUPTED) from None


def requested(
    benchmark: str,
    methods: str | None,
    changes: list[str] | None,
    plugins: list[Path] | None,
    data: Path,
    results: Path,
    *,
    seeds: int | None = None,
    forget: Path | None = None,
    **more: Any,
) -> Request:
    """Put together what a command asks for; more: as `Request` has it."""
    from unlearnbench.api import request

    names = [name.strip() for name in (methods or "").split(",") if name.strip()]
    return request.Request(
        request.benchmark(benchmark, seeds=seeds).forgetting(forget),
        data,
        results,
        None if methods is None else names,
        assignments=changes or [],
        plugins=plugins or [],
        **more,
    )


def typed(command: str, benchmark: str, **options: object) -> str:
    """Write a command line; None, False and [] leave an option out, of a list each has its own."""
    words = ["unlearnbench", command, benchmark]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one is not False:
                words += [f"--{name}"] if one is True else [f"--{name}", str(one)]
    return shlex.join(words)


def job_count(text: str) -> int | None:
    """Read --jobs-per-device: a number, or None for auto."""
    if text == "auto":
        return None
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MOST_JOBS):
        told = f"--jobs-per-device takes a number from 1 to {MOST_JOBS}, or auto, not '{text}'."
        raise UserError(told)
    return int(text)
