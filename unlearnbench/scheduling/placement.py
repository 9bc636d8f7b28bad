"""Which devices are used, and how many runs each takes at once."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnbench import environment
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Plan
from unlearnbench.scheduling.capacity import Capacity
from unlearnbench.storage.store import Store

MOST_ON_A_GPU = 4
"""Runs at once on a GPU if its memory allows; more than a few only take turns."""


@dataclass(frozen=True)
class Placement:
    """Name the devices to use, and how many runs each takes at once.

    measured: a GPU takes fewer where its memory does not allow so many.
    """

    devices: list[str]
    jobs: int
    measured: bool

    @property
    def slots(self) -> int:
        """How many runs there may be at once."""
        return max(1, len(self.devices) * self.jobs)

    @property
    def gpus(self) -> list[str]:
        """The GPUs among the devices."""
        return [device for device in self.devices if device.startswith("cuda")]

    def require(self) -> None:
        """Raise UserError for a device that this machine lacks."""
        if set(self.devices) - {"cpu"}:
            there = ["cpu", *environment.gpus()]
            for device in self.devices:
                if device not in there:
                    hint = f"This machine has {', '.join(there)}."
                    raise UserError(f"There is no device '{device}' here.", hint)

    def capacity(self, plan: Plan, store: Store) -> Capacity:
        """Say what fits on each GPU, from its memory and what finished runs have needed of one."""
        if not self.measured:
            return Capacity()
        made = Capacity({device: environment.memory(device) for device in self.gpus})
        for run, node in plan.nodes.items() if self.gpus else ():
            if store.done(run):
                record = store.record(run)
                if str(record["environment"]["device"]).startswith("cuda"):
                    made.learn(node.label, record["peak memory MB"])
        return made


def choose(devices: str, jobs_per_device: int | None) -> Placement:
    """Choose the devices to use.

    devices: auto, or names separated by commas; jobs_per_device None: on the CPU one a core.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if names == ["auto"]:
        names = environment.devices()
    names = ["cuda:0" if name == "cuda" else name for name in names]
    usual = environment.cores() if names == ["cpu"] else MOST_ON_A_GPU
    return Placement(names, jobs_per_device or usual, measured=jobs_per_device is None)
