"""What takes the place of AMUN's adversarial set when it is asked which part of it matters."""

from typing import Literal

import torch

from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.examples import Examples, as_pixels, norms, rows, unit

StandIn = Literal["adv", "orig", "adv-rs", "adv-rl", "orig-rl", "orig-advl"]


def stand_in(
    kind: StandIn, adversarial: Examples, clean: Examples, classes: int, *, seed: int
) -> Examples:
    """Return D_A itself ("adv") or one of the sets that AMUN's ablation puts in its place.

    Source: AMUN (arXiv 2503.00917), section 3.2. adversarial: D_A, one example for each of `clean`,
    the forget samples it was searched from. orig: `clean` as it is; adv-rs: a point drawn uniformly
    from the sphere round the clean image on which the adversarial one lies, with its label; adv-rl:
    the adversarial image under a random label that is neither the true nor the adversarial one;
    orig-rl: the clean image under such a label; orig-advl: the clean image under the adversarial
    label. Like D_A, none is augmented. Points on the sphere may leave [0, 1]: put back into it they
    would be nearer than the adversarial ones.
    """
    if kind == "adv":
        return adversarial
    clean, found = clean.unaugmented(), adversarial.labels
    if kind == "orig":
        return clean
    if kind == "orig-advl":
        return clean.relabel(found)
    device = found.device
    generator = torch.Generator(device).manual_seed(seed_for(seed, "stand-in"))
    if kind == "adv-rs":
        start = as_pixels(clean.images)
        radius = norms(as_pixels(adversarial.images) - start)
        away = unit(torch.randn(start.shape, generator=generator, device=device))
        return Examples(start + rows(radius) * away, found, clean.augment, clean.recipe)
    # uniformly from the labels that are neither the one nor the other, which differ
    drawn = torch.randint(0, classes - 2, (len(found),), generator=generator, device=device)
    for taken in (torch.minimum(clean.labels, found), torch.maximum(clean.labels, found)):
        drawn = drawn + (drawn >= taken)
    return (adversarial if kind == "adv-rl" else clean).relabel(drawn)
