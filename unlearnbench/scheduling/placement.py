"""Which devices are used, and how many runs each takes at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unlearnbench import environment
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Plan
from unlearnbench.storage.store import Store

OVERHEAD = 600
"""MB that a process takes on a GPU before it has allocated anything."""
SHARE = 0.9
"""Share of a device's memory that is given out; allocators do not fill it to the last byte."""


@dataclass
class Capacity:
    """Say which runs fit beside each other.

    The first run of a kind has a device to itself, and shows what it needs; devices whose memory is
    not given hold as many runs as they have slots. memory: MB of each device; needs: MB that runs
    of each kind have needed.
    """

    memory: Mapping[str, int] = field(default_factory=dict)
    needs: dict[str, int] = field(default_factory=dict)

    def learn(self, kind: str, memory: int) -> None:
        """Note the peak memory, in MB, of a run of a kind; the largest counts."""
        self.needs[kind] = max(memory, self.needs.get(kind, 0))

    def fits(self, kind: str, neighbours: Sequence[str], device: str) -> bool:
        """Say whether a run of one kind may start on a device beside runs of the kinds given."""
        if device not in self.memory or not neighbours:
            return True
        needs = [self.needs.get(one) for one in (kind, *neighbours)]
        known = [need + OVERHEAD for need in needs if need is not None]
        return len(known) == len(needs) and sum(known) <= SHARE * self.memory[device]


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
        there = ["cpu", *(environment.gpus() if set(self.devices) - {"cpu"} else [])]
        for device in self.devices:
            if device not in there:
                hint = f"This machine has {', '.join(there)}."
                raise UserError(f"There is no device '{device}' here.", hint)

    def capacity(self, plan: Plan, store: Store) -> Capacity:
        """Say what fits on each GPU, from its memory and what finished runs have needed of one."""
        gpus = self.gpus if self.measured else []
        capacity = Capacity({device: environment.memory(device) for device in gpus})
        for run, node in plan.nodes.items() if gpus else ():
            record = store.record(run) if store.done(run) else None
            if record and record["environment"]["device"].startswith("cuda"):
                capacity.learn(node.label, record["peak memory MB"])
        return capacity


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
