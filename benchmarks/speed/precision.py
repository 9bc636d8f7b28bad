"""bf16 against fp32: a training step in either, on one thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from floor import STEPS, trainer_of
from turns import Row, compared, in_turn

from unlearnbench.toolkit.precision import processor_has_bf16

WORKS = [("resnet8", 32, 128), ("cifarnet", 32, 128), ("cifarnet", 32, 256), ("resnet18", 32, 64)]
"""Nets for colour images: the side of these, and how many are in a batch."""


def measure(root: Path, rounds: int) -> list[Row]:
    """Compare a step in bf16 with the same in fp32; nothing where the processor has no bf16."""
    torch.set_num_threads(1)
    works = WORKS if processor_has_bf16() else []
    return [row for work in works for row in _of_net(*work, rounds)]


def _of_net(name: str, side: int, batch: int, rounds: int) -> list[Row]:
    bf16, fp32 = (trainer_of(name, 3, side, batch, precision) for precision in ("bf16", "fp32"))
    works = {"bf16": partial(bf16[0].epoch, bf16[1]), "fp32": partial(fp32[0].epoch, fp32[1])}
    seconds = in_turn(works, rounds)
    steps = {which: [one / STEPS for one in own] for which, own in seconds.items()}
    return compared("precision", f"{name}; 3x{side}x{side}, batch {batch}", "bf16", steps)
