"""Arguments and options that several commands have."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.errors import UserError

INTERRUPTED = 130

BenchmarkName = Annotated[
    str, typer.Argument(help="A name of `unlearnbench benchmarks`, or a TOML file.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A file with one more method; may be repeated."),
]
Results = Annotated[Path, typer.Option(help="Folder that results are kept in.")]
Methods = Annotated[
    str | None, typer.Option(help="Only these, separated by commas; all if absent.")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="How often to repeat everything.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: salun.keep=0.3, recipe.epochs=5; repeatable."),
]
Devices = Annotated[str, typer.Option(help="auto, or names: cpu, cuda:0,cuda:1.")]
JobsPerDevice = Annotated[
    str,
    typer.Option(help="Runs at once on a device; auto: on the CPU one a core, on a GPU what fits."),
]
Reports = Annotated[Path, typer.Option(help="Folder that reports are written to.")]
Data = Annotated[Path, typer.Option(help="Folder that data sets are found in.")]


@contextmanager
def stoppable(said: str) -> Iterator[None]:
    """Let Ctrl-C end a command with a line of what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(said)
        raise typer.Exit(INTERRUPTED) from None


def name_list(text: str | None) -> list[str] | None:
    """Read --methods: names separated by commas, or None for all."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def job_count(text: str) -> int | None:
    """Read --jobs-per-device: a number, or None for auto."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--jobs-per-device takes a number from 1, or auto, not '{text}'.")
    return int(text)
