"""What a model makes of images before its last layer, or in another."""

import torch
from torch import Tensor, nn

from unlearnbench.errors import MethodError
from unlearnbench.toolkit.examples import Examples, outputs


def last_layer(model: nn.Module) -> nn.Linear:
    """Return the linear layer that was made last, which gives the logits of every usual model.

    Raises MethodError for a model without one.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise MethodError("This model has no linear layer whose inputs could be read.")
    return layers[-1]


def features(model: nn.Module, examples: Examples, layer: str | None = None) -> Tensor:
    """Return what a layer makes of clean images in eval mode, float32 [n, d].

    layer: the name of a module, as in `named_modules`, whose outputs are returned, flattened; by
    default it is the inputs of the last linear layer. Raises MethodError for a model without one,
    for an unknown name, and for a module that is not called once a batch.
    """
    seen: list[Tensor] = []
    if layer is None:
        hook = last_layer(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    else:
        # a copy: the next module may work in place, as ReLU does
        named = _module(model, layer)
        hook = named.register_forward_hook(lambda _, given, made: seen.append(made.clone()))
    try:
        logits = outputs(model, examples)
    finally:
        hook.remove()
    if sum(map(len, seen)) != len(logits):
        asked = "The last linear layer" if layer is None else f"The layer '{layer}'"
        raise MethodError(f"{asked} is not called once a batch: name one that is.")
    return torch.cat(seen).flatten(1)


def _module(model: nn.Module, name: str) -> nn.Module:
    """Return a module by its name. Raises MethodError with some of those there are."""
    known: dict[str, nn.Module] = dict(model.named_modules())
    if name not in known:
        some = ", ".join([*filter(None, known)][:8])
        raise MethodError(f"This model has no layer '{name}'. Some that it has: {some or 'none'}.")
    return known[name]
