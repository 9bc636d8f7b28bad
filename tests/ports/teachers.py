"""What follows, or leaves, another net's answers."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, one_hot

from tests.ports.case import (
    BATCH,
    CLASSES,
    Case,
    Data,
    Net,
    accuracy,
    batches,
    chosen,
    fresh,
    generator,
    joined,
    port,
    sgd,
    step,
)
from unlearnbench.seeds import seed_for


def distance(student: Tensor, teacher: Tensor, t: float = 1.0) -> Tensor:
    """Return T^2 KL(teacher || student), a mean over samples."""
    own, other = (student / t).log_softmax(1), (teacher / t).softmax(1)
    return t * t * kl_div(own, other, reduction="batchmean")


@port("delete", lr=0.03, epochs=2, batch_size=BATCH)
def delete(net: Net, case: Case, *, lr: float, epochs: int, batch_size: int) -> Net:
    """Zhou et al. (arXiv 2503.23751): the original's answers, the true class cut out."""
    optimizer, draw = sgd(net, lr, momentum=0.9, decay=0.0), generator(case.seed)
    net.train()
    for _ in range(epochs):
        for x, y in batches(case.forget, batch_size, draw):
            with torch.no_grad():
                masked = case.original(x) - 1e10 * one_hot(y, CLASSES)
            step(optimizer, distance(net(x), masked))
    return net


@port("scrub", lr=0.01, epochs=4, max_epochs=2, batch_size=BATCH, forget_batch=8, rewind=False)
@port("scrub", lr=0.02, epochs=4, max_epochs=2, batch_size=BATCH, forget_batch=8, rewind=True)
def scrub(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    max_epochs: int,
    batch_size: int,
    forget_batch: int,
    rewind: bool,
) -> Net:
    """Kurmanji et al. (arXiv 2302.09880): SCRUB, and SCRUB+R where it rewinds."""
    optimizer, draw = sgd(net, lr), generator(case.seed)
    after, errors = [], []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = lr * (0.1 if epoch >= 3 else 1.0)
        net.train()
        if epoch < max_epochs:
            for x, _ in batches(case.forget, forget_batch, draw):
                step(optimizer, -distance(net(x), case.original(x), 4.0))
        for x, y in batches(case.retain, batch_size, draw):
            logits = net(x)
            near = distance(logits, case.original(x), 4.0)
            step(optimizer, cross_entropy(logits, y) + 0.5 * near)
        after.append(copy.deepcopy(net))
        errors.append(1 - accuracy(net, case.forget))
    if not rewind:
        return net
    wanted = 1 - accuracy(net, case.unseen)  # all classes are in D_F
    return after[min(range(epochs), key=lambda epoch: abs(errors[epoch] - wanted))]


def share_of(data: Data, count: int, seed: int) -> Data:
    """Draw so many samples."""
    order = torch.randperm(len(data[1]), generator=generator(seed, "share"))
    return chosen(data, order[:count])


@port("bad-teacher", lr=1e-3, epochs=2, share=0.5)
def bad_teacher(net: Net, case: Case, *, lr: float, epochs: int, share: float) -> Net:
    """Chundawat et al. (arXiv 2205.08096), equation 5, by Adam as in their code."""
    kept = share_of(case.retain, round(share * len(case.retain[1])), case.seed)
    x, _ = joined(case.forget, kept)
    knows_nothing = fresh(seed_for(case.seed, "teacher")).eval()
    with torch.no_grad():
        count = len(case.forget[1])
        answers = torch.cat((knows_nothing(x[:count]), case.original(x[count:])))
    optimizer, draw = torch.optim.Adam(net.parameters(), lr), generator(case.seed)
    net.train()
    for _ in range(epochs):
        for index in torch.split(torch.randperm(len(x), generator=draw), BATCH):
            step(optimizer, distance(net(x[index]), answers[index]))
    return net


@port("lotus", lr=1e-3, epochs=3, alpha=3.0, share=0.5, batch_size=BATCH)
def lotus(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    alpha: float,
    share: float,
    batch_size: int,
) -> Net:
    """Spartalis et al. (arXiv 2503.18314): their code's Gumbel softmax, soft or hard."""
    kept = share_of(case.retain, int(share * len(case.retain[1])), case.seed)
    (x, _), count = joined(case.forget, kept), len(case.forget[1])
    unseen = accuracy(case.original, case.unseen)
    optimizer = torch.optim.AdamW(net.parameters(), lr, weight_decay=5e-4)
    draw = generator(case.seed)
    for _ in range(epochs):
        excess = accuracy(net, case.forget) - unseen
        if excess <= -0.01:
            break
        tau = math.exp(alpha * excess)
        net.train()
        for index in torch.split(torch.randperm(len(x), generator=draw), batch_size):
            with torch.no_grad():
                teacher = case.original(x[index])
            noisy = teacher - torch.empty_like(teacher).exponential_(generator=draw).log()
            targets = [
                (answer / tau).softmax(0) if place < count else one_hot(answer.argmax(), CLASSES)
                for answer, place in zip(noisy, index.tolist(), strict=True)
            ]
            step(optimizer, -(torch.stack(targets) * net(x[index]).log_softmax(1)).sum(1).mean())
    return net
