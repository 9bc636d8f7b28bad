"""Decoded images kept beside their files, and used for just these files.

Below the folder of a data set lies `.unlearnbench/`. `files.npz` has stamps and hashes of files.
`<files>-<resize>-<crop>-<form>.npy` has the images as they were decoded; <files> is a digest of
names and hashes. `.sha256` beside it has its checksum, and is written last.

A process that has mapped images holds a shared lock on their file, and its workers open the file by
its name. So no other process removes it, until the map is gone.
"""

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from errno import ENOTDIR
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO

import numpy as np

from unlearnbench.arrays import array_place, array_places, load_arrays
from unlearnbench.data.decoding import LARGEST
from unlearnbench.data.fitting import Fit, Images
from unlearnbench.files import (
    DRAFT,
    UnsoundError,
    abandoned,
    checksum,
    expendable,
    opened,
    opened_behind,
    read_text,
    write,
    write_text,
)

try:
    import fcntl
except ImportError:  # Windows, which removes no file that is open
    fcntl = None  # type: ignore[assignment]

FORM = 1
"""To be raised whenever the same file is decoded otherwise."""
FOLDER, INDEX = ".unlearnbench", "files.npz"
KEPT = re.compile(r"[0-9a-f]{32}-\d+-\d+-\d+\.(npy|sha256)")
BATCH = 64
"""Files that a thread hashes in one go."""
Known = tuple[tuple[int, int, int], bytes]
"""Stamp and hash of a file.

A stamp is size, time of the last change of the content, and of the last change of any kind, which
no program can set.
"""


class Cache:
    """Keep the images of one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a hidden folder inside."""
        self.folder, self.place = folder, folder / FOLDER

    def hashes(self, names: Sequence[str], *, thorough: bool) -> tuple[dict[str, bytes], list[str]]:
        """Return a hash of the content of each file, and what is wrong with those that have none.

        thorough: read every file, not only those that are not as they were when last hashed.
        """
        from joblib import Parallel, cpu_count, delayed  # slow to import

        stored = self._stored()

        def look(some: Sequence[str]) -> list[Known | str]:
            return [self._look(name, None if thorough else stored.get(name)) for name in some]

        batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
        with Parallel(n_jobs=cpu_count(), require="sharedmem") as pool:
            made: list[list[Known | str]] = pool(map(delayed(look), batches))  # pyright: ignore[reportAssignmentType]
        looked = [known for some in made for known in some]
        every = zip(names, looked, strict=True)
        found = {name: known for name, known in every if not isinstance(known, str)}
        if found != stored and len(found) == len(names):
            self._store(found)
        hashes = {name: content for name, (_, content) in found.items()}
        return hashes, [fault for fault in looked if isinstance(fault, str)]

    def _look(self, name: str, before: Known | None) -> Known | str:
        """Return a file's stamp and hash, those of before if it has the same stamp, or a fault."""
        path = self.folder / name
        try:
            about = path.stat()
            stamp = about.st_size, about.st_mtime_ns, about.st_ctime_ns
            if before is not None and before[0] == stamp:
                return before
            with opened_behind(path, LARGEST) as file:
                return stamp, file_digest(file, "sha256").digest()
        except UnsoundError as error:
            return f"{name} {error}"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"

    def _stored(self) -> dict[str, Known]:
        with suppress(OSError, ValueError, KeyError):
            with opened(self.place / INDEX, self.folder) as file:
                stored = load_arrays(file, array_places(file))
            names = os.fsdecode(stored["names"].tobytes()).split("\0")
            stamps, hashes = stored["stamps"].tolist(), stored["hashes"]
            known = [((a, b, c), bytes(of)) for (a, b, c), of in zip(stamps, hashes, strict=True)]
            return dict(zip(names, known, strict=True))
        return {}

    def _store(self, found: dict[str, Known]) -> None:
        names = np.frombuffer(os.fsencode("\0".join(found)), dtype=np.uint8)
        stamps = np.array([stamp for stamp, _ in found.values()], dtype=np.int64)
        hashes = np.frombuffer(b"".join(content for _, content in found.values()), dtype=np.uint8)
        arrays = {"names": names, "stamps": stamps, "hashes": hashes.reshape(len(found), -1)}
        with expendable():  # files are then hashed every time
            self._require_own()
            write(self.place / INDEX, partial(np.savez, **arrays))  # type: ignore[arg-type]

    def _path(self, hashes: Mapping[str, bytes], fit: Fit) -> Path:
        """Return where the images of these files are kept, resized and cut so."""
        every = os.fsencode("\0".join(hashes)) + b"\0" + b"".join(hashes.values())
        digest = sha256(every).hexdigest()[:32]
        return self.place / f"{digest}-{fit.resize or 0}-{fit.cut or 0}-{FORM}.npy"

    def images(self, hashes: Mapping[str, bytes], fit: Fit, *, thorough: bool) -> Images | None:
        """Return images [n, 3, H, W], on disk until they are used; None if they are not kept.

        thorough: read all of the file, and take it for absent if it is not what was written; and
        remove images of files as they are no more.
        """
        path = self._path(hashes, fit)
        with suppress(OSError, ValueError):
            known = read_text(path.with_suffix(".sha256"), self.folder).strip()
            with opened(path, self.folder, sys.maxsize) as file:
                if not _locked(file) or not os.fstat(file.fileno()).st_nlink:
                    return None  # it is just being removed
                found = array_place(file)
                images: Images = np.memmap(file, found.dtype, "r", found.start, found.shape)
            fine = found.dtype == np.uint8 and found.shape[:2] == (len(hashes), 3)
            if fine and images.ndim == 4 and (not thorough or checksum(path) == known):
                if thorough:
                    self._tidy(path)
                return images
        return None

    def keep(self, hashes: Mapping[str, bytes], fit: Fit, chunks: Iterable[Images]) -> None:
        """Write images, some at a time, and remove those of files as they are no more.

        Raises OSError or NoRoomError where they cannot be written, and whatever `chunks` raises.
        """
        self._require_own()
        path = self._path(hashes, fit)
        written = write(path, partial(_save, count=len(hashes), chunks=chunks))
        write_text(path.with_suffix(".sha256"), f"{written}\n")
        self._tidy(path)

    def _require_own(self) -> None:
        """Raise OSError where the place is a link: whoever made the folder chose where it leads."""
        if self.place.is_symlink():
            raise NotADirectoryError(ENOTDIR, "is a link", str(self.place))

    def _tidy(self, of_now: Path) -> None:
        """Remove images of files as they are no more, but none that a process has mapped."""
        files = of_now.name.partition("-")[0]
        with expendable():
            (self.folder / f"{FOLDER}.npz").unlink(missing_ok=True)  # of version 0.1
            every = sorted(self.place.iterdir())
            for draft in abandoned(path for path in every if path.name.startswith(DRAFT)):
                draft.unlink(missing_ok=True)
            for path in every:  # the checksum of some images after them
                if KEPT.fullmatch(path.name) and not path.name.startswith(files):
                    _remove(path)


def _remove(path: Path) -> None:
    """Remove a file of images that no process has mapped, or the checksum of one that is gone."""
    if path.suffix == ".npy" and stat.S_ISREG(path.lstat().st_mode):
        with path.open("rb+") as file:  # on NFS, only what may be written to can be locked so
            if _locked(file, alone=True):
                path.unlink()
    elif path.suffix == ".npy" or not path.with_suffix(".npy").exists():
        path.unlink(missing_ok=True)


def _locked(file: IO[bytes], *, alone: bool = False) -> bool:
    """Lock a file until all that holds it open is gone, a map too; say whether that could be done.

    alone: against all others, not only against those that want it alone. Where the file system has
    no locks, it counts as done.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


def _save(path: Path, count: int, chunks: Iterable[Images]) -> None:
    """Write [count, C, H, W] as NumPy would, without ever holding all of it."""
    with path.open("wb") as file:
        for place, chunk in enumerate(chunks):
            if place == 0:
                shape = {"shape": (count, *chunk.shape[1:]), "fortran_order": False, "descr": "|u1"}
                np.lib.format.write_array_header_1_0(file, shape)
            file.write(chunk.data)
