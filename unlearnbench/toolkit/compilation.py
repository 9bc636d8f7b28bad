"""Compiled training steps on a GPU, where they prove to be faster on the spot."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.recorder import synchronise

Loss = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of a batch: images [b, C, H, W] and labels [b] to a scalar."""

WARM_UP, TIMED = 3, 20
"""Passes that are not timed, and that are."""
WORTHWHILE = 120.0
"""Seconds of training from which on a compilation, about half a minute, can pay."""


@dataclass(frozen=True)
class Choice:
    """Say which form of a step was taken and why; goes into the record. Times in ms a batch."""

    used: str
    eager_ms: float | None = None
    compiled_ms: float | None = None
    why: str = ""

    def note(self) -> dict[str, object]:
        """Return it for the record, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


def choose(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Tensor, Tensor],
    steps: int,
    compiler: Callable[[Loss], Loss],
) -> tuple[Loss, Choice]:
    """Return `loss` or its compiled form, whichever is faster forward and backward on `batch`.

    steps: how many are to come. Weights, gradients and BatchNorm's statistics are left as they
    were. Whatever a compiler raises means that the eager form is used.
    """
    before = copy.deepcopy(model.state_dict())
    try:
        eager = _milliseconds(model, loss, batch)
        if eager * steps < 1000 * WORTHWHILE:
            return loss, Choice("eager", eager, why="too short to compile for")
        try:
            fast = compiler(loss)
            compiled = _milliseconds(model, fast, batch)
        except Exception as error:  # torch.compile raises whatever its backends do
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            return loss, Choice("eager", eager, why=f"not compiled: {said}")
        if compiled < eager:
            return fast, Choice("compiled", eager, compiled)
        return loss, Choice("eager", eager, compiled, "faster")
    finally:
        model.load_state_dict(before)
        model.zero_grad(set_to_none=True)


def with_cuda_graphs(loss: Loss) -> Loss:
    """Compile for one shape, kernels fused and launched together."""
    compiled: Loss = torch.compile(loss, mode="reduce-overhead", dynamic=False)
    return compiled


def _milliseconds(model: nn.Module, loss: Loss, batch: tuple[Tensor, Tensor]) -> float:
    """Return the time of one pass forward and backward."""
    device = batch[1].device
    start = 0.0
    for number in range(WARM_UP + TIMED):
        if number == WARM_UP:
            synchronise(device)
            start = time.perf_counter()
        model.zero_grad(set_to_none=True)
        loss(*batch).backward()  # type: ignore[no-untyped-call]
    synchronise(device)
    return round(1000 * (time.perf_counter() - start) / TIMED, 3)
