"""The gradients that are taken through a model, counted whoever takes them."""

from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.recorder import recorder

functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def counted(model: nn.Module) -> nn.Module:
    """Have the gradients taken through `model` counted by the run in progress; return it.

    A sample counts each time that a backward pass goes through what the model, or its first layer
    that has weights, made of it: the larger of the two sums, since a method may train the last
    layers alone, or use a loss of features. It does not matter who asks (`backward`,
    `torch.autograd.grad`, `torch.func`), nor for gradients of what, weights or images. Two forward
    passes under one backward pass count twice, and so does a product with the Hessian, whose
    second backward pass goes through the first; a forward pass alone does not count. Copies of the
    model are counted too. One that a method compiles by itself is not seen.
    """
    layers = (m for m in model.modules() if any(True for _ in m.parameters(recurse=False)))
    leaves = (layer for layer in layers if not any(True for _ in layer.children()))
    model.register_forward_hook(partial(_after, "outputs"))
    next(leaves, model).register_forward_hook(partial(_after, "first layer"))
    return model


def is_counter(hook: object) -> bool:
    """Say whether a hook of a model is one of those that `counted` puts there."""
    return isinstance(hook, partial) and hook.func is _after


def tally(made: Tensor, place: str, samples: int | None = None) -> None:
    """Count the samples of `made` ([n, ...], or as many as said) each time it is passed backward.

    place: of what a model does; the place that is passed most often counts.
    """
    passed = recorder().passed  # looked up here: on a GPU the hook runs in a thread of its own
    of_one, followed = max(1, prod(made.shape[1:])), made
    while not followed.requires_grad and functorch.is_functorch_wrapped_tensor(followed):
        followed = functorch.get_unwrapped(followed)  # the gradient is asked for outside of vmap

    def back(gradient: Tensor) -> None:
        passed[place] += _size(gradient) // of_one if samples is None else samples

    if followed.requires_grad:
        followed.register_hook(back)  # type: ignore[no-untyped-call]


def _after(place: str, module: nn.Module, given: Any, made: Any) -> None:
    """Follow a forward pass."""
    if isinstance(made, Tensor) and not torch.compiler.is_compiling():
        tally(made, place)


def _size(tensor: Tensor) -> int:
    """Return how many numbers a tensor holds, those that `vmap` hides included."""
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.numel()
