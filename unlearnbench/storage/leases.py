"""Leases: which process makes which run of a folder that several work in."""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from unlearnbench.errors import UserError
from unlearnbench.files import abandoned, refuse_link

LEASE = 60.0
"""Seconds without a sign of life after which a run is anybody's again; on one machine at once.

Counted by the clock of whoever waits, so that clocks may differ or jump. Should an owner come back
to life later, two make the same run, and store the same record.
"""
ASKED = "asked"
"""The lease on what was asked of a folder: held while that is read, changed and written."""
OURS = re.compile(rf"{ASKED}|[0-9a-f]{{12}}")
"""Names of leases: of what was asked of a folder, and of runs. No other file is one."""
LOOK = 0.05
"""Seconds between two looks at what another holds for moments."""


class LeaseLostError(UserError):
    """Say that a lease which this process had is another's: it gave no sign of life for long."""


class Leases:
    """Say which process makes which run of a shared folder; what it holds shows signs of life."""

    def __init__(self, folder: Path) -> None:
        """Keep the leases in `folder`."""
        self.folder = folder
        self._known: dict[str, SoftFileLease] = {}
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}
        self._reclaimed: list[str] = []

    def take(self, run: str) -> bool:
        """Take a lease on a run; False if another has it, of whom it learns in time if it died.

        Raises UserError where the folder of leases is a link: a lease that is dead is removed. One
        that this process has may be taken once more; raises as `require` does.
        """
        refuse_link(self.folder)
        self.require(run)
        if run not in self._known:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._known[run] = SoftFileLease(self.folder / run, lease_duration=LEASE)
        quiet = self._quiet(run) if run in self._seen else 0.0
        left_by = self.holder(run) if quiet >= LEASE else ""
        taken = self._acquired(run)
        if not taken and left_by and self._quiet(run) >= LEASE:  # nobody else has it by now
            # It gives back only what it can read: not what a power cut has emptied.
            self._known[run].break_lock()
            taken = self._acquired(run)
        if not taken:
            self._quiet(run)
        elif left_by:
            lease = self.folder / run
            self._reclaimed.append(f"Took over {lease}, left by {left_by}, which is no more.")
        return taken

    def _acquired(self, run: str) -> bool:
        with suppress(Timeout, LeaseSettingsMismatch):  # of another version, which has it
            self._known[run].acquire(timeout=0)
            return True
        return False

    def _quiet(self, run: str) -> float:
        """Return for how many seconds a lease of another has shown no sign of life to this process.

        Whatever it says: its holder touches the file at every third of LEASE.
        """
        try:
            about = (self.folder / run).lstat()
        except FileNotFoundError:
            return 0.0
        marks, now = (about.st_ino, about.st_mtime_ns, about.st_ctime_ns), time.monotonic()
        before, since = self._seen.get(run, (None, now))
        if before != marks:
            self._seen[run] = marks, now
            return 0.0
        return now - since

    def require(self, run: str) -> None:
        """Raise LeaseLostError where another process has taken a lease that this one took.

        So it is where this process was stopped, or the computer slept. What was read since the
        lease was taken may have changed, so nothing that follows from it is to be written.
        """
        if self.has(run):
            lease = self._known[run]
            owner = lease.owner
            if owner is None or owner.token != lease.token:
                problem = f"Another process took over {self.folder / run} while this one slept."
                raise LeaseLostError(problem, "Type the same command again.")

    def has(self, run: str) -> bool:
        """Say whether this process took a lease and has not dropped it."""
        return run in self._known and self._known[run].is_locked

    def is_held(self, run: str) -> bool:
        """Say whether any process has a lease on a run, alive or not."""
        return (self.folder / run).exists()

    def in_use(self) -> bool:
        """Say whether any lease has shown a sign of life since this was asked LEASE ago."""
        quiet = [self._quiet(name) for name in self._names()]
        return min(quiet, default=LEASE) < LEASE

    def holder(self, run: str) -> str:
        """Say for people who has a lease."""
        owner = self._known[run].owner
        return f"process {owner.pid} on {owner.hostname}" if owner else "a process without a name"

    def holders(self, runs: Collection[str]) -> str:
        """Say for people who has leases, each once, that were asked for in vain."""
        return ", ".join(dict.fromkeys(map(self.holder, runs)))

    def reclaimed(self) -> list[str]:
        """Return, a line each, which leases were taken from owners that are no more; once."""
        lines, self._reclaimed = self._reclaimed, []
        return lines

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Have a lease on a thing that is held for moments only, waiting for others to drop theirs.

        Within, it may be held once more. Raises UserError, naming the file of the lease, where
        another keeps it, alive, for two minutes.
        """
        deadline = time.monotonic() + 2 * LEASE
        while not self.take(name):
            if time.monotonic() > deadline:
                problem = (
                    f"Another process is changing {self.folder.parent} and does not come to an end."
                )
                hint = f"If none is running, remove {self.folder / name}."
                raise UserError(problem, hint)
            time.sleep(LOOK)
        try:
            yield
        finally:
            self.drop(name)

    def drop(self, run: str) -> None:
        """Release a lease as often as it was taken."""
        self._seen.pop(run, None)
        self._known[run].release()
        if not self._known[run].is_locked:
            del self._known[run]

    def drop_all(self) -> None:
        """Release every lease, and clear away what dead processes of this machine have left."""
        for lease in self._known.values():
            lease.release()  # which does nothing for one that another process has
        self.of_others()

    def of_others(self) -> set[str]:
        """Return on what living processes have leases; clear away what dead ones have left.

        One of another machine counts as dead where it has shown no sign of life for long.
        """
        living = set()
        for name in self._names():
            if self.take(name):
                self.drop(name)
            elif not abandoned([self.folder / name]):
                living.add(name)
        return living

    def _names(self) -> list[str]:
        """Return on what there are leases."""
        return [path.name for path in self.folder.glob("*") if OURS.fullmatch(path.name)]
