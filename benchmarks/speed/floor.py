"""The floor: a training step against the kernels that it cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from turns import Row, compared

from unlearnbench.execution.building import build_model
from unlearnbench.recipe import Recipe
from unlearnbench.scheduling.processes import keep_pages
from unlearnbench.toolkit import Examples, Trainer

WORKS = [
    ("small-cnn", 1, 8, 64),
    ("small-lipschitz", 1, 8, 64),
    ("resnet8", 1, 14, 64),
    ("resnet8", 3, 32, 128),
    ("cifarnet", 3, 32, 128),
    ("small-vit", 3, 32, 128),
    ("mobilenet-v2", 3, 32, 64),
    ("resnet18", 3, 32, 64),
    ("resnet18-lipschitz", 3, 32, 64),
    ("vgg19-bn", 3, 32, 64),
]
"""Every net that ships: channels and side of images, and how many are in a batch."""
CLASSES, STEPS, REPEATS = 10, 4, 3
"""Steps of ours in a turn; and calls of each kernel."""
PASSES = 3
"""Forward passes that a step counts as: backward has two products for each one of forward.

PyTorch counts too much for the backward pass of a convolution in groups.
"""
SIDE = 1024
"""Of the square matrices whose product gives the machine's rate."""
MOVES = {
    *("detach", "view", "_unsafe_view", "_reshape_alias", "alias", "t", "transpose", "permute"),
    *("expand", "unsqueeze", "squeeze", "slice", "select", "split", "as_strided", "unbind"),
    *("clone", "copy_", "_to_copy", "contiguous", "empty_like", "new_empty", "zeros_like"),
    *("ones_like", "fill_", "zero_", "new_zeros", "empty", "zeros", "empty_strided"),
}
"""Operations that only look at numbers in another way, or copy them: not the work of a step."""


@dataclass(frozen=True)
class Kernel:
    """Hold a call of an operation, as a step makes it."""

    operation: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]

    def __call__(self) -> object:
        """Make the call again."""
        return self.operation(*self.arguments, **self.named)


class Calls(TorchDispatchMode):
    """Note each operation that computes something, in the order of the calls."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> object:
        """Let the call through."""
        named = kwargs or {}
        if func.overloadpacket.__name__ not in MOVES:
            self.kernels.append(Kernel(func, args, named))
        return func(*args, **named)


def measure(root: Path, rounds: int) -> list[Row]:
    """Compare our step with its kernels, for every net, in a process set up as a worker is."""
    torch.set_num_threads(1)
    keep_pages()
    return [row for work in WORKS for row in _of_net(*work, rounds)]


def trainer_of(
    name: str, channels: int, side: int, batch: int, precision: Literal["fp32", "bf16"] = "fp32"
) -> tuple[Trainer, Examples]:
    """Make a trainer of a net that ships, and noise for it of `STEPS` batches."""
    recipe = Recipe(epochs=1, batch_size=batch, lr=0.01, crop=2, flip=True, precision=precision)
    count = STEPS * batch
    images = torch.randint(256, (count, channels, side, side), dtype=torch.uint8)
    labels = torch.randint(CLASSES, (count,))
    examples = Examples(images, labels, torch.ones(count, dtype=torch.bool), recipe)
    model = build_model(name, 0, CLASSES, channels, side)
    return Trainer(model, recipe, lr=recipe.lr, seed=0), examples


def _of_net(name: str, channels: int, side: int, batch: int, rounds: int) -> list[Row]:
    trainer, examples = trainer_of(name, channels, side, batch)
    model, recipe, labels = trainer.model, trainer.recipe, examples.labels
    trainer.epoch(examples)
    pixels = examples.pixels[:batch].contiguous(memory_format=torch.channels_last)
    model.train()
    with Calls() as calls:
        trainer.backward(trainer.eager(pixels, labels[:batch]))
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        trainer.eager(pixels, labels[:batch])
    kernels = [*calls.kernels, _update(model, recipe)]
    seconds: dict[str, list[float]] = {"its kernels": [], "our step": []}
    rates = []
    for turn in range(rounds + 1):
        with torch.no_grad():
            spent = sum(map(_alone, kernels))
        start = process_time()
        trainer.epoch(examples)
        step = (process_time() - start) / STEPS
        rate = _rate()
        if turn:
            seconds["its kernels"].append(spent)
            seconds["our step"].append(step)
            rates.append(rate)
    operations = PASSES * flops.get_total_flops()
    reached = operations / median(seconds["our step"]) / median(rates)
    facts = {"our step": {"of the matmul rate": f"{reached:.0%}", "images/s": round(batch / step)}}
    title = f"{name}; {channels}x{side}x{side}, batch {batch}"
    return compared("floor", title, "its kernels", seconds, **facts)


def _update(model: nn.Module, recipe: Recipe) -> Kernel:
    """Return the update of all weights as a single kernel."""
    weights = [p.detach().clone() for p in model.parameters()]
    gradients = [torch.randn_like(p) for p in weights]
    kept: list[Tensor | None] = [torch.zeros_like(p) for p in weights]
    rule = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay, "lr": 1e-9}
    fixed = {"dampening": 0.0, "nesterov": False, "maximize": False, "fused": True}
    return Kernel(torch.no_grad()(sgd), (weights, gradients, kept), rule | fixed)


def _alone(kernel: Kernel) -> float:
    """Return the time of a call, in seconds: of the second and later ones, whose data are near."""
    kernel()
    start = process_time()
    for _ in range(REPEATS):
        kernel()
    return (process_time() - start) / REPEATS


def _rate() -> float:
    """Return how many operations on numbers a second a product of large matrices takes."""
    one = torch.ones(SIDE, SIDE)
    return 2 * SIDE**3 / _alone(Kernel(torch.mm, (one, one), {}))
