"""(b) Adversarial search: ours against the paper's procedure written plainly and three libraries.

Runs in an environment that has the libraries, see peers.py; without them it measures the rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import plain
import torch
from torch import Tensor, nn
from turns import Row, compared, in_turn
from work import load

from unlearnbench.toolkit import train
from unlearnbench.toolkit.adversarial import closest_search, paper_search

RADIUS, SAMPLES, MOST = 0.04, 200, 12
"""First radius; images searched for; doublings of the radius at most for a library's PGD."""
Attack = Callable[[Tensor, Tensor, float], Tensor]


class Counted(nn.Module):
    """Count the samples whose gradient is asked for, by whomever."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model."""
        super().__init__()
        self.model = model
        self.gradients = 0

    def forward(self, x: Tensor) -> Tensor:
        """Pass on, and watch for the backward pass."""
        logits: Tensor = self.model(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.gradients += int(gradient.any(1).sum())


def measure(root: Path, rounds: int) -> list[Row]:
    """Search round the same images of one trained model with everything there is."""
    torch.set_num_threads(1)
    rows = []
    for name in ("digits", "fashion-mnist"):
        work = load(name, root)
        model = Counted(train(work.fresh(), work.train, seed=1)).eval().requires_grad_(False)
        examples = work.train.select(torch.arange(SAMPLES))
        images, labels = next(iter(examples.batches(SAMPLES)))
        attacks: dict[str, Callable[[], Tensor]] = {
            "paper": lambda m=model, e=examples: paper_search(m, e, radius=RADIUS).images,
            "closest": lambda m=model, e=examples: closest_search(m, e).images,
            "paper, written plainly": lambda m=model, x=images, y=labels: plain.paper_search(
                m, x, y, RADIUS
            )[0],
            **dict(_libraries(model, images, labels)),
        }
        facts = {n: _facts(model, attack, images, labels) for n, attack in attacks.items()}
        of_paper = facts["paper"]
        for fact in facts.values():
            fact["distance / paper's"] = round(fact["mean distance"] / of_paper["mean distance"], 3)
            fact["paper's gradients / its"] = round(of_paper["gradients"] / fact["gradients"], 2)
        title = f"{work.title}, {SAMPLES} images"
        made = compared("search", title, "paper", in_turn(attacks, rounds), **facts)
        made[0].facts["of ours"] = of_paper
        rows += made
    return rows


def _facts(
    model: Counted, attack: Callable[[], Tensor], images: Tensor, labels: Tensor
) -> dict[str, object]:
    model.gradients = 0
    found = attack().detach()
    flipped = model(found).argmax(1) != labels
    distance = (found - images).flatten(1).norm(dim=1)[flipped].mean()
    return {
        "flipped %": round(100 * float(flipped.float().mean()), 1),
        "mean distance": round(float(distance), 4),
        "gradients": round(model.gradients / len(images), 1),
    }


def _libraries(
    model: nn.Module, images: Tensor, labels: Tensor
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Yield the attacks of the libraries there are; a fixed-radius one in a doubling loop."""
    if importlib.util.find_spec("torchattacks"):
        import torchattacks

        def pgd(x: Tensor, y: Tensor, eps: float) -> Tensor:
            attack = torchattacks.PGDL2(model, eps, eps / 10, steps=50, random_start=False)
            made: Tensor = attack(x, y)
            return made

        yield "torchattacks PGD-50, doubling", lambda: _doubling(model, pgd, images, labels)
    if importlib.util.find_spec("foolbox"):
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=torch.device("cpu"))

        def projected(x: Tensor, y: Tensor, eps: float) -> Tensor:
            attack = foolbox.attacks.L2PGD(abs_stepsize=eps / 10, steps=50, random_start=False)
            made: Tensor = attack.run(wrapped, x, y, epsilon=eps)
            return made

        yield "foolbox PGD-50, doubling", lambda: _doubling(model, projected, images, labels)
        ddn = foolbox.attacks.DDNAttack(steps=50)
        yield "foolbox DDN-50", lambda: ddn.run(wrapped, images, labels)
    if importlib.util.find_spec("adv_lib"):
        from adv_lib import attacks

        yield "adv-lib DDN-50", lambda: attacks.ddn(model, images, labels, steps=50, levels=None)


def _doubling(model: nn.Module, attack: Attack, images: Tensor, labels: Tensor) -> Tensor:
    """Run a fixed-radius attack on what has not flipped yet, the radius doubling."""
    found, eps = images.clone(), RADIUS
    left = torch.nonzero(model(images).argmax(1) == labels).squeeze(1)
    for _ in range(MOST):
        if not len(left):
            break
        made = attack(images[left], labels[left], eps)
        found[left] = made.detach()
        left = left[model(made).argmax(1) == labels[left]]
        eps *= 2
    return found
