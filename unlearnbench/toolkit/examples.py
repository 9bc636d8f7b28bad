"""Labelled images on a device, which methods compose instead of writing data loaders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.augmentation import augmented


@dataclass(frozen=True)
class Examples:
    """Hold images, labels and whether training may augment each of them.

    images: [n, C, H, W], uint8 in 0..255 or float32 in [0, 1]; labels: int64 [n];
    augment: bool [n]. All on one device. `recipe` says how training feeds them.
    """

    images: Tensor
    labels: Tensor
    augment: Tensor
    recipe: Recipe

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def __add__(self, other: Examples | None) -> Examples:
        """Join two sets; an absent one (a retain set under forget-only access) adds nothing."""
        if other is None:
            return self
        images = self.images, other.images
        if images[0].dtype != images[1].dtype:
            images = as_pixels(images[0]), as_pixels(images[1])
        return Examples(
            torch.cat(images),
            torch.cat((self.labels, other.labels)),
            torch.cat((self.augment, other.augment)),
            self.recipe,
        )

    def select(self, index: Tensor) -> Examples:
        """Return the examples at `index` (int64 positions or a bool mask)."""
        return Examples(self.images[index], self.labels[index], self.augment[index], self.recipe)

    def relabel(self, labels: Tensor) -> Examples:
        """Return the same images under other labels (int64 [n])."""
        return replace(self, labels=labels)

    def augmented(self, augment: bool = True) -> Examples:
        """Return the same examples, to be augmented in training as its recipe says, or not."""
        return replace(self, augment=torch.full_like(self.augment, augment))

    def unaugmented(self) -> Examples:
        """Return the same examples, to be shown to training just as they are."""
        return self.augmented(False)

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield training batches (float32 images in [0, 1], labels) in random order, augmented.

        Every example appears once; the last batch may be smaller.
        """
        order = torch.randperm(len(self), generator=generator, device=self.labels.device)
        for index in torch.split(order, self.recipe.batch_size):
            pixels = as_pixels(self.images[index])
            if self.recipe.crop or self.recipe.flip:
                pixels = augmented(pixels, self.augment[index], self.recipe, generator)
            yield pixels, self.labels[index]

    def endless(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield training batches for ever, shuffled anew after each pass."""
        while True:
            yield from self.shuffled(generator)

    def batched(self, size: int) -> Examples:
        """Return the same examples, to be shown to training `size` at a time."""
        return replace(self, recipe=self.recipe.model_copy(update={"batch_size": size}))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (float32 images in [0, 1], labels) in order, without augmentation."""
        for images, labels in zip(
            torch.split(self.images, size), torch.split(self.labels, size), strict=True
        ):
            yield as_pixels(images), labels


def as_pixels(images: Tensor) -> Tensor:
    """Turn stored images into float32 in [0, 1]; channels_last, which CPU and GPU both prefer."""
    pixels = images.float().div_(255) if images.dtype == torch.uint8 else images
    return pixels.contiguous(memory_format=torch.channels_last)
