"""What scheduler and workers tell each other: a job to do, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unlearnbench.planning.plan import Node


@dataclass(frozen=True)
class Job:
    """Hold all that a worker needs; nothing in it is a model or a method object.

    digest: of the data that finished runs were made of, None if there are none.
    """

    node: Node
    results: Path
    data_root: Path
    plugins: tuple[Path, ...]
    profile: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class Event:
    """Report the end of one node, or of one try at it.

    done; failed; blocked by the failure of one it needs; again: to be tried once more, alone on its
    device. memory: peak in MB, None if not known; exhausted: it failed for want of memory; fatal:
    for want of room to write, or of its data, so that no other run can be made either.
    """

    status: Literal["done", "failed", "blocked", "again"]
    run: str
    label: str
    seconds: float
    message: str = ""
    memory: int | None = None
    exhausted: bool = False
    fatal: bool = False
