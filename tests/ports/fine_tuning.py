"""What trains on D_R alone, of the layers or weights that a method chooses."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    OneCycleLR,
    StepLR,
)

from tests.ports.case import (
    BATCH,
    RECIPE,
    Case,
    Data,
    Net,
    batches,
    chosen,
    fine_tuned,
    fresh,
    generator,
    port,
    sgd,
    step,
)
from unlearnbench.seeds import seed_for


def by_recipe(net: Net, data: Data, seed: int) -> Net:
    """Train as the original was: PyTorch's own one-cycle schedule, at its end after the steps."""
    optimizer, draw = sgd(net, RECIPE.lr), generator(seed, "batches")
    schedule = OneCycleLR(
        optimizer,
        RECIPE.lr,
        total_steps=RECIPE.epochs * math.ceil(len(data[1]) / BATCH) + 1,
        pct_start=0.25,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    net.train()
    for _ in range(RECIPE.epochs):
        for x, y in batches(data, BATCH, draw):
            step(optimizer, cross_entropy(net(x), y))
            schedule.step()
    return net


@port("ft", lr=0.05, epochs=3, decay_every=2)
def ft(net: Net, case: Case, *, lr: float, epochs: int, decay_every: int) -> Net:
    """FT, the baseline of l1-sparse (arXiv 2304.04934) and SalUn."""
    return fine_tuned(
        net,
        case.retain,
        lr=lr,
        epochs=epochs,
        seed=case.seed,
        schedule=lambda optimizer: StepLR(optimizer, decay_every),
    )


@port("retrain")
def retrain(_: Net, case: Case) -> Net:
    """Retraining: fresh weights, D_R, the original's recipe."""
    return by_recipe(fresh(case.seed), case.retain, case.seed)


@port("l1-sparse", lr=0.05, epochs=3, alpha=2e-3)
def l1_sparse(net: Net, case: Case, *, lr: float, epochs: int, alpha: float) -> Net:
    """Jia et al. (arXiv 2304.04934), equation 3, the weight decaying in a line to zero."""
    optimizer, draw = sgd(net, lr), generator(case.seed)
    net.train()
    for epoch in range(epochs):
        for x, y in batches(case.retain, BATCH, draw):
            weights = torch.cat([p.flatten() for p in net.parameters()])
            penalty = alpha * (1 - epoch / epochs) * weights.abs().sum()
            step(optimizer, cross_entropy(net(x), y) + penalty)
    return net


@port("cf-k", last=2, lr=0.1, epochs=4)
def cf_k(net: Net, case: Case, *, last: int, lr: float, epochs: int) -> Net:
    """Goel et al. (arXiv 2201.06640), CF-k, and the warm restarts of their code."""
    for layer in (net.first, net.first_norm):
        layer.requires_grad_(False)
    return fine_tuned(
        net,
        case.retain,
        lr=lr,
        epochs=epochs,
        seed=case.seed,
        schedule=lambda optimizer: CosineAnnealingWarmRestarts(
            optimizer, T_0=1, T_mult=2, eta_min=lr / 20
        ),
    )


@port("eu-k", last=2)
def eu_k(net: Net, case: Case, *, last: int) -> Net:
    """Goel et al. (arXiv 2201.06640), EU-k."""
    net.requires_grad_(False)
    anew = fresh(seed_for(case.seed, "layers"))
    net.second, net.second_norm, net.last = anew.second, anew.second_norm, anew.last
    return by_recipe(net, case.retain, case.seed)


@port("ct", lr=0.05, epochs=3, batch_size=BATCH)
def ct(net: Net, case: Case, *, lr: float, epochs: int, batch_size: int) -> Net:
    """CT as in Deep Unlearn's code (arXiv 2410.01276): the kernels transposed, a cosine."""
    for layer in (net.first, net.second):
        for row in layer.weight.data:
            for kernel in row:
                kernel.copy_(kernel.T.clone())
    return fine_tuned(
        net,
        case.retain,
        lr=lr,
        epochs=epochs,
        seed=case.seed,
        schedule=lambda optimizer: CosineAnnealingLR(optimizer, epochs),
    )


@port("msg", lr=0.05, epochs=3, share=0.3, damping=0.1, batch_size=BATCH)
def msg(
    net: Net,
    case: Case,
    *,
    lr: float,
    epochs: int,
    share: float,
    damping: float,
    batch_size: int,
) -> Net:
    """MSG as in Deep Unlearn's code (arXiv 2410.01276): small gradient differences redrawn."""
    net.eval()
    draw = generator(case.seed, "weights")
    order = torch.randperm(len(case.retain[1]), generator=draw)
    alike = chosen(case.retain, order[: len(case.forget[1])])
    kernels = [net.first.weight, net.second.weight]

    def slopes(data: Data) -> tuple[Tensor, ...]:
        return torch.autograd.grad(cross_entropy(net(data[0]), data[1]), kernels)

    factors = []
    for weight, kept, lost in zip(kernels, slopes(alike), slopes(case.forget), strict=True):
        apart = (kept - lost).abs()
        anew = apart <= apart.flatten().sort().values[round(share * apart.numel()) - 1]
        spread = math.sqrt(2 / (weight.shape[0] * 9))  # Kaiming's, by what goes out
        normal = spread * torch.randn(weight.shape, generator=draw)
        weight.data = torch.where(anew, normal, weight.data)
        factors.append(torch.where(anew, 1.0, damping))

    optimizer, draw = sgd(net, lr), generator(case.seed)
    middle = (epochs + 1) / 2
    rise = LambdaLR(optimizer, lambda e: min((e + 1) / middle, (epochs - e) / middle))
    net.train()
    for _ in range(epochs):
        for x, y in batches(case.retain, BATCH, draw):
            optimizer.zero_grad()
            cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
            for weight, factor in zip(kernels, factors, strict=True):
                assert weight.grad is not None
                weight.grad *= factor
            optimizer.step()
        rise.step()
    return net
