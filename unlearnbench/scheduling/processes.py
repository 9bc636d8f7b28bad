"""The process of each slot. Only this file knows loky."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from joblib.externals.loky import process_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import ProcessPoolExecutor, ShutdownExecutorError

from unlearnbench.scheduling.slots import Slot
from unlearnbench.scratch import scratch

R = TypeVar("R")

WORKERS = {
    # as many workers as cores: more threads would fight
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",  # of macOS, which heeds none of the others
}
"""Variables of a worker's environment."""


FILES, SPARE = 10, 128
"""Files that this process holds open for each slot, its lease included, and for all else."""


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
        self.fresh = True
        self._executor: ProcessPoolExecutor | None = None
        self._task: Future[Any] | None = None

    def submit(self, work: Callable[[Any, Slot], R], job: Any) -> Future[R]:
        """Run `work` in the slot's process; its future raises one of LOST if that is killed."""
        try:
            task: Future[R] = self._started().submit(work, job, self.slot)
        except LOST:  # the process died when it had nothing to do, which costs no job
            self.stop()
            task = self._started().submit(work, job, self.slot)
        self._task = task
        return task

    def _started(self) -> ProcessPoolExecutor:
        self.fresh = self._executor is None
        if self._executor is None:
            _track_quietly()
            self._executor = ProcessPoolExecutor(
                max_workers=1, initializer=_begin, initargs=(os.getpid(),), env=WORKERS
            )
        return self._executor

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
    # Importing torch makes a million objects that stay: a seventh of it was looking for garbage.
    gc.set_threshold(10_000)
    # Where psutil is installed loky replaces a process that has grown by 300 MB, which is what
    # loading CUDA and a data set take: each first run would be followed by a start from nothing.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    # loky's own way to start processes is for those of loky; loaders of plugins take the usual one
    multiprocessing.set_start_method(None, force=True)
    if sys.platform == "linux":
        # Also where the thread below gets no turn, as in C code that keeps Python's lock.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    keep_pages()
    threading.Thread(target=_die_with, args=(main,), daemon=True).start()


PR_SET_PDEATHSIG = 1
"""From Linux's <sys/prctl.h>: which signal a process is sent when its parent ends."""


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's <malloc.h>: how many free bytes are given back, of the heap's end and of a block."""


def keep_pages() -> None:
    """Have this process keep the memory that it frees.

    Else glibc gives large blocks back at once, and each step of training waits for fresh pages.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    # glibc before 2.35 takes 32 MB at most, and once its other limit is set would stay at 128 KB.
    if adjust and (adjust(M_MMAP_THRESHOLD, 256 << 20) or adjust(M_MMAP_THRESHOLD, 32 << 20)):
        adjust(M_TRIM_THRESHOLD, sys.maxsize >> 32)


def _die_with(parent: int) -> None:
    """End this worker when its main process has been killed: it would keep its device for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


@contextmanager
def open_workers(devices: list[str], jobs_per_device: int) -> Iterator[list[Worker]]:
    """Make the workers of this machine for as long as the block lasts; none starts yet."""
    _allow_files(FILES * len(devices) * jobs_per_device + SPARE)
    with scratch() as folder:
        names = [device for device in devices for _ in range(jobs_per_device)]
        yield [Worker(Slot(folder / f"{n}.json", name)) for n, name in enumerate(names)]


def _allow_files(wanted: int) -> None:
    """Let this process have so many files open, as far as it may decide that itself.

    Where a shell sets no other limit, macOS gives it 256 and Linux 1024: too few for a slot a core.
    """
    import resource  # which Windows has not

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
