"""CT: transpose the convolutions, then fine-tune."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Schedule, convolutions, cosine, finetune


class ConvolutionTranspose(Method):
    """Swap the two sides of every convolution's kernels, then fine-tune on the retain set.

    The net sees images as if mirrored at their diagonal, and what it memorised does not fit any
    more; features that do not depend on the direction come back fast. Not for models without
    convolutions, and without effect on kernels of 1x1. Needs the retain set.

    Its defaults, most of them its authors', ruin a small model of a few hundred images and have to
    be tuned there.

    Source: a solution of the NeurIPS 2023 unlearning challenge in the form that Deep Unlearn (Cadet
    et al., arXiv 2410.01276) tried, where it was among the two best of 18; their code.

    Differences: in their code D_R is not augmented; here it is as the recipe says. Momentum 0.9 and
    weight decay 5e-4, theirs, are left to the recipe, as a rule the same. The rate changes from
    epoch to epoch, as there.
    """

    title = "CT"
    paper = "https://arxiv.org/abs/2410.01276"
    equation = r"""
    W_{o,i,a,b} \gets W_{o,i,b,a} \text{ for every convolution } W
    \min_\theta L(\theta; D_R) \text{ from there}
    """
    needs_retain = True

    lr: float = param(
        1e-3,
        gt=0,
        help="learning rate at first; it falls along half a cosine",
        search=(1e-4, 1.0),
        source="Deep Unlearn's code",
    )
    epochs: int = param(3, ge=1, help="passes over the retain set", source="Deep Unlearn's code")
    batch_size: int | None = param(64, ge=1, help="samples a step", source="Deep Unlearn's code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Transpose, then minimise the cross-entropy on D_R."""
        with torch.no_grad():
            for layer in convolutions(model):
                layer.weight.copy_(layer.weight.transpose(2, 3).clone())
        return finetune(
            model,
            task.require_retain(),
            lr=self.lr,
            epochs=self.epochs,
            schedule=self._by_epoch,
            seed=task.seed,
        )

    def _by_epoch(self, peak: float, steps: int) -> Schedule:
        """Return the rate by step, which changes from epoch to epoch."""
        return lambda step: cosine(peak, self.epochs)(step * self.epochs // steps)
