"""Device slots: one worker process each, and what it is doing there."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from loky.process_executor import ProcessPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""There are as many workers as cores: more threads would fight."""


@dataclass(frozen=True)
class Activity:
    """Say what a slot is busy with, for the display."""

    run: str
    label: str
    epoch: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Slot:
    """Name a place where one run at a time may be; several may share a device."""

    folder: Path
    index: int
    device: str

    def busy(self, activity: Activity) -> None:
        """Tell the display what is going on."""
        self._file.write_text(json.dumps(asdict(activity)))

    def idle(self) -> None:
        """Tell the display that nothing is."""
        self._file.unlink(missing_ok=True)

    def activity(self) -> Activity | None:
        """Read what the slot is doing; None if nothing, or if it is just being written."""
        try:
            return Activity(**json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return None

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.index}.json"


class Worker:
    """Keep the one process of a slot, started when first needed and again after it has died.

    A pool of several would have to be given up whole when one of its processes dies, and could not
    say which run killed it.
    """

    def __init__(self, slot: Slot) -> None:
        """Prepare; no process starts yet."""
        self.slot = slot
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, work: Callable[[T], R], job: T) -> Future[R]:
        """Run `work` in the slot's process."""
        if self._executor is None:
            # loky replaces a process whose memory has grown: as it should, and no news for a user.
            warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)
            self._executor = ProcessPoolExecutor(
                max_workers=1,
                initializer=_begin,
                initargs=(self.slot, os.getpid()),
                env=ONE_THREAD,
            )
        future: Future[R] = self._executor.submit(work, job)
        return future

    def stop(self) -> None:
        """End the process, whatever it is doing; a later job starts a fresh one."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None
        self.slot.idle()


_mine: Slot | None = None


def _begin(slot: Slot, main: int) -> None:
    """Prepare this process, which `main` started, for the jobs of a slot."""
    take_over(slot)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    threading.Thread(target=_die_with, args=(main,), daemon=True).start()


def _die_with(parent: int) -> None:
    """End this worker when its main process has been killed: it would keep its device for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def take_over(slot: Slot) -> None:
    """Make a slot this process's own, for as long as it lives."""
    global _mine
    _mine = slot


def taken() -> bool:
    """Say whether this process has a slot."""
    return _mine is not None


def mine() -> Slot:
    """Return the slot of this worker."""
    if _mine is None:
        raise RuntimeError("this process has no slot")
    return _mine
