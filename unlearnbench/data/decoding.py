"""Image files of any kind as RGB bytes, a few at a time."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from unlearnbench.data.fitting import Fit, Images
from unlearnbench.errors import DataError

BATCH = 16
"""Images that a thread decodes in one go."""
ROOM = 2**26
"""Bytes of decoded images that are held at a time."""


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

        todo, many = list(hashes.items()), BATCH
        with Parallel(n_jobs=cpu_count(), require="sharedmem") as pool:
            while todo:
                now, todo = todo[:many], todo[many:]
                batches = [now[at : at + BATCH] for at in range(0, len(now), BATCH)]
                made: list[list[Images | str]] = pool(map(delayed(self._batch), batches))  # pyright: ignore[reportAssignmentType]
                images = [image for some in made for image in some]
                for (name, _), image in zip(now, images, strict=True):
                    self._note(name, image)
                if not self.faults:
                    sound = np.stack([image for image in images if not isinstance(image, str)])
                    yield np.ascontiguousarray(sound.transpose(0, 3, 1, 2))
                    many = max(BATCH, ROOM // sound[0].nbytes)

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

    def _batch(self, files: Sequence[tuple[str, bytes]]) -> list[Images | str]:
        return [self._decoded(name, known) for name, known in files]

    def _decoded(self, name: str, known: bytes) -> Images | str:
        """Return an image [H, W, 3], or what is wrong with it."""
        try:
            content = (self.folder / name).read_bytes()
            if sha256(content).digest() != known:
                return f"{name} changes while it is read"
            if not content:
                return f"{name} is empty"
            with Image.open(io.BytesIO(content)) as image:
                return np.asarray(self.fit.image(rgb(image)))
        except UnidentifiedImageError:
            return f"{name} is not an image, or has an unknown format"
        except DataError as error:
            return f"{name} {error}"
        except Exception as error:  # the boundary: on broken files Pillow raises many things
            return f"{name} cannot be decoded ({error or type(error).__name__})"

    def _note(self, name: str, image: Images | str) -> None:
        if isinstance(image, str):
            self._faults.append(image)
        else:
            height, width, _ = image.shape
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
