"""Processes that tests start, ended with their test whatever becomes of it; limits of this one."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASK = "from distributed.cli.dask_{0} import main; main()"


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds, or so many seconds; say whether it does."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def alive(group: int) -> bool:
    """Say whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def started(
    words: Sequence[str], folder: Path, said: Path = Path(os.devnull), **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a group of processes that is ended with the block, or before.

    said: a file for what it prints, which is no pipe to fill up, or to wait at.
    """
    with (
        said.open("wb") as file,
        subprocess.Popen(
            words,
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        ) as process,
    ):
        try:
            yield process
        finally:
            if alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Dask:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[Dask]:
    """Start a scheduler of Dask and so many workers of one slot each, and wait for them."""
    from distributed import Client

    file = folder / "scheduler.json"

    def address() -> str:
        with suppress(OSError, ValueError):  # it is written in place, and may be half there
            return str(json.loads(file.read_text())["address"])
        return ""

    with ExitStack() as block:

        def start(what: str, *more: str) -> subprocess.Popen[bytes]:
            line = [sys.executable, "-c", DASK.format(what), *more, "--no-dashboard"]
            return block.enter_context(started(line, folder))

        place = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
        scheduler = start("scheduler", *place)
        assert wait_for(lambda: bool(address())), "no Dask scheduler started"
        slots = ["--nthreads", "1", "--resources", "slot=1", "--local-directory", str(folder)]
        made = [start("worker", address(), *slots) for _ in range(workers)]
        with Client(address()) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(workers, timeout=120)
        yield Dask(address(), scheduler, made)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have the system refuse this process files larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
