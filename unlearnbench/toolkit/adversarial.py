"""AMUN's adversarial set: for each forgotten sample the nearest image with another label."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.examples import Examples, norms, rows, shortened, unit
from unlearnbench.toolkit.precision import not_autocast
from unlearnbench.toolkit.recorder import recorder

STEPS = 50
"""Steps of PGD before a sample's radius doubles, where nothing else is said (PGD-50)."""
LOOK = 5
"""Steps between two looks at which samples are done, where each look makes a device wait."""


@dataclass(frozen=True)
class Found:
    """Hold what a search found, one entry a sample, in the order of the samples.

    clean, images: float32 [n, C, H, W] in [0, 1], the image and the adversarial one, or the last
    one tried; truth, labels: int64 [n], the label and the model's prediction on `images`; radius:
    float32 [n], the last l2 bound tried, 0 where the clean image was already misclassified.
    """

    clean: Tensor
    truth: Tensor
    images: Tensor
    labels: Tensor
    radius: Tensor

    @property
    def flipped(self) -> Tensor:
        """False where nothing was found: bool [n]."""
        return self.labels != self.truth

    @property
    def left(self) -> Tensor:
        """Positions where nothing was found: int64."""
        return (~self.flipped).nonzero().squeeze(1)

    def enter(self, at: Tensor, images: Tensor, labels: Tensor, radius: Tensor | float) -> None:
        """Enter how the search ended for the samples at these positions (int64)."""
        self.images[at] = images
        self.labels[at] = labels
        self.radius[at] = radius


def nothing(examples: Examples) -> Found:
    """Return what is known before any search: the clean images, and nothing flipped."""
    clean, truth = examples.pixels, examples.labels
    radius = torch.zeros(len(truth), device=truth.device)
    return Found(clean, truth, clean.clone(), truth.clone(), radius)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logsumexp of the other logits minus the label's, [n]; ascending it flips the label.

    Its gradient is that of the cross-entropy, which the paper ascends, divided by 1 - p(label): the
    same direction, hence the same normalised step. The cross-entropy's own gradient underflows to
    zero where a model is very sure, and a search along it would stand still.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], float("-inf")).logsumexp(1)
    return others - own


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Hold a model in eval mode and fp32, asking for gradients of images alone, in this block."""
    model.eval()
    needed = [p for p in model.parameters() if p.requires_grad]
    for parameter in needed:
        parameter.requires_grad_(False)
    try:
        with not_autocast(next(model.parameters()).device):
            yield
    finally:
        for parameter in needed:
            parameter.requires_grad_(True)


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
    misclassified stays as it is. In fp32: what a lower precision takes for a flip need not be one.
    Given up is what a ball does not flip whose radius is the square root of an image's size: no two
    images in [0, 1] are farther apart.

    Samples wait in one queue and one that is done makes room for the next, so that batches stay
    full. Who is done is looked up every `look` steps (by default each step on a CPU, every fifth on
    a GPU); a sample that is done stands still until then, so that what is found is the same.
    """
    found = nothing(examples)
    found.radius.fill_(radius)
    clean, truth = found.clean, found.truth
    look, cap = look or (LOOK if clean.is_cuda else 1), clean[0].numel() ** 0.5
    idle = torch.zeros((), dtype=torch.int64, device=clean.device)
    taken = torch.zeros_like(truth)  # steps at this radius
    index, waiting = torch.arange(len(clean), device=clean.device).tensor_split([batch])
    live, turn = torch.ones_like(index, dtype=torch.bool), 0
    with frozen(model):
        while len(index):
            turn += 1
            here = found.images[index].requires_grad_()
            logits = model(here)
            predicted = torch.where(live, logits.argmax(1), found.labels[index])
            _judge(found, index, predicted, taken, steps)
            label, bound = truth[index], found.radius[index]
            live = live & (predicted == label) & (bound <= cap)
            looking = turn % look == 0
            if not looking or bool(live.any()):
                ahead = torch.where(live, negative_margin(logits, label), 0.0)
                (gradient,) = torch.autograd.grad(ahead.sum(), here)
                idle += (~live).sum()
                taken[index] += live
                # 0.1 radius along the gradient, then back into the ball and into [0, 1]
                along = 0.1 * rows(bound) * gradient / rows(norms(gradient).clamp_min(1e-30))
                away = shortened(here.detach() + along - clean[index], bound)
                moved = (clean[index] + away).clamp_(0.0, 1.0)
                found.images[index] = torch.where(rows(live), moved, here.detach())
            if looking and not bool(live.all()):
                kept = index[live]
                fresh, waiting = waiting.tensor_split([batch - len(kept)])
                index = torch.cat((kept, fresh))
                live = torch.ones_like(index, dtype=torch.bool)
    found.radius[found.flipped & (taken == 0)] = 0.0
    recorder().idle += int(idle)
    return found


def _judge(found: Found, index: Tensor, predicted: Tensor, taken: Tensor, steps: int) -> None:
    """Enter the predictions; double the radius where `steps` did not suffice."""
    exhausted = (predicted == found.truth[index]) & (taken[index] == steps)
    found.labels[index] = predicted
    found.radius[index] *= 1.0 + exhausted
    taken[index] *= ~exhausted


CLOSEST_STEPS, BISECTIONS = 20, 8
GAMMA = 0.05
"""By how much the radius shrinks on a flip and grows otherwise (DDN's value)."""
REACH = 0.4
"""By how much it grows as long as a sample has never flipped: the first radius is a guess."""


def closest_search(
    model: nn.Module,
    examples: Examples,
    *,
    steps: int = CLOSEST_STEPS,
    bisections: int = BISECTIONS,
    batch: int = 256,
) -> Found:
    """Search by decoupled direction and norm, then bisect between the clean image and the flip.

    Source: DDN (Rony et al., arXiv 1811.09600): steps along the normalised gradient, put back on a
    sphere that shrinks by 5 % where the label has flipped and grows by 5 % where it has not, the
    step annealed by a cosine; the nearest flip counts. Not as there: the first radius is each
    sample's linearised distance to the boundary instead of 1, and grows by 40 % until a first flip;
    steps are in units of the radius; and the segment from the clean image to the nearest flip is
    halved `bisections` times, which takes no gradient. The model is in eval mode and in fp32; an
    image that is misclassified as it is stays as it is. `radius` is the distance found.
    """
    with frozen(model):
        found = _as_they_are(model, examples, batch)
        for index in torch.split(found.left, batch):
            _descend(model, found, index, steps)
            _bisect(model, found, index, bisections)
    return found


def _as_they_are(model: nn.Module, examples: Examples, batch: int) -> Found:
    """Return what is known as a search begins: which are misclassified as they are."""
    found = nothing(examples)
    for index in torch.split(torch.arange(len(examples), device=found.truth.device), batch):
        found.labels[index] = model(found.clean[index]).argmax(1)
    return found


def _descend(model: nn.Module, found: Found, index: Tensor, steps: int) -> None:
    """Enter the nearest flip on each sample's way."""
    clean, labels = found.clean[index], found.truth[index]
    nearest = torch.full_like(labels, math.inf, dtype=torch.float32)
    image, label, radius, moved = clean, labels, torch.zeros_like(nearest), torch.zeros_like(clean)
    for step in range(steps + 1):
        here = (clean + moved).requires_grad_()
        logits = model(here)
        predicted, distance = logits.detach().argmax(1), norms(moved)
        flipped = predicted != labels
        closer = flipped & (distance < nearest)
        nearest = torch.where(closer, distance, nearest)
        image = torch.where(rows(closer), here.detach(), image)
        label = torch.where(closer, predicted, label)
        if step == steps:
            break
        away = negative_margin(logits, labels)
        (gradient,) = torch.autograd.grad(away.sum(), here)
        if step == 0:
            radius = -away.detach() / norms(gradient).clamp_min(1e-30)
        else:
            grown = torch.where(nearest < math.inf, 1 + GAMMA, 1 + REACH)
            radius = distance * torch.where(flipped, 1 - GAMMA, grown)
        rate = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
        ahead = moved + rate * rows(radius) * unit(gradient)
        moved = (clean + rows(radius) * unit(ahead)).clamp_(0.0, 1.0) - clean
    found.enter(index, image, label, nearest)


def _bisect(model: nn.Module, found: Found, index: Tensor, bisections: int) -> None:
    """Move what has flipped as near to the clean image as the straight line allows."""
    clean, image, label = found.clean[index], found.images[index], found.labels[index]
    low, segment = torch.zeros_like(found.radius[index]), image - clean
    high = torch.ones_like(low)
    for _ in range(bisections):
        middle = (low + high) / 2
        tried = clean + rows(middle) * segment
        with torch.no_grad():
            predicted = model(tried).argmax(1)
        flipped = predicted != found.truth[index]
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
        image = torch.where(rows(flipped), tried, image)
        label = torch.where(flipped, predicted, label)
    found.enter(index, image, label, norms(image - clean))


OVERSHOOT = 1.25
"""Length of the step in units of the cube's half side; what leaves the cube is cut off."""


def one_step_search(
    model: nn.Module, examples: Examples, *, radius: float, seed: int, batch: int = 256
) -> Found:
    """Search by a random start and one signed step, the bound doubled until the label flips.

    Source: the one-step attack of Wong et al. (arXiv 2001.03994, FFGSM) inside AMUN's Algorithm 1,
    for its Table 9; AMUN's authors have not published theirs. The bound is on each pixel, as there;
    radius is an l2 one, and the cube's half side such that its corners are at `radius`: no image
    found is farther, so that the first radius means about what it does in the paper's search. Each
    try starts again at the clean image. The model is in eval mode and in fp32; an image that is
    misclassified as it is stays as it is; what the whole of [0, 1] does not flip is given up.
    """
    generator = torch.Generator(examples.labels.device).manual_seed(seed)
    with frozen(model):
        found = _as_they_are(model, examples, batch)
        cap = found.clean[0].numel() ** 0.5
        while radius <= cap:
            for index in torch.split(found.left, batch):
                image = _step(model, found, index, radius / cap, generator)
                found.enter(index, image, model(image).argmax(1), radius)
            radius *= 2
    return found


def _step(
    model: nn.Module, found: Found, index: Tensor, bound: float, generator: torch.Generator
) -> Tensor:
    """Return images at most `bound` from the clean ones in each pixel."""
    clean, labels = found.clean[index], found.truth[index]
    noise = torch.rand(clean.shape, generator=generator, device=clean.device)
    here = clean + bound * (2 * noise - 1)
    here = here.contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(negative_margin(model(here), labels).sum(), here)
    away = here.detach() + OVERSHOOT * bound * gradient.sign() - clean
    return (clean + away.clamp(-bound, bound)).clamp_(0.0, 1.0)


Search = Literal["paper", "closest", "one-step"]


def adversarial_examples(
    model: nn.Module,
    forget: Examples,
    *,
    radius: float,
    steps: int = STEPS,
    search: Search = "paper",
    seed: int = 0,
) -> Examples:
    """Search AMUN's D_A: images near those of `forget`, under the label that they flipped to.

    As in `adversarial_search` and `adversarial_pairs`.
    """
    found = adversarial_search(model, forget, radius=radius, steps=steps, search=search, seed=seed)
    return adversarial_pairs(forget, found)[0]


def adversarial_search(
    model: nn.Module,
    forget: Examples,
    *,
    radius: float,
    steps: int = STEPS,
    search: Search = "paper",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Search an adversarial example of each of `forget`; return what `adversarial_pairs` takes.

    search: "paper" is AMUN's own, PGD in a ball that starts at `radius` and doubles after each
    `steps` steps; "closest" finds nearer ones for a fraction of the gradients, and leaves to the
    paper's what it does not flip; "one-step" is a weaker one, whose random starts come from `seed`.
    Returns images, float32 [n, C, H, W] in [0, 1], and labels, int64 [n], which are the true ones
    where nothing was found. How many that are, and how far the others had to move, goes into the
    run's record.
    """
    recording = recorder()
    with recording.timed("adversarial search", forget.labels.device):
        before = recording.gradients
        found = _search(model, forget, radius, steps, search, seed)
        moved, flipped = norms(found.images - found.clean), found.flipped
        each = zip(moved.tolist(), flipped.tolist(), strict=True)
        recording.notes["adversarial search"] = {
            "samples": len(forget),
            "not flipped": len(found.left),
            "mean l2 distance": float(moved[flipped].mean()) if flipped.any() else None,
            "gradients": recording.gradients - before,
            "distances": [round(one, 5) if found_one else None for one, found_one in each],
            "radii": [round(r, 5) for r in found.radius.tolist()],
        }
    return {"images": found.images, "labels": found.labels}


def adversarial_pairs(forget: Examples, found: Mapping[str, Tensor]) -> tuple[Examples, Examples]:
    """Return AMUN's D_A, and beside each of its examples the one of `forget` it was found from.

    found: by `adversarial_search`. In the order of `forget`, without those that could not be
    flipped; D_A is not to be augmented.
    """
    flipped = found["labels"] != forget.labels
    pairs = Examples(found["images"], found["labels"], forget.augment, forget.recipe)
    return pairs.unaugmented().select(flipped), forget.select(flipped)


def _search(
    model: nn.Module, forget: Examples, radius: float, steps: int, search: Search, seed: int
) -> Found:
    if search == "paper":
        return paper_search(model, forget, radius=radius, steps=steps)
    if search == "one-step":
        return one_step_search(model, forget, radius=radius, seed=seed_for(seed, "one-step search"))
    found = closest_search(model, forget)
    if len(left := found.left):
        rest = paper_search(model, forget.select(left), radius=radius, steps=steps)
        found.enter(left, rest.images, rest.labels, rest.radius)
    return found
