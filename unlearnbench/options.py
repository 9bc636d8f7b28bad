"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Data = Annotated[Path, typer.Option(help="Folder that data sets are found in.")]
