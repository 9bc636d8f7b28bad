"""Random shifts and flips of a whole batch at once, on the device it lies on."""

import torch
from torch import Tensor
from torch.nn import functional

from unlearnbench.recipe import Recipe


def augmented(pixels: Tensor, where: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Shift by up to `recipe.crop` pixels (zeros come in) and flip half of the images.

    pixels: [b, C, H, W]; where: bool [b], the images that may change. The usual "pad and crop",
    written as one gather, which on a CPU is several times cheaper than a transform an image.
    """
    count, channels, height, width = pixels.shape
    device = pixels.device
    pad = recipe.crop
    shifts = torch.randint(2 * pad + 1, (2, count), generator=generator, device=device)
    down, right = torch.where(where, shifts, pad)
    columns = torch.arange(width, device=device).expand(count, width)
    if recipe.flip:
        coin = torch.rand(count, generator=generator, device=device) < 0.5
        columns = torch.where((coin & where)[:, None], width - 1 - columns, columns)
    rows = torch.arange(height, device=device)[None] + down[:, None]
    columns = columns + right[:, None]
    padded = functional.pad(pixels, (pad, pad, pad, pad))
    moved = padded[
        torch.arange(count, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
    return moved.contiguous(memory_format=torch.channels_last)
