"""AMUN: adversarial machine unlearning."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import adversarial_pairs, finetune, saliency_mask, stand_in


class Amun(Method):
    """Fine-tune on the nearest adversarial example of each forgotten sample, wrongly labelled.

    Source: "Not All Wrong is Bad" (arXiv 2503.00917), Algorithm 1. D_A is searched on the original
    model, before the first request, and labelled by it; D_F keeps its true labels. Full access:
    D_R + D_F + D_A; forget-only: D_F + D_A; `with_forget` = false leaves D_F out, as the paper does
    where it is very large. D_R and D_F are augmented as in training, D_A is not (the authors' code;
    the paper is silent). `keep` < 1 restricts the update to SalUn's mask, frozen weights staying
    bit-equal: AMUN+SalUn. `pairs` puts one of the ablation's stand-ins in the place of D_A.
    """

    paper = "https://arxiv.org/abs/2503.00917"

    lr: float = param(0.01, gt=0, help="learning rate", search=(1e-3, 1e-1))
    epochs: int = param(10, ge=1, help="passes over all sets")
    decay_every: int = param(1, ge=1, help="epochs between two decays of lr by 0.1", search=(1, 10))
    radius: float = param(0.04, gt=0, help="first l2 radius of the search")
    search: Literal["paper", "closest"] = param(
        "paper", help="for D_A; closest: nearer images for a tenth of the gradients"
    )
    keep: float = param(1.0, gt=0, le=1, help="share of weights that may change (1: all)")
    with_forget: bool = param(True, help="show D_F, under its true labels, beside D_A")
    augment_retain: bool = param(True, help="augment D_R as the recipe does")
    augment_forget: bool = param(True, help="augment D_F as the recipe does")
    augment_adversarial: bool = param(False, help="augment D_A as the recipe does")
    pairs: Literal["adv", "orig", "adv-rs", "adv-rl", "orig-rl", "orig-advl"] = param(
        "adv", help="what is shown as D_A; all but adv are for ablations"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on the three sets together."""
        mask = saliency_mask(model, task.forget, keep=self.keep)
        adversarial, clean = adversarial_pairs(
            task.original, task.forget, radius=self.radius, search=self.search
        )
        shown = stand_in(self.pairs, adversarial, clean, task.classes, seed=task.seed)
        shown = shown.augmented(self.augment_adversarial)
        if self.with_forget:
            shown += task.forget.augmented(self.augment_forget)
        if task.retain is not None:
            shown += task.retain.augmented(self.augment_retain)
        return finetune(
            model,
            shown,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            mask=mask,
            seed=task.seed,
        )
