"""Which process makes which run, where several share a results folder."""

from __future__ import annotations

from pathlib import Path

from filelock import SoftFileLease, Timeout

LEASE = 60.0
"""Seconds without a sign of life after which a run is anybody's again; on one machine at once.

Counted by the clock of whoever waits, so that clocks may differ or jump. Should an owner come back
to life later, two make the same run, and store the same record.
"""


class Leases:
    """Hold leases on runs for one process; each shows signs of life until it is released."""

    def __init__(self, folder: Path) -> None:
        """Keep the leases in `folder`."""
        self.folder = folder
        self._known: dict[str, SoftFileLease] = {}
        self._held: set[str] = set()

    def take(self, run: str) -> bool:
        """Take a lease on a run; False if another process has it.

        Asked repeatedly, it finds a dead owner.
        """
        if run not in self._known:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._known[run] = SoftFileLease(self.folder / run, lease_duration=LEASE)
        try:
            self._known[run].acquire(timeout=0)
        except Timeout:
            return False
        self._held.add(run)
        return True

    def drop(self, run: str) -> None:
        """Release a lease."""
        if run in self._held:
            self._known.pop(run).release()
            self._held.discard(run)

    def drop_all(self) -> None:
        """Release every lease."""
        for run in list(self._held):
            self.drop(run)

    def sweep(self) -> None:
        """Clear away what dead processes of this machine have left."""
        for path in self.folder.glob("[!.]*"):
            if self.take(path.name):
                self.drop(path.name)
