"""The command `apply`: unlearn your own model, to be used."""

from pathlib import Path
from typing import Annotated

import typer

from unlearnbench.cli import options


def apply(
    method: Annotated[str, typer.Option(help="A method, by name or by its file.")],
    original: Annotated[
        Path, typer.Option(help="The trained weights to unlearn from: .pt, .safetensors.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the weights, a record and a page.")],
    forget: options.Forget = None,
    benchmark: options.OwnBenchmark = None,
    model: options.OwnModel = None,
    dataset: options.OwnDataset = None,
    path: options.OwnPath = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the method's random draws.")] = 1,
    set_: options.Changes = None,
    plugin: options.Plugins = None,
    devices: options.Devices = "auto",
    data: options.Data = Path("data"),
) -> None:
    """Make your own model forget a list of samples by one method; this guarantees nothing."""
    from unlearnbench.api import apply as library
    from unlearnbench.api.own import Own
    from unlearnbench.cli.display import Display

    own = Own(benchmark, model, dataset, path, forget, plugin or [], set_ or [], data)
    display = Display()
    with options.stoppable("Stopped. The same command goes on."):
        made = library.carry_out(own, method, original, out, display, seed, devices)
    for line in made.measured:
        display.told(line)
    display.notes([made.record["guarantee"], f"Not measured: {made.record['not measured']}"])
    display.told(f"Weights, record and page: {out}")
