"""Write and remove in a results folder, which anyone may have made: nothing behind a link.

No other file of this package writes there, or removes anything.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path

from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT, refuse_link, write, write_bytes, write_text

OURS = re.compile(
    r"runs/[^/]+-[0-9a-f]{12}"
    r"|models/[0-9a-f]{12}\.safetensors"
    r"|splits/[0-9a-f]{12}\.npz"
    r"|(sealed/)?(benchmark\.toml|methods\.json|plugins\.json|samples\.csv)"
    r"|earlier/(sealed/)?[0-9a-f]{6}\.toml"
    r"|runs/[^/]+-[0-9a-f]{12}/error\.txt"
    rf"|(.+/)?{re.escape(DRAFT)}[0-9a-f]{{32}}-[^/]+"
)
"""Names of what may be removed in a results folder. It may be a link to a folder of another kind,
which has files of its own."""
SIGNS = {"runs", "sealed", "benchmark.toml", "findings.json"}
"""What there is one of in a results folder before anything else."""


def put_file(path: Path, folder: Path, save: Callable[[Path], object]) -> str:
    """Write a file of a results folder as `write` does. Raises UserError as `_own` too."""
    return write(_own(path, folder), save)


def put_text(path: Path, folder: Path, text: str) -> None:
    """Write a text of a results folder; raises as `put_file` does."""
    write_text(_own(path, folder), text)


def put_bytes(path: Path, folder: Path, data: bytes) -> None:
    """Write a file of a results folder; raises as `put_file` does."""
    write_bytes(_own(path, folder), data)


def ours(paths: Iterable[Path], folder: Path) -> list[Path]:
    """Return those paths in a results folder whose names are of what is written there."""
    return [path for path in paths if OURS.fullmatch(path.relative_to(folder).as_posix())]


def remove(path: Path, folder: Path) -> None:
    """Remove what is `ours` of a results folder, if it is there; of a link, the link itself.

    Raises UserError where it lies behind a link, or is not ours.
    """
    if not ours([_own(path, folder)], folder):
        raise UserError(f"{path} is nothing that is written in a results folder: it stays.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _own(path: Path, folder: Path) -> Path:
    """Return a path. Raises UserError where it lies outside a results folder, or behind a link."""
    below = path.relative_to(folder)
    if ".." in below.parts:
        raise UserError(f"{path} lies outside {folder}.")
    for place in below.parents:
        if place.parts:
            refuse_link(folder / place)
    return path


def require_own(folder: Path) -> None:
    """Raise UserError where nothing is to be written in a folder, before anything is made.

    That is where it has files of another kind and no results: it may be one to which somebody's
    link leads. Or where a folder in it, or in one of these, is a link: results lie no deeper.
    """
    own = _entries(folder)
    names = {entry.name for entry in own} - {"leases", ".DS_Store"}  # as macOS leaves anywhere
    if names and not names & SIGNS:
        problem = f"{folder} holds no results, but other files, such as {min(names)}."
        raise UserError(problem, "Name another folder for the results.")
    rooms = [entry for entry in own if entry.is_dir(follow_symlinks=False)]
    for entry in chain(own, *map(_entries, rooms)):
        path = Path(entry)
        if entry.is_symlink() and (path.is_dir() or not path.exists()):
            refuse_link(path)


def _entries(folder: os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
