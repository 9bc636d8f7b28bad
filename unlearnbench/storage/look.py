"""What a look at a finished run's files shows: whether they are as they were written."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unlearnbench.files import UnsoundError, opened
from unlearnbench.storage.records import WEIGHTS, PoolSize, check_arrays, largest


@dataclass(frozen=True)
class Looked:
    """Hold what a look at a finished run's files has shown.

    damage: what is wrong with them; text: a checksum of the record as it is written; data: digest
    of its data; labels: a checksum of those of its signals, None where it has none; files, pruned:
    checksums by name.
    """

    damage: str | None
    text: str = ""
    data: str | None = None
    pool: PoolSize | None = None
    labels: int | None = None
    split: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    pruned: Mapping[str, str] = field(default_factory=dict)


def mismatch(
    folder: Path, path: Path, name: str, expected: str, of: PoolSize
) -> tuple[str | None, int | None]:
    """Say what is wrong with a file that a record names; return what `check_arrays` does."""
    place, labels = path.relative_to(folder), None
    try:
        with opened(path, folder, largest(name, of)) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                return f"{place} is not what was written", None
            if name != WEIGHTS:
                labels = check_arrays(name, file, of)
    except (FileNotFoundError, NotADirectoryError):
        return f"{place} is missing", None
    except UnsoundError as error:
        return f"{place} {error}", None
    except OSError as error:
        return f"{place} cannot be read ({error.strerror})", None
    return None, labels
