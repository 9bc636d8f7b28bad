"""Folders for what is kept while a process lives, swept by a later one where it was killed."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

PREFIX, LOCK = "unlearnbench-", ".lock"


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder of this process's own, and remove it; what dead processes left goes too.

    A file beside it, of the same name, is locked before the folder is made. The system lets go of
    the lock when the process ends, however that ends. A process number would not do: one that lives
    in another container has none here. Where the file system has no locks, as some of clusters,
    nothing that was left can be told from what is used, and stays.
    """
    place = Path(tempfile.gettempdir())
    _sweep(place)
    folder = place / f"{PREFIX}{os.getpid()}-{uuid4().hex[:8]}"
    lock = folder.with_name(folder.name + LOCK)
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(FileLock(lock))
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder, lock)


def _sweep(place: Path) -> None:
    """Remove our folders of this user's processes that are no more."""
    for lock in place.glob(f"{PREFIX}*{LOCK}"):
        with suppress(Timeout, OSError):
            if _own(lock):
                with FileLock(lock, timeout=0):
                    _remove(lock.with_suffix(""), lock)


def _remove(folder: Path, lock: Path) -> None:
    """Remove a folder, then the file beside it that says whose it is; the caller holds its lock."""
    shutil.rmtree(folder, ignore_errors=True)  # which follows no link
    if not folder.exists():
        with suppress(OSError):  # Windows removes no file that is open
            lock.unlink()


def _own(lock: Path) -> bool:
    """Say whether this user made a file, and it is no link: others write to this place as well."""
    about = lock.lstat()
    return stat.S_ISREG(about.st_mode) and (
        not hasattr(os, "getuid") or about.st_uid == os.getuid()
    )
