"""Folders for what is kept while a process lives, swept by a later one where it was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "unlearnbench-"
HELD = "held"
"""The file in each folder that its process locks.

The system lets go of the lock when the process ends, however that ends. A process number would not
do: one that lives in another container has none here.
"""


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder of this process's own, and remove it; what dead processes left goes too."""
    _sweep(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
        ) as folder,
        FileLock(Path(folder, HELD)),
    ):
        yield Path(folder)


def _sweep(place: Path) -> None:
    """Remove our folders of this user's processes that are no more."""
    for held in place.glob(f"{PREFIX}*/{HELD}"):
        with suppress(Timeout, OSError):
            if _own(held.parent):
                with FileLock(held, timeout=0):
                    shutil.rmtree(held.parent, ignore_errors=True)


def _own(folder: Path) -> bool:
    """Say whether this user made a folder; in one of somebody else anything may be a link."""
    return not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
