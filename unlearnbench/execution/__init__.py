"""Make one model, and read its signals. Knows no terminal and no folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unlearnbench.registry import Plugin

Feeding = Literal["auto", "resident", "streamed"]
"""Where images are: all on the device, or in host memory or a file; auto: as memory allows."""


@dataclass(frozen=True)
class GivenFile:
    """Name a file of weights that were made elsewhere.

    members: of a reference, what names the samples that it was trained on, test samples too.
    """

    path: Path
    members: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Workplace:
    """Hold what all runs have in common: where data are, and the user's plugins.

    profile: note where the time of each run goes, at the price of a device that waits after each
    step; digest: that the data must have, those of earlier runs, None if there are none; lists:
    what lists of samples name, by their digest; given: files of models made elsewhere, by theirs;
    images: where they are, which changes no result; handed: folder in which the main process has
    put the data that it read, None where each worker reads for itself.
    """

    data_root: Path
    plugins: tuple[Plugin, ...] = ()
    profile: bool = False
    digest: str | None = None
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    given: Mapping[str, GivenFile] = field(default_factory=dict)
    images: Feeding = "auto"
    handed: Path | None = None
