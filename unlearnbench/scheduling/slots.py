"""Device slots, the jobs that they are given, and what is known of each while it works."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from unlearnbench.execution import Workplace
from unlearnbench.planning.plan import Node


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
