"""Labelled images on a device, which methods compose instead of writing data loaders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NoReturn, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.precision import not_autocast
from unlearnbench.toolkit.stored import all_of, as_pixels, each, joined, pick

Batch = tuple[Tensor, ...]
"""float32 images [b, C, H, W] in [0, 1], labels [b], and marks [b] of examples that have any."""
Loss = Callable[..., Tensor]
"""Mean loss of a batch, a scalar: called with what the batch holds, one argument each."""


def augmented(pixels: Tensor, where: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Shift by up to `recipe.crop` pixels (zeros come in) and flip half of the images.

    pixels: [b, C, H, W]; where: bool [b], the images that may change. The usual "pad and crop",
    written as one lookup of whole pixels, which on a CPU is several times cheaper than a transform
    an image.
    """
    count, channels, height, width = pixels.shape
    device, pad = pixels.device, recipe.crop
    shifts = torch.randint(2 * pad + 1, (2, count), generator=generator, device=device)
    down, right = torch.where(where, shifts, pad)
    columns = torch.arange(width, device=device).expand(count, width)
    if recipe.flip:
        coin = torch.rand(count, generator=generator, device=device) < 0.5
        columns = torch.where((coin & where)[:, None], width - 1 - columns, columns)
    tall, wide = height + 2 * pad, width + 2 * pad
    first = torch.arange(count, device=device) * tall + down  # line of each image, in all of them
    lines = torch.arange(height, device=device) + first[:, None]
    places = lines[:, :, None] * wide + (columns + right[:, None])[:, None]
    padded = functional.pad(pixels, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    moved = padded.reshape(-1, channels).index_select(0, places.flatten())
    return moved.view(count, height, width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Examples:
    """Hold images, labels and whether training may augment each of them.

    images: [n, C, H, W], uint8 in 0..255 or float32 in [0, 1]; labels: int64 [n]; augment: bool
    [n]. All on one device; but images that would not fit are `Stored`, can be indexed and split
    alone, and are sent there in batches. `recipe` says how training feeds them. marks: [n],
    whatever a loss has to know of each, such as whether it is to be forgotten; see `marked`.
    """

    images: Tensor
    labels: Tensor
    augment: Tensor
    recipe: Recipe
    marks: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def __iter__(self) -> NoReturn:
        """Raise TypeError: they come in batches."""
        raise TypeError(
            "Examples come in batches: loop over `batches(size)` (in order) or"
            " `shuffled(generator)` (for training)"
        )

    def __add__(self, other: Self | None) -> Self:
        """Join two sets; an absent one (a retain set under forget-only access) adds nothing."""
        if other is None:
            return self
        images = joined(self.images, other.images)
        labels = torch.cat((self.labels, other.labels))
        augment = torch.cat((self.augment, other.augment))
        marks = None
        if self.marks is not None or other.marks is not None:
            marks = torch.cat((self.marks_or_zeros(), other.marks_or_zeros()))
        return replace(self, images=images, labels=labels, augment=augment, marks=marks)

    def select(self, index: Tensor) -> Self:
        """Return the examples at `index` (int64 positions or a bool mask)."""
        return replace(
            self,
            images=pick(self.images, index),
            labels=self.labels[index],
            augment=self.augment[index],
            marks=None if self.marks is None else self.marks[index],
        )

    def marked(self, mark: Tensor | float) -> Self:
        """Return the same examples, marked for the loss: with one number, or with one each, [n].

        Joined with marked examples, those without marks have zeros.
        """
        marks = torch.as_tensor(mark, device=self.labels.device)
        return replace(self, marks=marks.expand(len(self)))

    def marks_or_zeros(self) -> Tensor:
        """Return the marks, zeros where there are none, [n]."""
        return torch.zeros_like(self.labels) if self.marks is None else self.marks

    def relabel(self, labels: Tensor) -> Self:
        """Return the same images under other labels (int64 [n])."""
        return replace(self, labels=labels)

    def augmented(self, augment: bool = True) -> Self:
        """Return the same examples, to be augmented in training as its recipe says, or not."""
        return replace(self, augment=torch.full_like(self.augment, augment))

    def unaugmented(self) -> Self:
        """Return the same examples, to be shown to training just as they are."""
        return self.augmented(False)

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield training batches in random order, augmented: images, labels, and marks if any.

        Every example appears once. The last batch may be smaller, but one example that would be
        left over joins the batch before it: BatchNorm makes nothing of a single one.
        """
        order = torch.randperm(len(self), generator=generator, device=self.labels.device)
        parts = torch.split(order, self.sizes)
        for index, images in zip(parts, each(self.images, parts), strict=True):
            pixels = as_pixels(images)
            if self.recipe.crop or self.recipe.flip:
                pixels = augmented(pixels, self.augment[index], self.recipe, generator)
            batch = pixels, self.labels[index]
            yield batch if self.marks is None else (*batch, self.marks[index])

    @property
    def sizes(self) -> list[int]:
        """How many examples each batch of a pass has."""
        size = self.recipe.batch_size
        full, rest = divmod(len(self), size)
        if rest == 1 and full and size > 1:
            return [size] * (full - 1) + [size + 1]
        return [size] * full + [rest] * (rest > 0)

    def endless(self, generator: torch.Generator) -> Iterator[Batch]:
        """Yield training batches without end, shuffled again after each pass."""
        while True:
            yield from self.shuffled(generator)

    def fed_by(self, recipe: Recipe) -> Self:
        """Return the same examples, to be fed to training as another recipe says."""
        return replace(self, recipe=recipe)

    def batched(self, size: int) -> Self:
        """Return the same examples, to be shown to training `size` at a time."""
        return self.fed_by(self.recipe.but(batch_size=size))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (float32 images in [0, 1], labels) in order, without augmentation."""
        parts = self.images.split(size), self.labels.split(size)  # type: ignore[no-untyped-call]
        for images, labels in zip(*parts, strict=True):
            yield as_pixels(images), labels

    @property
    def pixels(self) -> Tensor:
        """All images, float32 in [0, 1] on the device."""
        return as_pixels(all_of(self.images))

    def resident(self) -> Self:
        """Return the same examples, all their images on the device."""
        return replace(self, images=all_of(self.images))


def rows(values: Tensor) -> Tensor:
    """Shape one number an image, [n], so that it multiplies images."""
    return values[:, None, None, None]


def norms(images: Tensor) -> Tensor:
    """Return each image's l2 norm, [n]."""
    lengths: Tensor = torch.linalg.vector_norm(images.flatten(1), dim=1)
    return lengths


def unit(images: Tensor) -> Tensor:
    """Return images of l2 norm 1; zeros stay zeros."""
    return images / rows(norms(images).clamp_min(1e-30))


def shortened(images: Tensor, longest: Tensor | float) -> Tensor:
    """Scale images whose l2 norm is above `longest`, one number or [n], down to it."""
    return images * rows((longest / norms(images).clamp_min(1e-30)).clamp_max(1.0))


LARGEST = 2**24
"""Numbers in a batch of images that are only looked at: 1,365 images of 64x64, 111 of 224x224."""


@torch.no_grad()
def outputs(model: nn.Module, examples: Examples, batch: int = 512) -> Tensor:
    """Return the logits [n, classes] of clean images, in eval mode and fp32, in their order.

    batch: images at once, fewer where they are large.
    """
    model.eval()
    batch = min(batch, max(1, LARGEST // examples.images.shape[1:].numel()))
    with not_autocast(examples.labels.device):
        return torch.cat([model(pixels) for pixels, _ in examples.batches(batch)])


def divergence(model: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean of KL(teacher || model) over a batch of logits [n, classes] each.

    Logits are divided by the temperature first, and the result multiplied by its square, so that
    gradients keep their size (Hinton et al., arXiv 1503.02531). Gradients flow through both.
    """
    own = functional.log_softmax(model / temperature, dim=1)
    other = functional.log_softmax(teacher / temperature, dim=1)
    distance = functional.kl_div(own, other, log_target=True, reduction="batchmean")
    return temperature**2 * distance
