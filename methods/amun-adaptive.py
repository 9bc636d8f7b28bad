"""AMUN-adaptive: AMUN for requests in a row."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import adversarial_examples, finetune, saliency_mask


class AmunAdaptive(Method):
    """Run AMUN with adversarial examples of the current model, not of the original one.

    Source: "Not All Wrong is Bad" (arXiv 2503.00917), section 6.3 (AMUN-A). D_A is searched anew on
    the model as earlier requests left it, so the first request is AMUN's and the two part from the
    second on. All else as in AMUN. The authors' code has this behind a flag that none of their
    scripts sets.
    """

    paper = "https://arxiv.org/abs/2503.00917"

    lr: float = param(0.01, gt=0, help="learning rate", search=(1e-3, 1e-1))
    epochs: int = param(10, ge=1, help="passes over all sets")
    decay_every: int = param(1, ge=1, help="epochs between two decays of lr by 0.1", search=(1, 10))
    radius: float = param(0.04, gt=0, help="first l2 radius of the search")
    search: Literal["paper", "closest", "one-step"] = param(
        "paper", help="for D_A; closest: nearer for a tenth of the gradients; one-step: weaker"
    )
    keep: float = param(1.0, gt=0, le=1, help="share of weights that may change (1: all)")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on the three sets together."""
        mask = saliency_mask(model, task.forget, keep=self.keep)
        adversarial = adversarial_examples(
            model, task.forget, radius=self.radius, search=self.search, seed=task.seed
        )
        return finetune(
            model,
            adversarial + task.forget + task.retain,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            mask=mask,
            seed=task.seed,
        )
