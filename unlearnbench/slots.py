"""Device slots: which worker may use which device, and what it is doing there."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class Activity:
    """Say what a slot is busy with, for the display."""

    run: str
    label: str
    epoch: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Slot:
    """Name a device that one worker at a time may use; several slots may share a device."""

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

    @property
    def lock(self) -> Path:
        """The file whose lock the owner holds; the system frees it when the owner dies."""
        return self.folder / f"{self.index}.lock"


_mine: Slot | None = None
_held: FileLock | None = None


def claim(slots: list[Slot], main: int) -> None:
    """Take a free slot for the life of this worker (the pool's initializer); `main` started it."""
    global _mine, _held
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    threading.Thread(target=_die_with, args=(main,), daemon=True).start()
    import torch

    torch.set_num_threads(1)  # as many workers as cores: more threads would fight
    deadline = time.monotonic() + 30  # a dead owner's lock is freed when the system has buried it
    while time.monotonic() < deadline:
        for slot in slots:
            lock = FileLock(slot.lock)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _mine, _held = slot, lock
            if slot.device.startswith("cuda"):
                torch.cuda.set_device(slot.device)
            return
        time.sleep(0.05)
    raise RuntimeError("more workers than device slots")


def _die_with(parent: int) -> None:
    """End this worker when its main process has been killed: it would keep its device for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def mine() -> Slot:
    """Return the slot of this worker."""
    if _mine is None:
        raise RuntimeError("this process has claimed no slot")
    return _mine
