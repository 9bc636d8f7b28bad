"""Images near those given that a model takes for what one wants."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench.toolkit.adversarial import frozen
from unlearnbench.toolkit.examples import Examples, norms, rows, shortened
from unlearnbench.toolkit.recorder import recorder

STEPS, STEP = 100, 0.1
"""How many steps a search takes, and the l2 length of each."""


def targeted_search(
    model: nn.Module, examples: Examples, *, radius: float, seed: int, batch: int = 256
) -> Tensor:
    """Return images at most `radius` (l2) from those of `examples`, towards their labels.

    float32 [n, C, H, W] in [0, 1]. PGD with a random start, as in advertorch's L2PGDAttack: the
    start is a uniform image, brought into the ball; each step goes down the cross-entropy, whose
    gradient is normalised, and back into [0, 1] and the ball. The last image is returned, whether
    or not the model takes it for the label. In eval mode and fp32.
    """
    device = examples.labels.device
    generator = torch.Generator(device).manual_seed(seed)
    found = []
    with recorder().timed("targeted search", device), frozen(model):
        for pixels, labels in examples.batches(batch):
            start = torch.rand(pixels.shape, generator=generator, device=device)
            away = shortened(start - pixels, radius)
            for _ in range(STEPS):
                here = (pixels + away).requires_grad_()
                loss = functional.cross_entropy(model(here), labels, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, here)
                along = STEP * gradient / rows(norms(gradient).clamp_min(1e-6))
                inside = (here.detach() - along).clamp_(0.0, 1.0)
                away = shortened(inside - pixels, radius)
            found.append((pixels + away).clamp_(0.0, 1.0))
    return torch.cat(found)
