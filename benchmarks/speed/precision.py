"""bf16 against fp32: a training step in either, on one thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import torch
from turns import Row, compared, in_turn

from unlearnbench.execution.building import build_model
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, Trainer
from unlearnbench.toolkit.precision import processor_has_bf16

WORKS = [("resnet8", 32, 128), ("cifarnet", 32, 128), ("cifarnet", 32, 256), ("resnet18", 32, 64)]
"""Nets for colour images: the side of these, and how many are in a batch."""
CLASSES, STEPS = 10, 4


def measure(root: Path, rounds: int) -> list[Row]:
    """Compare a step in bf16 with the same in fp32; nothing where the processor has no bf16."""
    torch.set_num_threads(1)
    works = WORKS if processor_has_bf16() else []
    return [row for work in works for row in _of_net(*work, rounds)]


def _of_net(name: str, side: int, batch: int, rounds: int) -> list[Row]:
    count = STEPS * batch
    images = torch.randint(256, (count, 3, side, side), dtype=torch.uint8)
    labels, marked = torch.randint(CLASSES, (count,)), torch.ones(count, dtype=torch.bool)

    def made(precision: Literal["fp32", "bf16"]) -> tuple[Trainer, Examples]:
        recipe = Recipe(epochs=1, batch_size=batch, lr=0.01, crop=2, flip=True, precision=precision)
        model = build_model(name, 0, CLASSES, 3, side)
        return Trainer(model, recipe, lr=0.01, seed=0), Examples(images, labels, marked, recipe)

    both = {"bf16": made("bf16"), "fp32": made("fp32")}
    works = {which: partial(trainer.epoch, samples) for which, (trainer, samples) in both.items()}
    seconds = in_turn(works, rounds)
    steps = {which: [one / STEPS for one in own] for which, own in seconds.items()}
    return compared("precision", f"{name}; 3x{side}x{side}, batch {batch}", "bf16", steps)
