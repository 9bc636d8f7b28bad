"""Which devices are used, and how many runs each takes at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from unlearnbench import environment
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Plan
from unlearnbench.storage.store import Store

OVERHEAD = 600
"""MB that a process takes on a GPU before it has allocated anything."""
SHARE = 0.9
"""Share of a device's memory that is given out; allocators do not fill it to the last byte."""


TRAINED, ACTIVATIONS = 16, 4000
"""Bytes that training takes a parameter (weight, gradient, momentum, original), and a number of a
batch of images: a guess on the safe side, what a ResNet-18 keeps for its backward pass."""


def guessed_need(parameters: int, batch: int, image: int, samples: int) -> int:
    """Guess the MB that a run takes on a GPU before any of its kind has shown it.

    image: numbers of one; samples: of the data set, which lies there twice, a byte a number.
    """
    taken = TRAINED * parameters + ACTIVATIONS * batch * image + 2 * samples * image
    return taken // 2**20


@dataclass
class Capacity:
    """Say which runs fit beside each other.

    Devices whose memory is not given hold as many runs as they have slots. memory: MB of each
    device; needs: MB that runs of each kind have needed; guess: MB that runs of any other kind are
    thought to need, None if that is not known, so that the first has its device to itself.
    untimed: kinds none of whose runs has had a GPU to itself so far: their next one has, so that
    there is a time that no neighbour had a part in.
    """

    memory: Mapping[str, int] = field(default_factory=dict)
    needs: dict[str, int] = field(default_factory=dict)
    guess: int | None = None
    untimed: set[str] = field(default_factory=set)

    def learn(self, kind: str, memory: int) -> None:
        """Note the peak memory, in MB, of a run of a kind; the largest counts."""
        self.needs[kind] = max(memory, self.needs.get(kind, 0))

    def fits(self, kind: str, neighbours: Sequence[str], device: str) -> bool:
        """Say whether a run of one kind may start on a device beside runs of the kinds given."""
        if not neighbours:
            return True
        kinds = (kind, *neighbours)
        if device.startswith("cuda") and not self.untimed.isdisjoint(kinds):
            return False
        if device not in self.memory:
            return True
        needs = [self.needs.get(one, self.guess) for one in kinds]
        known = [need + OVERHEAD for need in needs if need is not None]
        return len(known) == len(needs) and sum(known) <= SHARE * self.memory[device]


MOST_ON_A_GPU = 4
"""Runs at once on a GPU if its memory and the machine's cores allow; more only take turns."""


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
    def lanes(self) -> int:
        """How many runs are made in the time of one: one a GPU, whose slots share its speed."""
        return max(1, len(self.gpus) + (len(self.devices) - len(self.gpus)) * self.jobs)

    @property
    def gpus(self) -> list[str]:
        """The GPUs among the devices."""
        return [device for device in self.devices if device.startswith("cuda")]

    def require(self) -> None:
        """Raise UserError for a device that this machine lacks."""
        there = ["cpu", *(environment.gpus() if set(self.devices) - {"cpu"} else [])]
        for device in self.devices:
            if device not in there:
                hint = f"This machine has {', '.join(there)}; runs use CPUs and NVIDIA GPUs."
                raise UserError(f"There is no device '{device}' here.", hint)

    def capacity(self, plan: Plan, store: Store, guess: Callable[[], int | None]) -> Capacity:
        """Say what fits on each GPU, from its memory and what finished runs have needed of one.

        guess: as `Capacity` has it; called where there is a GPU.
        """
        if not self.gpus:
            return Capacity()
        memory = {device: environment.memory(device) for device in self.gpus if self.measured}
        nodes = plan.nodes.values()
        timed = {node.label for node in nodes if node.spec.kind == "unlearn"}
        capacity = Capacity(memory, guess=guess(), untimed=timed)
        for run, node in plan.nodes.items():
            record = store.record(run) if store.done(run) else None
            if record and str(record["environment"].get("device")).startswith("cuda"):
                needed = record.get(environment.RESERVED, record["peak memory MB"])
                capacity.learn(node.label, needed)
                if record.get("neighbours") == 0:
                    capacity.untimed.discard(node.label)
        return capacity


def choose(devices: str, jobs_per_device: int | None) -> Placement:
    """Choose the devices to use.

    devices: auto, or names separated by commas; jobs_per_device None: on the CPU one a core, and no
    more on GPUs together.
    """
    names = [name.strip() for name in devices.split(",") if name.strip()]
    if names == ["auto"]:
        names = environment.devices()
    names = ["cuda:0" if name == "cuda" else name for name in names]
    cores = environment.cores()
    usual = cores if names == ["cpu"] else min(MOST_ON_A_GPU, max(1, cores // max(1, len(names))))
    return Placement(names, jobs_per_device or usual, measured=jobs_per_device is None)
