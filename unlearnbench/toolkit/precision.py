"""What float32 means, and where there is bfloat16."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from unlearnbench.recipe import Recipe

UNITS = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")
"""What Linux calls a processor's units for bfloat16, on x86 and on Arm."""


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Have float32 be IEEE's in this block, on GPUs too.

    By default PyTorch's convolutions on a GPU take TF32, of 10 bits, for it: what a search finds
    then need be no flip, and signals are off in the third digit.
    """
    places: tuple[Any, ...] = torch.backends.cudnn, torch.backends.cuda.matmul
    with warnings.catch_warnings():  # versions from 2.9 on have other names for it beside these
        warnings.filterwarnings("ignore", ".*TF32", UserWarning)
        before = [place.allow_tf32 for place in places]
        try:
            for place in places:
                place.allow_tf32 = False
            yield
        finally:
            for place, allowed in zip(places, before, strict=True):
                place.allow_tf32 = allowed


def not_autocast(device: torch.device) -> torch.autocast:
    """Return a context in which no precision is lowered, whatever is around it."""
    return torch.autocast(device.type, enabled=False)


def in_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Say whether training by a recipe is in bfloat16: where it says so and the device can."""
    return recipe.precision == "bf16" and (device.type == "cuda" or processor_has_bf16())


@cache
def processor_has_bf16() -> bool:
    """Say whether the processor has units for it; without them it is many times slower."""
    info = Path("/proc/cpuinfo")
    return info.exists() and bool(UNITS.search(info.read_text(encoding="utf-8")))


def precision_note(recipe: Recipe, device: torch.device) -> dict[str, str]:
    """Say for a record in what precision training was, and all else."""
    training = "bf16 (autocast)" if in_bf16(recipe, device) else "fp32 (IEEE)"
    return {"training": training, "searches and signals": "fp32 (IEEE)"}
