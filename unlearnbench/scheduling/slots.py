"""Device slots: one worker process each, and what it is doing there. Only this file knows loky."""

import ctypes
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from joblib.externals.loky import process_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import ProcessPoolExecutor, ShutdownExecutorError

from unlearnbench.execution import Workplace
from unlearnbench.planning.plan import Node
from unlearnbench.scratch import scratch


@dataclass(frozen=True)
class Job:
    """Hold all that a worker needs; nothing in it is a model or a method object."""

    node: Node
    results: Path
    workplace: Workplace


@dataclass(frozen=True)
class Event:
    """Report the end of one node, or of one try at it.

    done; failed; blocked by the failure of one it needs; again: to be tried once more, alone on its
    device. memory: peak in MB, None if not known; exhausted: it ran out of memory; fatal:
    no room to write, or its data are missing, so that no other run can be made either; trace: the
    mean loss of each epoch, and accuracies if the benchmark asks for `curves`.
    """

    status: Literal["done", "failed", "blocked", "again"]
    run: str
    label: str
    seconds: float
    message: str = ""
    memory: int | None = None
    exhausted: bool = False
    fatal: bool = False
    trace: Sequence[Mapping[str, float]] = ()
    stuck: tuple[str, ...] = ()
    """What a plugin left changed in its worker that could not be put back."""
    device: str = ""
    neighbours: float | None = None
    """How many other runs its device had meanwhile, on average; None if not known."""


R = TypeVar("R")

WORKERS = {
    # as many workers as cores: more threads would fight
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc gives large blocks back at once, and each step would wait for fresh pages
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}
"""Variables of a worker's environment."""


@dataclass(frozen=True)
class Activity:
    """Say what a slot is busy with, for the display."""

    run: str
    label: str
    epoch: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Slot:
    """Name a place where one run at a time may be; several may share a device.

    file: in a folder of our own; what the display is told lies there, None if there is no display.
    Where it cannot be written, as its folder is gone, that is no reason to end a run.
    """

    file: Path | None
    device: str

    def enter(self) -> float:
        """Note that a run begins here; return when, for `neighbours`."""
        now = time.monotonic()
        self._log("+", now)
        return now

    def neighbours(self, since: float) -> float | None:
        """Return how many other runs the device had since then, on average; None if not known."""
        log, now = self._presence, time.monotonic()
        if self.file is None or log is None or not log.exists():
            return None
        there, took = 0.0, max(now - since, 1e-9)
        begun: dict[str, float] = {}
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            if not (line.endswith("\n") and line.count(" ") == 2):
                continue  # torn, as where the disk was full
            sign, at, who = line.split()
            if who == self.file.name:
                continue
            if sign == "+":
                begun[who] = float(at)
            elif who in begun:
                there += max(0.0, float(at) - max(begun.pop(who), since))
        there += sum(now - max(at, since) for at in begun.values())
        return round(there / took, 3)

    @property
    def _presence(self) -> Path | None:
        """Where the slots of this device note when runs begin and end."""
        name = re.sub(r"\W", "-", self.device)
        return None if self.file is None else self.file.with_name(f"{name}.log")

    def _log(self, sign: str, now: float) -> None:
        with suppress(OSError):
            if self._presence is not None and self.file is not None:
                with self._presence.open("a", encoding="utf-8") as log:
                    log.write(f"{sign} {now} {self.file.name}\n")  # one write: lines stay whole

    def busy(self, activity: Activity) -> None:
        """Tell the display what is going on."""
        with suppress(OSError):
            if self.file is not None:
                self.file.write_text(json.dumps(asdict(activity)), encoding="utf-8")

    def idle(self) -> None:
        """Tell the display that nothing is."""
        self._log("-", time.monotonic())
        with suppress(OSError):
            if self.file is not None:
                self.file.unlink()

    def activity(self) -> Activity | None:
        """Read what the slot is doing; None if nothing, or if it is just being written."""
        try:
            said = self.file.read_text(encoding="utf-8") if self.file else None
            return Activity(**json.loads(said)) if said is not None else None
        except (OSError, ValueError, TypeError):
            return None


PATIENCE = 5.0
"""Seconds that a task may take to be taken up by the executor of its slot."""


LOST = (BrokenProcessPool, ShutdownExecutorError, CancelledError)
"""What the future of a job raises that came to nothing, since its process was killed or stopped."""


class Worker:
    """Keep the one process of a slot, started when first needed and again after it has died.

    A pool of several would have to be given up whole when one of its processes dies, and could not
    say which run killed it.
    """

    def __init__(self, slot: Slot) -> None:
        """Prepare; no process starts yet."""
        self.slot = slot
        self._executor: ProcessPoolExecutor | None = None
        self._task: Future[Any] | None = None

    def submit(self, work: Callable[[Any, Slot], R], job: Any) -> Future[R]:
        """Run `work` in the slot's process; its future raises one of LOST if that is killed."""
        if self._executor is None:
            _track_quietly()
            self._executor = ProcessPoolExecutor(
                max_workers=1, initializer=_begin, initargs=(os.getpid(),), env=WORKERS
            )
        task: Future[R] = self._executor.submit(work, job, self.slot)
        self._task = task
        return task

    def stop(self) -> None:
        """End the process, whatever it is doing; a later job starts a fresh one."""
        if self._executor is not None:
            task, deadline = self._task, time.monotonic() + PATIENCE
            while task and not (task.running() or task.done()) and time.monotonic() < deadline:
                time.sleep(0.001)  # loky's thread fails over a task that it has not taken up yet
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = self._task = None
        self.slot.idle()


def _track_quietly() -> None:
    """Start loky's tracker, which removes what killed processes leave, and does not say so.

    It is a process of its own, which takes over the interpreter's warning options.
    """
    options = list(sys.warnoptions)
    sys.warnoptions.append("ignore::UserWarning")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = options


def _begin(main: int) -> None:
    """Prepare this process, which `main` started, for the jobs of a slot."""
    # Where psutil is installed loky replaces a process that has grown by 300 MB, which is what
    # loading CUDA and a data set take: each first run would be followed by a start from nothing.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    # loky's own way to start processes is for those of loky; loaders of plugins take the usual one
    multiprocessing.set_start_method(None, force=True)
    if sys.platform == "linux":
        # Also where the thread below gets no turn, as in C code that keeps Python's lock.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with, args=(main,), daemon=True).start()


PR_SET_PDEATHSIG = 1
"""From Linux's <sys/prctl.h>: which signal a process is sent when its parent ends."""


def _die_with(parent: int) -> None:
    """End this worker when its main process has been killed: it would keep its device for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


@contextmanager
def open_workers(devices: list[str], jobs_per_device: int) -> Iterator[list[Worker]]:
    """Make the workers of this machine for as long as the block lasts; none starts yet."""
    with scratch() as folder:
        names = [device for device in devices for _ in range(jobs_per_device)]
        yield [Worker(Slot(folder / f"{n}.json", name)) for n, name in enumerate(names)]
