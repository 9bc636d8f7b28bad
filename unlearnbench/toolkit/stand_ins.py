"""What takes the place of AMUN's adversarial set when it is asked which part of it matters."""

from typing import Literal

import torch

from unlearnbench.errors import MethodError
from unlearnbench.toolkit.examples import Examples, norms, rows, unit

StandIn = Literal["adv", "orig", "adv-rs", "adv-rl", "orig-rl", "orig-advl"]
DRAWN = ("adv-rs", "adv-rl", "orig-rl")
"""Those that hold something random, which the authors draw again in each epoch."""


def stand_in(
    kind: StandIn, adversarial: Examples, clean: Examples, classes: int, *, seed: int
) -> Examples:
    """Return D_A itself ("adv") or one of the sets that AMUN's ablation puts in its place.

    Source: AMUN (arXiv 2503.00917), section 3.2. adversarial: D_A, one example for each of `clean`,
    the forget samples it was searched from. orig: `clean` as it is; adv-rs: a point drawn uniformly
    from the sphere round the clean image on which the adversarial one lies, with its label, and
    then put back into [0, 1]; adv-rl: the adversarial image under a random label that is neither
    the true nor the adversarial one; orig-rl: the clean image under such a label; orig-advl: the
    clean image under the adversarial label. Like D_A, none is augmented. Where the paper is silent
    the authors' code is followed: it puts points of the sphere back into [0, 1], which brings them
    nearer than the adversarial ones where an image is at an end of it, and draws points and labels
    again in each epoch, labels at each access: give each epoch a `seed` of its own.
    """
    if kind == "adv":
        return adversarial
    clean, found = clean.unaugmented(), adversarial.labels
    if kind == "orig":
        return clean
    if kind == "orig-advl":
        return clean.relabel(found)
    device = found.device
    generator = torch.Generator(device).manual_seed(seed)
    if kind == "adv-rs":
        start = clean.pixels
        radius = norms(adversarial.pixels - start)
        away = unit(torch.randn(start.shape, generator=generator, device=device))
        points = (start + rows(radius) * away).clamp_(0.0, 1.0)
        return Examples(points, found, clean.augment, clean.recipe)
    if classes < 3:
        raise MethodError(f"{kind} needs a label that is neither: two classes have none.")
    # uniformly from the labels that are neither the one nor the other, which differ
    drawn = torch.randint(0, classes - 2, (len(found),), generator=generator, device=device)
    for taken in (torch.minimum(clean.labels, found), torch.maximum(clean.labels, found)):
        drawn = drawn + (drawn >= taken)
    return (adversarial if kind == "adv-rl" else clean).relabel(drawn)
