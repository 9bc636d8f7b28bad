"""What models and data sets of one's own must do, tried on a few images."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from unlearnbench import syntax
from unlearnbench.data.prepare import Data, DataSpec, draw_samples
from unlearnbench.errors import UserError
from unlearnbench.execution.building import build_model
from unlearnbench.registry import Plugin, source_class

Rules = Iterator[tuple[str, Callable[[], None]]]
CLASSES = 3


def of_model(plugin: Plugin) -> Rules:
    """Yield what a model must do, each with a function that tries it.

    On 1x8x8 and 3x32x32 images, or the smallest that it says it takes.
    """
    smallest = syntax.constant(plugin.source(), "SMALLEST") or 1
    for channels, usual in ((1, 8), (3, 32)):
        shape = (channels, max(usual, smallest))
        of = f"of {channels}x{shape[1]}x{shape[1]} images"
        yield f"Have one logit a class {of}", partial(_maps, plugin, *shape)
        yield f"Be trained on one image alone {of}", partial(_trains, plugin, *shape)
        yield f"Have weights from the seed {of}", partial(_repeats, plugin, *shape)


def _built(plugin: Plugin, channels: int, side: int) -> tuple[nn.Module, Tensor]:
    """Build a model, and two images for it."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(2, channels, side, side, generator=draw)
    return build_model(plugin.name, 0, CLASSES, channels, side, [plugin]), images


def _maps(plugin: Plugin, channels: int, side: int) -> None:
    model, images = _built(plugin, channels, side)
    for training in (True, False):
        logits: object = model.train(training)(images)
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if found != [2, CLASSES]:
            raise UserError(f"two images in {CLASSES} classes give {found}, not [2, {CLASSES}]")


def _trains(plugin: Plugin, channels: int, side: int) -> None:
    model, images = _built(plugin, channels, side)
    try:
        model.train()(images[:1]).sum().backward()
    except ValueError as error:  # BatchNorm's
        hint = (
            "LayerNorm can; if only small images are too small, write the smallest side that it"
            " takes into its file: SMALLEST = 16."
        )
        raise UserError(f"{str(error).partition(chr(10))[0]}.", hint) from error
    if lost := [name for name, p in model.named_parameters() if p.grad is None]:
        raise UserError(f"no gradient reaches {', '.join(lost[:3])}")


def _repeats(plugin: Plugin, channels: int, side: int) -> None:
    (one, _), (other, _) = (_built(plugin, channels, side) for _ in range(2))
    again = other.state_dict()
    if differ := [k for k, value in one.state_dict().items() if not torch.equal(value, again[k])]:
        raise UserError(f"built twice from one seed, {', '.join(differ[:3])} differ")


def of_data_set(plugin: Plugin, root: Path) -> Rules:
    """Yield what a data set must do, each with a function that tries it; root: where it looks."""
    made: list[Data] = []

    def load() -> Data:
        source = source_class(plugin)(root)
        source.fetch()
        # draws two, and checks all that the source gives
        return draw_samples(source, DataSpec(name=plugin.name, train=1, test=1))

    def first() -> None:
        made.append(load())

    def again() -> None:
        if made and load().digest != made[0].digest:
            raise UserError("read twice, it gives other images or labels")

    def side() -> None:
        said = syntax.constant(plugin.source(), "SIDE")
        if made and said not in (None, made[0].train[0].shape[-1]):
            raise UserError(f"SIDE = {said}, but its images are {list(made[0].train[0].shape[1:])}")

    yield "Give uint8 images [n, channels, height, width] and whole labels [n]", first
    yield "Give the same whenever it is read", again
    yield "Have images of the side that it says", side
