"""What learns adversarial examples."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR

from tests.ports.case import (
    CLASSES,
    Case,
    Data,
    Net,
    accuracy,
    batches,
    endless,
    fine_tuned,
    generator,
    gradients,
    joined,
    port,
    salient,
    sgd,
    step,
)


def length(images: Tensor) -> Tensor:
    """Return the l2 norm of each image, so that it divides images."""
    return images.square().sum((1, 2, 3), keepdim=True).sqrt()


def within(images: Tensor, radius: float) -> Tensor:
    """Scale images that are longer than a radius."""
    return images * (radius / length(images).clamp(min=1e-30)).clamp(max=1.0)


def nearest(net: Net, data: Data, *, radius: float, steps: int) -> Data:
    """Climb the cross-entropy until the label flips, twice as far after so many steps."""
    net.eval()
    clean, truth = data
    here, taken = clean.clone(), 0
    while True:
        here = here.detach().requires_grad_()
        logits = net(here)
        flipped = logits.argmax(1) != truth
        if flipped.all():
            return here.detach(), logits.argmax(1)
        if taken and taken % steps == 0:
            radius *= 2
        (up,) = torch.autograd.grad(cross_entropy(logits, truth, reduction="sum"), here)
        ahead = here + 0.1 * radius * up / length(up).clamp(min=1e-30)
        moved = (clean + within(ahead - clean, radius)).clamp(0, 1)
        here = torch.where(flipped[:, None, None, None], here, moved)
        taken += 1


def amun_on(
    searched: Net,
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    decay_every: int,
    radius: float,
    steps: int,
    keep: float = 1.0,
    with_forget: bool = True,
) -> Net:
    """Fine-tune on D_A, searched on a net, D_F and D_R; a mask is the original's."""
    adversarial = nearest(searched, case.forget, radius=radius, steps=steps)
    asked = copy.deepcopy(case.original).requires_grad_(True)  # it is frozen
    sets = [adversarial, case.forget, case.retain] if with_forget else [adversarial, case.retain]
    return fine_tuned(
        net,
        joined(*sets),
        lr=lr,
        epochs=epochs,
        seed=case.seed,
        schedule=lambda optimizer: StepLR(optimizer, decay_every),
        masks=salient(asked, case.forget, keep),
    )


@port("amun", lr=0.03, epochs=3, decay_every=2, radius=0.1, steps=10)
@port("amun", lr=0.03, epochs=3, decay_every=2, radius=0.1, steps=10, with_forget=False)
@port("amun", lr=0.03, epochs=3, decay_every=2, radius=0.1, steps=10, keep=0.4)
def amun(net: Net, case: Case, **settings: Any) -> Net:
    """AMUN (arXiv 2503.00917), Algorithm 1 and the fine-tuning; masked, AMUN+SalUn."""
    return amun_on(case.original, net, case, **settings)


@port("amun-adaptive", lr=0.03, epochs=3, decay_every=2, radius=0.1, steps=10, keep=0.4)
def amun_adaptive(net: Net, case: Case, **settings: Any) -> Net:
    """AMUN-A (arXiv 2503.00917, section 6.3): the same, searched on the net as it is."""
    return amun_on(net, net, case, **settings)


@port("l2ul", lr=0.01, epochs=2, hold=2.0, images=3, radius=0.5, batch_size=32, forget_batch=8)
def l2ul(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    hold: float,
    images: int,
    radius: float,
    batch_size: int,
    forget_batch: int,
) -> Net:
    """Cha et al. (arXiv 2301.11578): losses weighed by samples, importance as in their code."""
    x, y = case.forget
    many = x.repeat(images, 1, 1, 1), y.repeat(images)
    away = torch.randint(1, CLASSES, many[1].shape, generator=generator(case.seed, "aims"))
    aims = (many[1] + away) % CLASSES
    near = towards(case.original, many[0], aims, radius, generator(case.seed, "starts")), aims

    matters = importance(net, x, forget_batch)
    held = [(p, p.detach().clone(), 1 - m) for p, m in zip(net.parameters(), matters, strict=True)]
    optimizer, draw = sgd(net, lr, momentum=0.9, decay=1e-4), generator(case.seed)
    adversarial = endless(near, batch_size, draw)
    for _ in range(epochs):
        if accuracy(net, case.forget) == 0:
            break
        net.train()
        for lost_x, lost_y in batches(case.forget, forget_batch, draw):
            kept_x, kept_y = next(adversarial)
            share = len(kept_y) / (len(kept_y) + len(lost_y))
            kept = cross_entropy(net(kept_x), kept_y)
            lost = cross_entropy(net(lost_x), lost_y)
            drift = torch.stack([(little * (p - at) ** 2).sum() / 2 for p, at, little in held])
            step(optimizer, share * kept - (1 - share) * lost + hold * drift.sum())
    return net


def towards(net: Net, clean: Tensor, aims: Tensor, radius: float, draw: torch.Generator) -> Tensor:
    """Return what 100 steps of targeted PGD from a random start find: advertorch's L2PGDAttack."""
    net.eval()
    away = within(torch.rand(clean.shape, generator=draw) - clean, radius)
    for _ in range(100):
        here = (clean + away).requires_grad_()
        (up,) = torch.autograd.grad(cross_entropy(net(here), aims, reduction="sum"), here)
        moved = (here.detach() - 0.1 * up / length(up)).clamp(0, 1)
        away = within(moved - clean, radius)
    return (clean + away).clamp(0, 1)


def importance(net: Net, x: Tensor, size: int) -> list[Tensor]:
    """Return how much each weight moves the length of the logits, from 0 to 1 by parameter."""
    net.eval()
    sums = [torch.zeros_like(p) for p in net.parameters()]
    for part in torch.split(x, size):
        found = gradients(net, net(part).norm(dim=1).mean())
        sums = [s + g.abs() * len(part) for s, g in zip(sums, found, strict=True)]
    return [(s - s.min()) / (s.max() - s.min()) for s in sums]
