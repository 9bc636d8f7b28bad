"""What a model makes of images before its last layer."""

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


def features(model: nn.Module, examples: Examples) -> Tensor:
    """Return what the model's last layer is given, float32 [n, d], of clean images in eval mode.

    Raises MethodError for a model without a linear layer.
    """
    given: list[Tensor] = []
    hook = last_layer(model).register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        outputs(model, examples)
    finally:
        hook.remove()
    return torch.cat(given).flatten(1)
