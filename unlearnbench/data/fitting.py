"""How images of any size and shape become squares of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unlearnbench.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Fit:
    """Say what is done to images before models see them; nothing where all three are None.

    resize: pixels of the shorter side after bilinear resizing, antialiased; crop: side of the
    square that is then cut from the centre, as large as `resize` if None; size: side to which
    blocks of pixels are averaged at last.
    """

    resize: int | None = None
    crop: int | None = None
    size: int | None = None

    @property
    def cut(self) -> int | None:
        """Side of the square that is cut from the centre; None if none is."""
        return self.crop or self.resize

    @property
    def side(self) -> int | None:
        """Side of the images that models see; None if it is that of the source's images."""
        return self.size or self.cut

    def image(self, image: Image.Image) -> Image.Image:
        """Resize and cut an image, to the pixel as torchvision's Resize and CenterCrop do.

        Raises DataError if it is smaller than what is to be cut from it.
        """
        width, height = image.size
        if self.resize and self.resize != min(width, height):
            short = min(width, height)
            width, height = (int(self.resize * side / short) for side in (width, height))
            image = image.resize((width, height), resample=2)  # bilinear
        if self.cut and (width, height) != (self.cut, self.cut):
            if min(width, height) < self.cut:
                raise DataError(f"is {width}x{height}, smaller than data.crop = {self.cut}")
            left, top = (round((side - self.cut) / 2) for side in (width, height))
            image = image.crop((left, top, left + self.cut, top + self.cut))
        return image

    def fault(self, height: int, width: int) -> str:
        """Say why images that come in this shape cannot be used; "" if they can."""
        if self.crop and not self.resize and min(height, width) < self.crop:
            return f"images of {width}x{height} are smaller than data.crop = {self.crop}"
        if height != width and not self.cut:
            return f"images of {width}x{height} are not square: set data.resize or data.crop"
        side = self.cut or height
        if self.size and side % self.size:
            return f"images of side {side} cannot be averaged to side {self.size}"
        return ""

    def resized(self, images: Images) -> Images:
        """Resize and cut an array of images [n, C, H, W]. Raises DataError as `image` does."""
        if not self.cut:
            return images
        from PIL import Image

        made = np.empty((*images.shape[:2], self.cut, self.cut), dtype=np.uint8)
        for place in np.ndindex(images.shape[:2]):
            made[place] = np.asarray(self.image(Image.fromarray(images[place])))
        return made

    def averaged(self, images: Images) -> Images:
        """Average blocks of the pixels of square images [n, C, H, H]."""
        side = images.shape[-1]
        if not self.size or self.size == side:
            return images
        block = side // self.size
        shape = (*images.shape[:2], self.size, block, self.size, block)
        averaged: Images = images.reshape(shape).mean(axis=(3, 5)).round().astype(np.uint8)
        return averaged
