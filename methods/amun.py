"""AMUN: adversarial machine unlearning."""

from typing import ClassVar, Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import adversarial_examples, finetune, saliency_mask


class Amun(Method):
    """Fine-tune on the nearest adversarial example of each forgotten sample, wrongly labelled.

    Source: "Not All Wrong is Bad" (arXiv 2503.00917), Algorithm 1. D_A is searched on the original
    model, before the first request, and labelled by it; D_F keeps its true labels. Full access:
    D_R + D_F + D_A; forget-only: D_F + D_A. D_R and D_F are augmented as in training, D_A is not
    (the authors' code; the paper is silent). `keep` < 1 restricts the update to SalUn's mask,
    frozen weights staying bit-equal: AMUN+SalUn. `source` = "other" takes D_A, images and labels,
    from another original, trained on all data from another seed: the transfer of the paper's Table
    8, which does not say whose labels it used.
    """

    paper = "https://arxiv.org/abs/2503.00917"
    other_if: ClassVar[dict[str, object]] = {"source": "other"}

    lr: float = param(0.01, gt=0, help="learning rate", search=(1e-3, 1e-1))
    epochs: int = param(10, ge=1, help="passes over all sets")
    decay_every: int = param(1, ge=1, help="epochs between two decays of lr by 0.1", search=(1, 10))
    radius: float = param(0.04, gt=0, help="first l2 radius of the search")
    search: Literal["paper", "closest", "one-step"] = param(
        "paper", help="for D_A; closest: nearer for a tenth of the gradients; one-step: weaker"
    )
    source: Literal["self", "other"] = param("self", help="model that D_A is searched on")
    keep: float = param(1.0, gt=0, le=1, help="share of weights that may change (1: all)")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on the three sets together."""
        mask = saliency_mask(model, task.forget, keep=self.keep)
        searched = task.require_other() if self.source == "other" else task.original
        adversarial = adversarial_examples(
            searched, task.forget, radius=self.radius, search=self.search, seed=task.seed
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
