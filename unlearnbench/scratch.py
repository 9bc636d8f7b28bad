"""Folders for what is kept while a process lives, swept by a later one where it was killed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "unlearnbench-"
OURS = re.compile(rf"{PREFIX}(\d+)-\w+")
"""What the folders are called: whose they are, then anything."""


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder of this process's own, and remove it; what dead processes left goes too."""
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(
        prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _sweep(place: Path) -> None:
    """Remove our folders of this user's processes that are no more."""
    for path in place.glob(f"{PREFIX}*"):
        named = OURS.fullmatch(path.name)
        if named and not _alive(int(named[1])):
            shutil.rmtree(path, ignore_errors=True)  # which follows no link, and may not be ours


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    return True
