"""What learns D_F under other labels."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.ports.case import (
    BATCH,
    CLASSES,
    Case,
    Net,
    batches,
    generator,
    joined,
    port,
    put_back,
    salient,
    sgd,
    step,
    weights,
)


def random_labels(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    labels: str,
    order: str,
    redraw: bool = True,
    decay_every: int = 10,
    masks: list[Tensor] | None = None,
) -> Net:
    """Learn D_F under random labels, and D_R; what the masks do not mark is put back."""
    optimizer, draw = sgd(net, lr), generator(case.seed)
    start = weights(net)
    x, y = case.forget
    net.train()
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = lr * 0.1 ** (epoch // decay_every)
        lots = generator(case.seed, "labels", epoch if redraw else 0)
        away = torch.randint(int(labels == "wrong"), CLASSES, y.shape, generator=lots)
        relabelled = x, (y + away) % CLASSES
        in_turn = order == "in-turn"
        passes = [relabelled, case.retain] if in_turn else [joined(relabelled, case.retain)]
        for data in passes:
            for shown, its_labels in batches(data, BATCH, draw):
                step(optimizer, cross_entropy(net(shown), its_labels))
                put_back(net, start, masks)
    return net


@port("rl", lr=0.03, epochs=3, decay_every=2, labels="wrong", order="mixed", redraw=True)
@port("rl", lr=0.03, epochs=3, decay_every=2, labels="any", order="in-turn", redraw=False)
def rl(net: Net, case: Case, **settings: Any) -> Net:
    """RL of AMUN's code, labels drawn again each epoch; in turn, SalUn's for CIFAR-10."""
    return random_labels(net, case, **settings)


@port("salun", lr=0.03, epochs=2, keep=0.4, labels="wrong", order="mixed")
@port("salun", lr=0.03, epochs=2, keep=0.4, labels="any", order="in-turn")
def salun(net: Net, case: Case, *, keep: float, **settings: Any) -> Net:
    """SalUn (arXiv 2310.12508), and its code since frozen weights are put back after a step."""
    return random_labels(net, case, masks=salient(net, case.forget, keep), **settings)


@port("boundary-shrink", lr=0.03, epochs=2, bound=0.1, form="authors", batch_size=BATCH)
@port("boundary-shrink", lr=0.03, epochs=2, bound=0.1, form="amun", batch_size=BATCH)
def boundary_shrink(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    bound: float,
    form: str,
    batch_size: int,
) -> Net:
    """Chen et al. (arXiv 2303.11570), Boundary Shrink; AMUN's comparison begins with D_R."""
    optimizer, draw = sgd(net, lr, momentum=0.9, decay=0.0), generator(case.seed)
    labelling = case.original
    for _ in range(epochs):
        net.train()
        if form == "amun":
            for x, y in batches(case.retain, batch_size, draw):
                step(optimizer, cross_entropy(net(x), y))
            labelling = copy.deepcopy(net).eval()
        for x, y in batches(case.forget, batch_size, draw):
            here = x.clone().requires_grad_()
            (up,) = torch.autograd.grad(cross_entropy(labelling(here), y), here)
            stepped = torch.round(255 * (x + bound * up.sign()).clamp(0, 1)) / 255
            step(optimizer, cross_entropy(net(x), labelling(stepped).argmax(1)))
    return net


@port("boundary-expand", lr=0.03, epochs=2, batch_size=BATCH)
def boundary_expand(net: Net, case: Case, *, lr: float, epochs: int, batch_size: int) -> Net:
    """Chen et al. (arXiv 2303.11570), Boundary Expanding: the net with a class more, cut back."""
    last = net.last
    inputs = last.in_features
    row = torch.randn(1, inputs, generator=generator(case.seed, "shadow"))
    row *= (2 / (inputs + CLASSES + 1)) ** 0.5  # Xavier's, of a layer with a class more
    wide = nn.Linear(inputs, CLASSES + 1)
    wide.weight.data = torch.cat((last.weight.data, row))
    wide.bias.data = torch.cat((last.bias.data, torch.zeros(1)))
    net.last = wide
    optimizer, draw = sgd(net, lr, momentum=0.9, decay=0.0), generator(case.seed)
    net.train()
    for _ in range(epochs):
        for x, y in batches(case.forget, batch_size, draw):
            step(optimizer, cross_entropy(net(x), torch.full_like(y, CLASSES)))
    last.weight.data, last.bias.data = wide.weight.data[:-1], wide.bias.data[:-1]
    net.last = last
    return net
