"""Stochastic gradient descent and its learning rates.

PyTorch's own update rule, called as the function it is: the class around it imports the compiler,
which takes a second of every worker, and its schedules need that class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

Schedule = Callable[[int], float]
"""A learning rate as a function of what has been done: steps or epochs, counted from 0."""


class SGD:
    """Move parameters down their gradients, with momentum and weight decay (PyTorch's forms)."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, momentum: float, weight_decay: float
    ) -> None:
        """Prepare to move all of `parameters`, which lie on one device."""
        self.parameters = list(parameters)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.buffers: dict[Tensor, Tensor] = {}
        # on a CPU it gains little, and rounds differently
        self.fused = all(p.device.type == "cuda" for p in self.parameters)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Take one step; parameters without a gradient stay where they are."""
        moved: list[Tensor] = [p for p in self.parameters if p.grad is not None]
        buffers = [self.buffers.get(p) for p in moved]
        sgd(
            moved,
            [p.grad for p in moved if p.grad is not None],
            buffers,
            foreach=False,
            fused=self.fused,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        if self.momentum:
            self.buffers = {p: b for p, b in zip(moved, buffers, strict=True) if b is not None}


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


def step_decay(lr: float, every: int) -> Schedule:
    """Multiply `lr` by 0.1 after `every` epochs, again and again; a function of the epoch."""

    def rate(epoch: int) -> float:
        decayed = lr
        for _ in range(epoch // every):
            decayed *= 0.1
        return decayed

    return rate
