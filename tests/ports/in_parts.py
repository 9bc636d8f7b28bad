"""What is put together from others, or from images of its own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from tests.ports.case import (
    BATCH,
    CLASSES,
    Case,
    Data,
    Net,
    batches,
    chosen,
    fine_tuned,
    generator,
    joined,
    port,
    step,
)
from tests.ports.relabelling import salun
from tests.ports.teachers import share_of
from unlearnbench.seeds import seed_for


@port("rum", middle_lr=0.05, middle_epochs=2, high_lr=0.03, high_epochs=2)
def rum(
    net: Net,
    case: Case,
    *,
    middle_lr: float,
    middle_epochs: int,
    high_lr: float,
    high_epochs: int,
) -> Net:
    """Zhao et al. (arXiv 2406.01257): nothing, FT, SalUn (any labels), by confidence."""
    x, y = case.forget
    with torch.no_grad():
        sure = case.original(x).double().softmax(1)[torch.arange(len(y)), y]
    first = chosen(case.forget, sure.argsort()[:7])  # of the 20; the others are shown to nobody
    seed = seed_for(case.seed, "middle")
    kept = joined(case.retain, first)
    net = fine_tuned(net, kept, lr=middle_lr, epochs=middle_epochs, seed=seed)
    rest = replace(case, forget=first, seed=seed_for(case.seed, "high"))
    return salun(net, rest, lr=high_lr, epochs=high_epochs, keep=0.5, labels="any", order="mixed")


@port("unsir", lr=2e-3, repair_lr=1e-3, epochs=2, share=0.5, noise_steps=5, batch_size=BATCH)
def unsir(
    net: Net,
    case: Case,
    *,
    lr: float,
    repair_lr: float,
    epochs: int,
    share: float,
    noise_steps: int,
    batch_size: int,
) -> Net:
    """Tarun et al. (arXiv 2111.08947): noise by Adam, a pass that impairs, one that repairs."""
    kept = share_of(case.retain, round(share * len(case.retain[1])), case.seed)
    deviation, mean = kept[0].std(correction=0), kept[0].mean()  # of the one channel
    net.eval()
    shown = kept
    for label in range(CLASSES):
        labels = case.forget[1][case.forget[1] == label]
        draw = generator(case.seed, "noise", label)
        noise = torch.randn(len(labels), *kept[0].shape[1:], generator=draw).requires_grad_()
        optimizer = torch.optim.Adam([noise], 0.1)
        for _ in range(noise_steps):
            fitted = cross_entropy(net(mean + deviation * noise), labels)
            step(optimizer, 0.1 * noise.square().sum((1, 2, 3)).mean() - fitted)
        shown = joined(shown, ((mean + deviation * noise).detach(), labels))
    for data, rate, purpose in ((shown, lr, "impair"), (kept, repair_lr, "repair")):
        adam(net, data, rate, epochs, batch_size, generator(case.seed, purpose))
    return net


def adam(net: Net, data: Data, lr: float, epochs: int, size: int, draw: torch.Generator) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr)
    net.train()
    for _ in range(epochs):
        for x, y in batches(data, size, draw):
            step(optimizer, cross_entropy(net(x), y))
