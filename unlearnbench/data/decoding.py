"""Image files of any kind as RGB bytes, a few at a time."""

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from unlearnbench.data.fitting import Fit, Images
from unlearnbench.errors import DataError
from unlearnbench.files import UnsoundError, opened_behind

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".ppm": "PPM",
    ".bmp": "BMP",
    ".pgm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Endings of the names of images, in small letters: those that torchvision takes; and their formats
as Pillow calls them.

Pillow tries no other format: for some it runs a program. But a file may be of any of these,
whatever its ending: some data sets have PNG files that end in .jpeg.
"""
BATCH = 16
"""Images that a thread decodes in one go."""
ROOM = 2**26
"""Bytes of decoded images that are held at a time."""
LARGEST = 2**28
"""Bytes that the file of an image may have."""
PIXELS, UNCUT = 2**26, 2**24
"""Pixels that an image may have, and those of one that is used at its own size."""
MANY = "has too many pixels, or would when resized: cut it or make it smaller"
Decoded = Images | tuple[int, int] | str
"""An image [H, W, 3]; height and width of one whose size is not that of the first; or a fault."""


class Decoder:
    """Decode files whose content is known by its hash; collect what is wrong with them."""

    def __init__(self, folder: Path, fit: Fit) -> None:
        """Read names relative to `folder`; resize and cut as `fit` says."""
        self.folder, self.fit = folder, fit
        self._faults: list[str] = []
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._first: dict[tuple[int, int], str] = {}

    def decode(self, hashes: Mapping[str, bytes]) -> Iterator[Images]:
        """Yield the images of these files [n, 3, H, W], in their order, some at a time.

        Once there is a fault nothing more is yielded, but the rest is still looked at.
        """
        from joblib import Parallel, cpu_count, delayed  # slow to import

        todo, many = list(hashes.items()), 1  # until the first says how large they are
        with Parallel(n_jobs=cpu_count(), require="sharedmem") as pool:
            while todo:
                now, todo = todo[:many], todo[many:]
                batches = [now[at : at + BATCH] for at in range(0, len(now), BATCH)]
                with warnings.catch_warnings():  # of too many pixels: such images are refused
                    warnings.simplefilter("error", Image.DecompressionBombWarning)
                    made: list[list[Decoded]] = pool(map(delayed(self._batch), batches))  # pyright: ignore[reportAssignmentType]
                looked = [image for some in made for image in some]
                for (name, _), image in zip(now, looked, strict=True):
                    self._note(name, image)
                images = [image for image in looked if isinstance(image, np.ndarray)]
                if not self.faults:
                    yield np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
                if images:
                    many = max(1, ROOM // images[0].nbytes)

    @property
    def faults(self) -> list[str]:
        """What is wrong with the images so far, and with their sizes."""
        if not self._sizes:
            return self._faults
        if len(self._sizes) == 1:
            wrong = Fit(size=self.fit.size).fault(*next(iter(self._sizes)))
            return [*self._faults, wrong] if wrong else self._faults
        told = [
            f"{width}x{height} ({number:,}, first {self._first[height, width]})"
            for (height, width), number in self._sizes.most_common(3)
        ]
        different = f"images of {len(self._sizes)} sizes, {', '.join(told)}: set data.resize"
        return [*self._faults, different]

    def _batch(self, files: Sequence[tuple[str, bytes]]) -> list[Decoded]:
        return [self._decoded(name, known) for name, known in files]

    def _decoded(self, name: str, known: bytes) -> Decoded:
        """Decode an image, unless its header says that it would take too much memory."""
        try:
            with opened_behind(self.folder / name, LARGEST) as file:
                content = file.read(LARGEST)
            if sha256(content).digest() != known:
                return f"{name} changes while it is read"
            if not content:
                return f"{name} is empty"
            with Image.open(io.BytesIO(content), formats=sorted({*FORMATS.values()})) as image:
                width, height = image.size
                if fault := self._too_large(width, height):
                    return f"{name} {fault}"
                if not self.fit.cut and (height, width) != next(iter(self._first), (height, width)):
                    return height, width
                return np.asarray(self.fit.image(rgb(image)))
        except UnidentifiedImageError:
            return f"{name} is not an image, or has an unknown format"
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return f"{name} {MANY}"
        except (DataError, UnsoundError) as error:
            return f"{name} {error}"
        except Exception as error:  # the boundary: on broken files Pillow raises many things
            return f"{name} cannot be decoded ({error or type(error).__name__})"

    def _too_large(self, width: int, height: int) -> str:
        """Say why an image of this size is not decoded; "" if it is."""
        times = max(1, (self.fit.resize or 1) / min(width, height))
        if width * height * times**2 > PIXELS:
            return MANY
        if width * height > UNCUT and not self.fit.cut:
            return f"is {width}x{height}, too large to be used at its own size: set data.resize"
        return ""

    def _note(self, name: str, image: Decoded) -> None:
        if isinstance(image, str):
            self._faults.append(image)
        else:
            height, width = image if isinstance(image, tuple) else image.shape[:2]
            self._sizes[height, width] += 1
            self._first.setdefault((height, width), name)


def rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, 8 bits a channel.

    Grey becomes three equal channels, 16 bits their upper eight, CMYK and palettes what Pillow
    makes of them; transparency is dropped, and of several frames the first is taken. Raises
    ValueError for pixels that have no such form.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {image.mode}), save it with 8")
    return image.convert("RGB")
