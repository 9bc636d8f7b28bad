"""Images in host memory or in a file, of which batches are read while others are worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Self, cast

import torch
from torch import Tensor

AHEAD = 2
"""Batches that are read, and sent to the device, while one is worked on."""


def as_pixels(images: Tensor) -> Tensor:
    """Turn stored images into float32 in [0, 1]; channels_last, which CPU and GPU both prefer."""
    pixels = images.float().div_(255) if images.dtype == torch.uint8 else images
    return pixels.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Stored:
    """Stand for a tensor of images [n, C, H, W], of which a device is given what is asked for.

    They are the rows `index`, int64 [n] on the CPU, of all arrays joined: uint8 or float32
    [m, C, H, W] each, in host memory, mapped from a file, or on the device. As of a tensor,
    `images[index]` are some of them, on the device; of arrays of both types all are float32.
    """

    arrays: tuple[Tensor, ...]
    index: Tensor
    device: torch.device

    @classmethod
    def of(cls, images: Tensor, device: torch.device) -> Self:
        """Take all images of one array."""
        return cls((images,), torch.arange(len(images)), device)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.index)

    def __add__(self, other: Self) -> Self:
        """Join two sets; nothing is copied."""
        index = torch.cat((self.index, self.starts[-1] + other.index))
        return replace(self, arrays=self.arrays + other.arrays, index=index)

    def __getitem__(self, index: Any) -> Tensor:
        """Return images by whatever a tensor is indexed with, on the device."""
        rows = self.pick(index).index
        return self._read(rows) if rows.ndim else self._read(rows[None])[0]

    @property
    def shape(self) -> torch.Size:
        """The shape, as a tensor's."""
        return torch.Size((len(self), *self.arrays[0].shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """The type of what is read."""
        types = {array.dtype for array in self.arrays}
        return types.pop() if len(types) == 1 else torch.float32

    @cached_property
    def starts(self) -> Tensor:
        """Where in all of them each array begins, and where the last ends."""
        return torch.tensor([0, *map(len, self.arrays)]).cumsum(0)

    def pick(self, index: Any) -> Self:
        """Stand for some of these images; none is read."""
        return replace(self, index=self.index[index.cpu() if isinstance(index, Tensor) else index])

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield all images in order, so many at a time."""
        return self.each(torch.split(torch.arange(len(self)), size))

    def each(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images at each index, while the next are read in the background.

        A thread, since reading is one copy that lets others work: a loader's processes would have
        to be started for each pass, and hand every batch over.
        """
        stream = None
        if self.device.type == "cuda":
            stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(self.device))  # which made the indices
        todo = iter(parts)
        with ThreadPoolExecutor(1, "images") as reader:
            coming = [reader.submit(self._sent, part, stream) for part in islice(todo, AHEAD)]
            while coming:
                images, sent = coming.pop(0).result()
                coming += [reader.submit(self._sent, part, stream) for part in islice(todo, 1)]
                if sent is not None:
                    now = torch.cuda.current_stream(self.device)
                    now.wait_event(sent)
                    images.record_stream(now)  # whose memory is not given out again before
                yield images

    def _sent(self, index: Tensor, stream: torch.cuda.Stream | None) -> tuple[Tensor, Any]:
        """Return images, and on a GPU when they will be there."""
        if stream is None:
            return self[index], None
        with torch.cuda.stream(stream):
            return self[index], stream.record_event()

    def _read(self, rows: Tensor) -> Tensor:
        """Return the images at some rows of all arrays, on the device."""
        of = torch.bucketize(rows, self.starts[1:], right=True)
        whose: list[int] = torch.unique(of).tolist()
        if len(whose) == 1:
            return self._read_one(whose[0], rows)
        made = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype, device=self.device)
        for number in whose:
            here = (of == number).nonzero().squeeze(1)
            made[here.to(self.device)] = self._read_one(number, rows[here])
        return made

    def _read_one(self, number: int, rows: Tensor) -> Tensor:
        """Return the images at some rows, which are all of one array, on the device."""
        array = self.arrays[number]
        images = array.index_select(0, (rows - self.starts[number]).to(array.device))
        if images.device.type != self.device.type:
            images = images.pin_memory().to(self.device, non_blocking=True)
        return images if images.dtype == self.dtype else as_pixels(images)


# What follows takes tensors and images that are stored, which serve as tensors where they are
# indexed, counted or split, and so are typed as such.


def pick(images: Tensor, index: Tensor) -> Tensor:
    """Return the images at `index`; of stored ones, none is read."""
    if isinstance(images, Stored):
        return cast("Tensor", images.pick(index))
    return images[index]


def whole(images: Tensor) -> Tensor:
    """Return a tensor on the device."""
    return images[:] if isinstance(images, Stored) else images


def each(images: Tensor, parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the images at each index."""
    if isinstance(images, Stored):
        yield from images.each(parts)
    else:
        for index in parts:
            yield images[index]


def as_stored(images: Tensor) -> Stored:
    """Return stored images as they are, others as if they were."""
    return images if isinstance(images, Stored) else Stored.of(images, images.device)


def joined(one: Tensor, other: Tensor) -> Tensor:
    """Join two sets of images, which are float32 if either is, and stored if either is."""
    if isinstance(one, Stored) or isinstance(other, Stored):
        return cast("Tensor", as_stored(one) + as_stored(other))
    if one.dtype != other.dtype:
        one, other = as_pixels(one), as_pixels(other)
    return torch.cat((one, other))
