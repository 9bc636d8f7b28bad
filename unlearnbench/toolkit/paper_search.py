"""AMUN's own adversarial search: PGD in a ball that grows until the label flips."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from unlearnbench.toolkit.boundary import (
    Found,
    frozen,
    negative_margin,
    norms,
    nothing,
    rows,
    shortened,
)
from unlearnbench.toolkit.examples import Examples, as_pixels
from unlearnbench.toolkit.recorder import recorder

STEPS = 50
"""Steps of PGD before a sample's radius doubles (the paper's PGD-50)."""
LOOK = 5
"""Steps between two looks at which samples are done, where each look makes a device wait."""


def paper_search(
    model: nn.Module,
    examples: Examples,
    *,
    radius: float,
    steps: int = STEPS,
    batch: int = 256,
    look: int | None = None,
) -> Found:
    """Search by untargeted l2 PGD with a radius of its own for every sample.

    Source: AMUN (arXiv 2503.00917), Algorithm 1 and section 4. Steps of 0.1 radius along the
    normalised gradient, projected to the l2 ball round the clean image and to [0, 1]; no random
    start; the model in eval mode. Where the paper is silent its authors' code is followed: a
    sample stops at its first misclassified iterate, so it lies just over the boundary; after
    `steps` steps its radius doubles and it goes on from where it is; a clean image that is already
    misclassified is kept as it is. In fp32: what a lower precision takes for a flip need not be
    one.

    No image in [0, 1] is farther from another than the square root of its size: a sample that a
    ball of that radius does not flip is given up, instead of being doubled for ever.

    Samples wait in one queue and one that is done makes room for the next, so that batches stay
    full. Who is done is looked up every `look` steps (by default each step on a CPU, every fifth on
    a GPU); a sample that is done stands still until then, so that what is found is the same.
    """
    model.eval()
    clean, labels = as_pixels(examples.images), examples.labels
    found = nothing(clean, labels)
    look = look or (LOOK if clean.is_cuda else 1)
    cap = clean[0].numel() ** 0.5
    gradients = torch.zeros((), dtype=torch.int64, device=clean.device)
    waiting = torch.arange(len(clean), device=clean.device)
    walk, waiting = _Walk.begin(waiting[:batch], clean, labels, radius), waiting[batch:]
    turn = 0
    with frozen(model):
        while len(walk.index):
            turn += 1
            here = walk.here.requires_grad_()
            logits = model(here)
            walk.judge(logits.detach().argmax(1), steps, cap)
            looking = turn % look == 0
            if not looking or bool(walk.live.any()):
                ahead = torch.where(walk.live, negative_margin(logits, walk.label), 0.0)
                (gradient,) = torch.autograd.grad(ahead.sum(), here)
                gradients += walk.live.sum()
                walk.step(gradient)
            if looking and not bool(walk.live.all()):
                walk.select(~walk.live).enter(found)
                room = batch - int(walk.live.sum())
                fresh, waiting = waiting[:room], waiting[room:]
                walk = walk.select(walk.live) + _Walk.begin(fresh, clean, labels, radius)
    recorder().gradients += int(gradients)
    return found


@dataclass
class _Walk:
    """Hold the samples being searched: where each is, and whether it goes on.

    index: int64 [b], positions in the whole set; here, clean: [b, C, H, W]; label, predicted: int64
    [b], true and last given; radius: [b]; taken: int64 [b], steps at this radius; moved: bool [b],
    whether any step was taken; live: bool [b].
    """

    index: Tensor
    here: Tensor
    clean: Tensor
    label: Tensor
    predicted: Tensor
    radius: Tensor
    taken: Tensor
    moved: Tensor
    live: Tensor

    @classmethod
    def begin(cls, index: Tensor, clean: Tensor, labels: Tensor, radius: float) -> _Walk:
        here, label = clean[index], labels[index]
        still = torch.zeros_like(label, dtype=torch.bool)
        first = torch.full_like(label, radius, dtype=torch.float32)
        taken = torch.zeros_like(label)
        return cls(index, here, here, label, label, first, taken, still, ~still)

    def select(self, which: Tensor) -> _Walk:
        return _Walk(*(getattr(self, field.name)[which] for field in fields(self)))

    def __add__(self, other: _Walk) -> _Walk:
        if not len(other.index):
            return self
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return _Walk(*(torch.cat(pair) for pair in pairs))

    def judge(self, predicted: Tensor, steps: int, cap: float) -> None:
        """End what flipped or was given up; double the radius where `steps` did not suffice."""
        self.predicted = torch.where(self.live, predicted, self.predicted)
        self.live = self.live & (self.predicted == self.label)
        exhausted = self.live & (self.taken == steps)
        self.radius = torch.where(exhausted, 2 * self.radius, self.radius)
        self.taken = torch.where(exhausted, 0, self.taken)
        self.live = self.live & (self.radius <= cap)

    def step(self, gradient: Tensor) -> None:
        """Go 0.1 radius along the gradient, then back into the ball and into [0, 1]."""
        here = self.here.detach()
        along = 0.1 * rows(self.radius) * gradient / rows(norms(gradient).clamp_min(1e-30))
        away = here + along - self.clean
        ahead = (self.clean + shortened(away, self.radius)).clamp_(0.0, 1.0)
        self.here = torch.where(rows(self.live), ahead, here)
        self.taken = self.taken + self.live
        self.moved = self.moved | self.live

    def enter(self, found: Found) -> None:
        """Write down how the search ended."""
        flipped = self.predicted != self.label
        radius = torch.where(flipped & ~self.moved, 0.0, self.radius)
        found.enter(self.index, self.here.detach(), self.predicted, radius, flipped)
