"""How long a plan will take, and how much it will keep, learnt from what has been run."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

from unlearnbench.planning.plan import Node, Plan, Spec
from unlearnbench.planning.reading import read, shipped_benchmarks, sizes
from unlearnbench.scheduling.placement import Placement
from unlearnbench.storage.housekeeping import size_of
from unlearnbench.storage.store import Store

OF_A_LIST = 0.1
FINE_TUNING = 0.3
"""Share of an original's time that a method takes of which nothing is known yet."""


def expected(node: Node) -> float:
    """Guess how long a node takes, an original being 1, from its spec alone."""
    spec, data = node.spec, node.spec.data
    if spec.kind == "original":
        return 1.0
    if spec.kind == "reference":
        return (1 + data.test / data.train) / 2 if data.train and data.test else 0.6
    forgotten = spec.split.fraction if spec.split else 0.0
    if forgotten == 1:  # of a class or of a list, and nobody knows how much that is
        forgotten = OF_A_LIST
    if spec.kind == "unlearn" and spec.original is None:
        return 1 - forgotten
    epochs = spec.settings.get("epochs")
    if not isinstance(epochs, int):
        return FINE_TUNING
    return epochs / max(1, spec.recipe.epochs) * (1.0 if spec.access == "full" else 2 * forgotten)


@dataclass
class Pace:
    """Learn how long nodes take, by kind; kinds not seen yet by guesses, scaled to those seen.

    published: seconds that an original took elsewhere, which stand for those not seen here.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rates: list[float] = field(default_factory=list)
    published: float | None = None

    def learn(self, node: Node, seconds: float) -> None:
        """Note how long a node took; reading one that was made elsewhere says nothing."""
        if node.spec.given is not None:
            return
        self.seconds[node.label].append(seconds)
        if expected(node) >= FINE_TUNING:  # what takes no time says nothing of the machine
            self.rates.append(seconds / expected(node))

    def length(self, node: Node) -> float:
        """Return the seconds a node will take or, of what nothing is known yet, a guess."""
        if node.spec.given is not None:
            return 0.0
        if node.label in self.seconds:
            return mean(self.seconds[node.label])
        return expected(node) * median(self.rates or [self.published or 1.0])

    def total(self, nodes: Collection[Node], lanes: int = 1) -> float | None:
        """Return the seconds that nodes will take, so many at full speed; None if not known."""
        made = [node.label for node in nodes if node.spec.given is None]
        known = self.rates or self.published
        if not known and any(label not in self.seconds for label in made):
            return None
        return sum(map(self.length, nodes)) / lanes


def undivided(seconds: float, device: str, neighbours: float | None) -> float:
    """Return what a run would have taken with its device to itself; a CPU has cores for all."""
    shared = device.startswith("cuda") and neighbours is not None
    return seconds / (1 + neighbours) if shared and neighbours else seconds


def from_store(plan: Plan, store: Store) -> Pace:
    """Learn from the records of a plan's finished nodes, or else of similar benchmarks."""
    pace = Pace()
    for run, node in plan.nodes.items():
        if store.done(run):
            record = store.record(run)
            charged = record.get("shared", {}).get("seconds", 0.0)
            pace.learn(node, _own_seconds(record, record["seconds"].get("total", 0.0) - charged))
    if not pace.rates:
        pace.rates = list(_similar(plan, store))
    if not pace.rates:
        pace.published = _published(plan, store.folder.name)
    return pace


def _published(plan: Plan, name: str) -> float | None:
    """Return the seconds that an original took where results of a shipped benchmark are published.

    Scaled to the samples and epochs of the plan; None of other data or models, and where nobody
    knows.
    """
    spec, shipped = next(iter(plan.nodes.values())).spec, shipped_benchmarks()
    each = sizes().get(name, {}).get("per_million")
    if not (each and name in shipped and spec.data.train):
        return None
    raw = read(shipped[name])
    if (raw["data"]["name"], raw["model"]) != (spec.data.name, spec.model):
        return None
    return float(each) * spec.data.train * max(1, spec.recipe.epochs) / 1e6


def _own_seconds(record: Mapping[str, Any], seconds: float) -> float:
    device = str(record["environment"].get("device"))
    return undivided(seconds, device, record.get("neighbours"))


def _similar(plan: Plan, store: Store) -> Iterator[float]:
    """Yield how long an original would take, by those beside, of its data and model, for others."""
    asked = next(iter(plan.nodes.values())).spec
    for path in sorted(store.folder.parent.glob("*/runs/original-*")):
        other = Store(path.parent.parent)
        run = path.name.rpartition("-")[2]
        if other.folder == store.folder or not other.done(run):
            continue
        record = other.record(run)
        spec, took = Spec.model_validate(record["spec"]), record["seconds"].get("total")
        if took and (spec.data.name, spec.model) == (asked.data.name, asked.model):
            passes = max(1, record["train"]) * max(1, spec.recipe.epochs)
            ours = (asked.data.train or record["train"]) * max(1, asked.recipe.epochs)
            yield _own_seconds(record, took) * ours / passes


@dataclass(frozen=True)
class Cost:
    """Say what it takes to make some nodes: seconds on so many slots, bytes; None if unknown.

    lanes: how many of them go on at full speed, one a GPU. slots None: those of a cluster, which
    has not been asked; seconds are then of work, on one. published: whether the seconds are
    those of the machine whose results are published.
    """

    slots: int | None
    lanes: int
    on_gpu: bool
    seconds: float | None
    bytes: int | None
    published: bool = False


def cost(
    plan: Plan, store: Store, runs: Iterable[str], known: Pace, placement: Placement | None
) -> Cost:
    """Guess what it takes to make these runs of a plan; placement None: on a cluster."""
    nodes = [plan.nodes[run] for run in runs]
    seconds = known.total(nodes, placement.lanes if placement else 1)
    bytes_ = disk(plan, store, runs)
    elsewhere = known.published is not None
    if placement is None:
        return Cost(None, 1, False, seconds, bytes_, elsewhere)
    gpus = bool(placement.gpus)
    return Cost(placement.slots, placement.lanes, gpus, seconds, bytes_, elsewhere)


def disk(plan: Plan, store: Store, runs: Iterable[str]) -> int | None:
    """Return the bytes that runs will take, from what runs of their kind take; None if unknown.

    Weights that are to be kept are as large as the first that have been kept.
    """
    sizes: dict[str, int] = {}
    weights = 0
    for run, node in plan.nodes.items():
        if store.done(run):
            sizes.setdefault(node.label, size_of([store.runs()[run]]))
            if not weights and store.has_weights(run):
                weights = store.model_path(run).stat().st_size
    if not sizes:
        return None
    typical = sum(sizes.values()) // len(sizes)
    nodes = [plan.nodes[run] for run in runs]
    return sum(sizes.get(node.label, typical) + weights * node.keep_weights for node in nodes)
