"""Make one model, and read its signals. Knows no terminal and no folder."""

from dataclasses import dataclass
from pathlib import Path

from unlearnbench.registry import Plugin


@dataclass(frozen=True)
class Workplace:
    """Hold what all runs have in common: where data are, and the user's plugins.

    profile: note where the time of each run goes, at the price of a device that waits after each
    step; digest: that the data must have, those of earlier runs, None if there are none.
    """

    data_root: Path
    plugins: tuple[Plugin, ...] = ()
    profile: bool = False
    digest: str | None = None
