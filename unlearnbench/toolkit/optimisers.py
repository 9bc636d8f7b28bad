"""Optimisers and their learning rates.

PyTorch's own update rules, called as the functions they are: the classes around them import the
compiler, which takes a second of every worker, and its schedules need those classes.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from unlearnbench.recipe import Recipe

Schedule = Callable[[int], float]
"""A learning rate as a function of what has been done: steps or epochs, counted from 0."""


class Optimiser:
    """Hold the parameters that are moved, which lie on one device."""

    _move: Callable[[list[Tensor], list[Tensor], float | Tensor], None]
    """Moves parameters along their gradients at a learning rate."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        """Prepare to move all of `parameters`."""
        self.parameters = list(parameters)
        self.kept: dict[Tensor, Any] = {}  # of each parameter that has moved: what its rule needs
        # on a CPU it gains little, and rounds differently
        self.fused = all(p.device.type == "cuda" for p in self.parameters)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Take one step; parameters without a gradient stay where they are.

        lr: a number, or a scalar on the parameters' device, which a captured step reads each time.
        """
        gradients = {p: p.grad for p in self.parameters if p.grad is not None}
        self._move(list(gradients), list(gradients.values()), lr)


class SGD(Optimiser):
    """Move parameters down their gradients, with momentum and weight decay (PyTorch's forms)."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, momentum: float, weight_decay: float
    ) -> None:
        """Prepare to move all of `parameters`."""
        super().__init__(parameters)
        self.momentum = momentum
        self.weight_decay = weight_decay

    def restore(self, kept: Mapping[Tensor, Any]) -> None:
        """Put momentum back as it was, where it lies: to nothing for what had not moved then."""
        for parameter, buffer in self.kept.items():
            if buffer is not None:  # as there is none without momentum
                buffer.copy_(kept[parameter]) if parameter in kept else buffer.zero_()

    def _move(self, moved: list[Tensor], gradients: list[Tensor], lr: float | Tensor) -> None:
        # Fused, PyTorch takes either all of its buffers for there or none, as at a first step.
        for begun in (True, False):
            some = [i for i, p in enumerate(moved) if (p in self.kept) is begun]
            if some:
                self._move_alike([moved[i] for i in some], [gradients[i] for i in some], lr)

    def _move_alike(self, moved: list[Tensor], gradients: list[Tensor], lr: float | Tensor) -> None:
        """Move parameters all of which have moved before, or none."""
        buffers = [self.kept.get(p) for p in moved]
        sgd(
            moved,
            gradients,
            buffers,
            foreach=not self.fused,  # the same numbers as one by one, in fewer calls
            fused=self.fused,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        self.kept.update(zip(moved, buffers, strict=True))


class Adam(Optimiser):
    """Adam (Kingma and Ba, arXiv 1412.6980) with its authors' constants.

    decoupled: AdamW (Loshchilov and Hutter, arXiv 1711.05101), whose weight decay is not part of
    the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        """Prepare to move all of `parameters`."""
        super().__init__(parameters)
        self.weight_decay = weight_decay
        self._rule = adamw if decoupled else adam

    def _move(self, moved: list[Tensor], gradients: list[Tensor], lr: float | Tensor) -> None:
        for p in moved:
            if p not in self.kept:
                self.kept[p] = torch.zeros_like(p), torch.zeros_like(p), torch.zeros(())
        first, second, steps = ([self.kept[p][i] for p in moved] for i in range(3))
        self._rule(
            moved,
            gradients,
            first,
            second,
            [],
            steps,
            foreach=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )


def optimiser(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimiser:
    """Return what a recipe moves parameters with."""
    if recipe.optimizer == "sgd":
        return SGD(parameters, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    decoupled = recipe.optimizer == "adamw"
    return Adam(parameters, weight_decay=recipe.weight_decay, decoupled=decoupled)


def one_cycle(peak: float, steps: int) -> Schedule:
    """Rise in a line from peak / 25 during the first quarter of `steps`, then fall to next to 0.

    The same numbers as PyTorch's OneCycleLR with linear annealing.
    """
    low, turn = peak / 25, 0.25 * (steps + 1) - 1
    last = low / 1e4

    def rate(step: int) -> float:
        if step <= turn:
            return (peak - low) * (step / turn) + low if turn else peak
        return (last - peak) * ((step - turn) / (steps - turn)) + peak

    return rate


def cosine(peak: float, steps: int) -> Schedule:
    """Fall from `peak` along half a cosine, to 0 after `steps`: PyTorch's CosineAnnealingLR."""
    return lambda step: peak * (1 + math.cos(math.pi * step / steps)) / 2


def warmed_up(rate: Schedule, peak: float, steps: int) -> Schedule:
    """Rise in a line from 0 to `peak`, which the last of `steps` has; then begin with `rate`."""
    return lambda step: peak * (step + 1) / steps if step < steps else rate(step - steps)


def step_decay(lr: float, every: int) -> Schedule:
    """Multiply `lr` by 0.1 after `every` epochs, again and again; a function of the epoch."""
    return lambda epoch: math.prod([0.1] * (epoch // every), start=lr)
