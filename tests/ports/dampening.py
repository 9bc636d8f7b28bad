"""What changes weights in one stroke, by gradients at the weights where they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.ports.case import CLASSES, Case, Data, Net, generator, gradients, joined, port


def one_by_one(data: Data) -> list[Data]:
    return [(x[None], y[None]) for x, y in zip(*data, strict=True)]


def slope(net: Net, data: Data) -> Tensor:
    """Return the gradient of the summed cross-entropy with respect to all weights, flat."""
    loss = cross_entropy(net(data[0]), data[1], reduction="sum")
    return torch.cat([g.flatten() for g in gradients(net, loss)]).double()


@torch.no_grad()
def move(net: Net, away: Tensor) -> Net:
    """Add to all weights what a flat tensor says."""
    nn.utils.vector_to_parameters(
        (nn.utils.parameters_to_vector(net.parameters()) + away).float(), net.parameters()
    )
    return net


@port("ssd", alpha=2.0, dampening=0.7)
def ssd(net: Net, case: Case, *, alpha: float, dampening: float) -> Net:
    """Foster et al. (arXiv 2308.07707), equations 6 and 7, importance of single samples."""
    net.eval()
    forget, everything = (
        torch.stack([slope(net, one) for one in one_by_one(data)]).square().mean(0)
        for data in (case.forget, joined(case.forget, case.retain))
    )
    weights = nn.utils.parameters_to_vector(net.parameters()).detach()
    shrunk = weights * (dampening * everything / forget).clamp(max=1.0)
    return move(net, torch.where(forget > alpha * everything, shrunk - weights, 0.0))


@port("fisher", alpha=1e-6, floor=1e-2)
def fisher(net: Net, case: Case, *, alpha: float, floor: float) -> Net:
    """Golatkar et al. (arXiv 1911.04933): noise of variance (alpha / F)^(1/2)."""
    net.eval()
    diagonal = torch.zeros(())
    for x, _ in one_by_one(case.retain):
        for label in range(CLASSES):
            log = net(x).log_softmax(1)[0, label]
            score = torch.cat([g.flatten() for g in gradients(net, log)])
            diagonal = diagonal + log.detach().exp() * score**2 / len(case.retain[1])
    draw = generator(case.seed, "noise")
    noise = [torch.randn(p.shape, generator=draw).flatten() for p in net.parameters()]
    variance = (alpha / diagonal.clamp(min=floor)).sqrt()
    return move(net, variance.sqrt() * torch.cat(noise))


@port("influence", alpha=5.0, damping=0.5)
def influence(net: Net, case: Case, *, alpha: float, damping: float) -> Net:
    """Jia et al. (arXiv 2304.04934), H^-1 by WoodFisher's recursion (arXiv 2004.14340)."""
    net.eval()
    lost, kept = len(case.forget[1]), len(case.retain[1])
    outweighs = slope(net, case.forget) - lost / kept * slope(net, case.retain)
    inverse = torch.eye(len(outweighs), dtype=torch.float64) / damping
    for one in one_by_one(case.retain):
        g = slope(net, one)
        along = inverse @ g
        inverse -= torch.outer(along, along) / (kept + g @ along)
    return move(net, alpha * inverse @ outweighs / (lost + kept))
