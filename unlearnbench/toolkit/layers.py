"""The layers that a model is made of, and training its last ones alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from torch import nn

from unlearnbench.errors import MethodError
from unlearnbench.toolkit.recorder import recorder


def layers(model: nn.Module) -> list[list[str]]:
    """Return what each layer holds, as names in the model's state dict, in the order of making.

    A layer begins at each module that has a parameter of two dimensions or more of its own: a
    convolution, a linear layer. What modules without one have, such as BatchNorm's scale, shift and
    running statistics, belongs to the layer before them, or to the first. The order is that in
    which the model was put together: the projection of a shortcut is a layer, and comes where its
    block names it.
    """
    state, parameters = model.state_dict(), dict(model.named_parameters())
    found: list[list[str]] = []
    for _, names in groupby(state, key=lambda name: name.rpartition(".")[0]):
        own = list(names)
        if not found or any(name in parameters and parameters[name].ndim > 1 for name in own):
            found.append([])
        found[-1] += own
    return found


@contextmanager
def only_last_layers(model: nn.Module, count: int) -> Iterator[list[str]]:
    """Freeze the parameters before the last `count` layers for a block; yield what these hold.

    All layers are trained where the model has no more; how many are is noted in the record.
    BatchNorm in train mode goes on updating its running statistics in frozen layers too.
    """
    every = layers(model)
    last = [name for layer in every[-count:] for name in layer]
    recorder().notes["layers trained"] = f"{min(count, len(every))} of {len(every)}"
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in last)
    try:
        yield last
    finally:
        model.requires_grad_(True)


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Return the 2-D convolutions of a model. Raises MethodError for one without any."""
    found = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    if not found:
        raise MethodError("This method changes convolutions, and the model has none.")
    return found
