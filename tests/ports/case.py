"""What every port is given, and the few lines that most of them need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler

from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for

CLASSES, SIDE, SEED = 4, 6, 3
BATCH, MOMENTUM, DECAY = 16, 0.9, 5e-4
RECIPE = Recipe(epochs=3, lr=0.1, batch_size=BATCH, momentum=MOMENTUM, weight_decay=DECAY)
"""Its schedule is one-cycle, and nothing is augmented."""

Data = tuple[Tensor, Tensor]
"""Images, float32 in [0, 1] or bytes, and labels."""


class Net(nn.Module):
    """Two convolutions with BatchNorm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, stride=2, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4 * (SIDE // 2) ** 2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_norm(self.first(x)).relu()
        x = self.second_norm(self.second(x)).relu()
        logits: Tensor = self.last(x.flatten(1))
        return logits

    def __call__(self, x: Tensor) -> Tensor:
        logits: Tensor = super().__call__(x)
        return logits


@dataclass(frozen=True)
class Case:
    """Hold the sets and nets of a request."""

    forget: Data
    retain: Data
    unseen: Data
    original: Net
    seed: int = SEED


Run = Callable[..., Net]
"""Takes a net, a case and settings; returns the net, changed."""


@dataclass(frozen=True)
class Port:
    """Hold a port, the method that it is of, and settings that both are given."""

    method: str
    settings: dict[str, Any]
    run: Run


PORTS: list[Port] = []


def port(method: str, **settings: Any) -> Callable[[Run], Run]:
    """Enter a function of a net, a case and these settings as a port of a method."""

    def enter(run: Run) -> Run:
        PORTS.append(Port(method, settings, run))
        return run

    return enter


def fresh(seed: int) -> Net:
    """Build an untrained net."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net()


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for(seed, *purpose) if purpose else seed)


def stored(seed: int, count: int) -> Data:
    """Draw images, as bytes, of a pattern for each class under noise, and their labels."""
    draw = generator(seed)
    patterns = torch.randint(256, (CLASSES, 1, SIDE, SIDE), generator=generator(0))
    labels = torch.randint(CLASSES, (count,), generator=draw)
    noise = torch.randint(256, (count, 1, SIDE, SIDE), generator=draw)
    return ((patterns[labels] + 2 * noise) // 3).to(torch.uint8), labels


def pixels(data: Data) -> Data:
    return data[0].float() / 255, data[1]


def joined(*sets: Data) -> Data:
    return torch.cat([x for x, _ in sets]), torch.cat([y for _, y in sets])


def chosen(data: Data, index: Tensor) -> Data:
    return data[0][index], data[1][index]


def batches(data: Data, size: int, draw: torch.Generator) -> Iterator[Data]:
    """Yield batches in random order, which is drawn as the first is asked for."""
    for index in torch.split(torch.randperm(len(data[1]), generator=draw), size):
        yield chosen(data, index)


def endless(data: Data, size: int, draw: torch.Generator) -> Iterator[Data]:
    while True:
        yield from batches(data, size, draw)


def sgd(
    net: Net, lr: float, momentum: float = MOMENTUM, decay: float = DECAY
) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr, momentum=momentum, weight_decay=decay)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def gradients(net: Net, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(net.parameters())))


def weights(net: Net) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def put_back(net: Net, start: list[Tensor], masks: list[Tensor] | None) -> None:
    """Put back to the start what masks, if there are any, do not mark."""
    for parameter, at, mask in zip(net.parameters(), start, masks or [], strict=False):
        parameter.data = torch.where(mask, parameter.data, at)


def salient(net: Net, data: Data, keep: float) -> list[Tensor]:
    """Mark, by parameter, the share of all weights with the largest gradient on a set."""
    net.eval()
    sizes = [g.abs() for g in gradients(net, cross_entropy(net(data[0]), data[1], reduction="sum"))]
    ranked = torch.cat([size.flatten() for size in sizes]).sort(descending=True).values
    return [size >= ranked[int(keep * len(ranked)) - 1] for size in sizes]


def fine_tuned(
    net: Net,
    data: Data,
    *,
    lr: float,
    epochs: int,
    seed: int,
    schedule: Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
    masks: list[Tensor] | None = None,
) -> Net:
    """Descend the cross-entropy; a schedule of PyTorch's own is stepped after each epoch.

    What masks do not mark is put back after each step.
    """
    optimizer, draw = sgd(net, lr), generator(seed)
    rate, start = schedule(optimizer) if schedule else None, weights(net)
    net.train()
    for _ in range(epochs):
        for x, y in batches(data, BATCH, draw):
            step(optimizer, cross_entropy(net(x), y))
            put_back(net, start, masks)
        if rate:
            rate.step()
    return net


@torch.no_grad()
def accuracy(net: Net, data: Data) -> float:
    return float((net.eval()(data[0]).argmax(1) == data[1]).float().mean())


FORGET, RETAIN, UNSEEN = stored(1, 20), stored(2, 44), stored(4, 24)


@cache
def trained(seed: int) -> Net:
    """Return a net that was trained on all data, until it gets most of it right."""
    everything = pixels(joined(FORGET, RETAIN))
    return fine_tuned(fresh(seed), everything, lr=0.05, epochs=8, seed=seed).eval()


def case() -> Case:
    original = copy.deepcopy(trained(10)).requires_grad_(False)
    return Case(pixels(FORGET), pixels(RETAIN), pixels(UNSEEN), original)
