"""AMUN's adversarial set: for each forgotten sample the nearest image with another label."""

from __future__ import annotations

from typing import Literal

from torch import nn

from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.boundary import Found
from unlearnbench.toolkit.closest_search import closest_search
from unlearnbench.toolkit.examples import Examples, as_pixels
from unlearnbench.toolkit.one_step_search import one_step_search
from unlearnbench.toolkit.paper_search import paper_search
from unlearnbench.toolkit.recorder import recorder

Search = Literal["paper", "closest", "one-step"]


def adversarial_examples(
    model: nn.Module, forget: Examples, *, radius: float, search: Search = "paper", seed: int = 0
) -> Examples:
    """Return AMUN's D_A: each example's nearest adversarial image, under the label it flipped to.

    See `adversarial_pairs`.
    """
    return adversarial_pairs(model, forget, radius=radius, search=search, seed=seed)[0]


def adversarial_pairs(
    model: nn.Module, forget: Examples, *, radius: float, search: Search = "paper", seed: int = 0
) -> tuple[Examples, Examples]:
    """Return AMUN's D_A, and beside each of its examples the one of `forget` it was found from.

    search: "paper" is AMUN's own, PGD-50 in a ball that starts at `radius` and doubles; "closest"
    finds nearer ones for a fraction of the gradients, and leaves to the paper's what it does not
    flip; "one-step" is a weaker one, whose random starts come from `seed`. Not to be augmented, in
    the order of `forget`. Examples that could not be flipped are left out; how many, and how far
    the others had to move, goes into the run's record.
    """
    recording = recorder()
    with recording.timed("adversarial search", forget.labels.device):
        before = recording.gradients
        found = _search(model, forget, radius, search, seed)
        moved = (found.images - as_pixels(forget.images)).flatten(1).norm(dim=1)[found.flipped]
        recording.notes["adversarial search"] = {
            "samples": len(forget),
            "not flipped": int((~found.flipped).sum()),
            "mean l2 distance": float(moved.mean()) if len(moved) else None,
            "gradients": recording.gradients - before,
            "distances": [round(d, 5) for d in moved.tolist()],
            "radii": [round(r, 5) for r in found.radius.tolist()],
        }
    pairs = Examples(found.images, found.labels, forget.augment, forget.recipe)
    return pairs.unaugmented().select(found.flipped), forget.select(found.flipped)


def _search(model: nn.Module, forget: Examples, radius: float, search: Search, seed: int) -> Found:
    if search == "paper":
        return paper_search(model, forget, radius=radius)
    if search == "one-step":
        return one_step_search(model, forget, radius=radius, seed=seed_for(seed, "one-step search"))
    found = closest_search(model, forget)
    left = (~found.flipped).nonzero().squeeze(1)
    if len(left):
        rest = paper_search(model, forget.select(left), radius=radius)
        found.enter(left, rest.images, rest.labels, rest.radius, rest.flipped)
    return found
