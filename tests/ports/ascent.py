"""What climbs on D_F, alone or beside a descent on D_R."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid

from tests.ports.case import (
    BATCH,
    CLASSES,
    Case,
    Data,
    Net,
    batches,
    endless,
    generator,
    gradients,
    port,
    sgd,
    step,
)


@port("ga", lr=0.01, epochs=2)
@port("ga", lr=0.01, epochs=2, batch_norm="eval", descend=True)
def ga(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    batch_norm: str = "train",
    descend: bool = False,
) -> Net:
    """GA of l1-sparse's and SalUn's code; with a descent, AMUN's; in eval mode, SFRon's."""
    optimizer, draw = sgd(net, lr), generator(case.seed)
    for _ in range(epochs):
        if descend:
            net.train()
            for x, y in batches(case.retain, BATCH, draw):
                step(optimizer, cross_entropy(net(x), y))
        net.train(batch_norm == "train")
        for x, y in batches(case.forget, BATCH, draw):
            step(optimizer, -cross_entropy(net(x), y))
    return net


@port("neggrad-plus", lr=0.05, epochs=2, alpha=0.9, batch_size=BATCH, forget_batch=8)
def neggrad_plus(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    alpha: float,
    batch_size: int,
    forget_batch: int,
) -> Net:
    """Kurmanji et al. (arXiv 2302.09880), NegGrad+, with the plain SGD of their notebook."""
    optimizer, draw = sgd(net, lr, momentum=0.0, decay=0.0), generator(case.seed)
    forget = endless(case.forget, forget_batch, draw)
    net.train()
    for _ in range(epochs):
        for x, y in batches(case.retain, batch_size, draw):
            lost_x, lost_y = next(forget)
            kept = cross_entropy(net(x), y)
            lost = cross_entropy(net(lost_x), lost_y)
            step(optimizer, alpha * kept - (1 - alpha) * lost)
    return net


@port("npo", lr=0.05, epochs=2, beta=0.8, gamma=0.7)
def npo(net: Net, case: Case, *, lr: float, epochs: int, beta: float, gamma: float) -> Net:
    """Zhang et al. (arXiv 2404.05868), equation 3, and the retain loss of NPO+RT."""
    optimizer, draw = sgd(net, lr), generator(case.seed)
    retain = endless(case.retain, BATCH, draw)

    def chance(logits: Tensor, y: Tensor) -> Tensor:
        return logits.log_softmax(1).gather(1, y[:, None])

    net.train()
    for _ in range(epochs):
        for x, y in batches(case.forget, BATCH, draw):
            own = chance(net(x), y)
            with torch.no_grad():
                before = chance(case.original(x), y)
            lost = -2 / beta * logsigmoid(-beta * (own - before)).mean()
            kept_x, kept_y = next(retain)
            step(optimizer, lost + gamma * cross_entropy(net(kept_x), kept_y))
    return net


@port("munba", lr=0.05, epochs=2, batch_size=BATCH)
def munba(net: Net, case: Case, *, lr: float, epochs: int, batch_size: int) -> Net:
    """Wu and Harandi (arXiv 2411.15537): their code's closed form without its 1e-8, clipped."""
    optimizer, draw = sgd(net, lr, momentum=0.9, decay=5e-4), generator(case.seed)
    net.train()
    for epoch in range(epochs):
        labels = torch.randint(
            CLASSES, case.forget[1].shape, generator=generator(case.seed, "labels", epoch)
        )
        forget = batches((case.forget[0], labels), batch_size, draw)
        for x, y in batches(case.retain, batch_size, draw):
            kept, lost_batch = cross_entropy(net(x), y), next(forget, None)
            if lost_batch is None:
                step(optimizer, kept)
                continue
            lost = cross_entropy(net(lost_batch[0]), lost_batch[1])
            alpha, beta = bargain(net, kept, lost)
            optimizer.zero_grad()
            (alpha * kept + beta * lost).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    return net


def bargain(net: Net, kept: Tensor, lost: Tensor) -> tuple[float, float]:
    """Return the weights of the two losses, by the inner products of their gradients."""
    parameters = list(net.parameters())
    one, other = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
        for loss in (kept, lost)
    )
    a, b, c = (
        float(u.double() @ v.double()) for u, v in ((one, one), (one, other), (other, other))
    )
    root = (a * c) ** 0.5
    alpha = ((root * root - b * root) / (a * (a * c - b * b))) ** 0.5
    return alpha, (1 - a * alpha * alpha) / (b * alpha)


@port("sfron", lr=0.05, epochs=2, every=2, alpha=3.0, norm=0.2)
def sfron(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    every: int,
    alpha: float,
    norm: float,
) -> Net:
    """Huang et al. (arXiv 2409.19732): their code's loop for CIFAR-10, its EMA switched off."""
    lost, kept = squares(net, case.forget), squares(net, case.retain)
    masks = [((f + 1e-15) / (r + 1e-15) >= 1.0).float() for f, r in zip(lost, kept, strict=True)]
    optimizer, draw = sgd(net, lr), generator(case.seed)
    steps = epochs * -(-len(case.retain[1]) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    forget, retain = endless(case.forget, BATCH, draw), endless(case.retain, BATCH, draw)
    net.train()
    for number in range(steps):
        x, y = next(retain)
        if number % every == 0:
            fall = float(schedule.get_last_lr()[0]) / lr
            forgotten, labels = next(forget)
            each = cross_entropy(net(forgotten), labels, reduction="none")
            weight = each.detach() ** -0.5
            optimizer.zero_grad()
            (-alpha * fall * (weight / weight.sum() * each).sum()).backward()  # type: ignore[no-untyped-call]
            for parameter, mask in zip(net.parameters(), masks, strict=True):
                assert parameter.grad is not None
                parameter.grad *= mask
            nn.utils.clip_grad_norm_(net.parameters(), norm)
            optimizer.step()
        step(optimizer, cross_entropy(net(x), y))
        schedule.step()
    return net


def squares(net: Net, data: Data) -> list[Tensor]:
    """Return the mean over batches, in order, of the squared gradient of a batch's mean loss."""
    net.eval()
    parts = zip(*(torch.split(part, BATCH) for part in data), strict=True)
    found = [gradients(net, cross_entropy(net(x), y)) for x, y in parts]
    return [torch.stack(each).square().mean(0) for each in zip(*found, strict=True)]
