"""The table of samples beside results, and what names of files in it say of classes."""

import csv
from io import TextIOWrapper
from pathlib import Path, PurePosixPath

from unlearnbench.files import UnsoundError, opened
from unlearnbench.storage.sealed import MOST

FILE = "samples.csv"
INSIDE = 3
"""Parts that the name of a file in a folder of its class has: part, class, file."""
LONGEST = 40
"""Letters of a class's name that are kept."""


def folder_classes(results: Path) -> list[str]:
    """Return the names of classes, by label: those of the folders that their images lie in.

    Of classes that were merged, all names. Empty where samples are no files in folders of classes,
    and where there is no table of them that can be read: `sealed.wrong` says of one why not.
    """
    folders: dict[int, dict[str, None]] = {}
    try:
        file = opened(results / FILE, results, MOST)
        with TextIOWrapper(file, encoding="utf-8", newline="") as text:
            rows = csv.reader(text)
            head = next(rows, [])
            file_at, label_at, seen = head.index("file"), head.index("label"), set()
            for row in filter(None, rows):
                inside = row[file_at].rpartition("/")[0], row[label_at]
                if inside in seen:  # there may be a million files, of a few folders
                    continue
                seen.add(inside)
                parts = PurePosixPath(row[file_at]).parts
                if len(parts) < INSIDE:
                    return []
                folders.setdefault(int(row[label_at]), {})[_shown(parts[1])] = None
    except (OSError, UnsoundError, ValueError, IndexError, csv.Error):
        return []
    every = [name for names in folders.values() for name in names]
    if sorted(folders) != list(range(len(folders))) or len(every) != len(set(every)):
        return []
    return ["/".join(sorted(folders[label])) for label in sorted(folders)]


def _shown(name: str) -> str:
    """Return a folder's name as text that any page can hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:LONGEST]
