"""Which devices are used, and how many runs each takes at once."""

from __future__ import annotations

from unlearnbench import environment
from unlearnbench.capacity import Capacity
from unlearnbench.errors import UserError
from unlearnbench.plan import Plan
from unlearnbench.store import Store

MOST_ON_A_GPU = 4
"""Runs at once on a GPU if its memory allows; more than a few only take turns."""


def choose(devices: str, jobs_per_device: int | None) -> tuple[list[str], int]:
    """Return the devices to use and how many runs each takes at once, memory permitting.

    devices: auto, or names separated by commas; jobs_per_device None: on the CPU one a core.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if names == ["auto"]:
        names = environment.devices()
    names = ["cuda:0" if name == "cuda" else name for name in names]
    if jobs_per_device:
        return names, jobs_per_device
    return names, environment.cores() if names == ["cpu"] else MOST_ON_A_GPU


def require(devices: list[str]) -> None:
    """Raise UserError for a device that this machine lacks."""
    if set(devices) - {"cpu"}:
        there = ["cpu", *environment.gpus()]
        for device in devices:
            if device not in there:
                hint = f"This machine has {', '.join(there)}."
                raise UserError(f"There is no device '{device}' here.", hint)


def capacity(devices: list[str], plan: Plan, store: Store) -> Capacity:
    """Say what fits on each GPU, from its memory and what finished runs have needed of one."""
    gpus = [device for device in devices if device.startswith("cuda")]
    made = Capacity({device: environment.memory(device) for device in gpus})
    for run, node in plan.nodes.items() if gpus else ():
        if store.done(run):
            record = store.record(run)
            if str(record["environment"]["device"]).startswith("cuda"):
                made.learn(node.label, record["peak memory MB"])
    return made
