"""AMUN: adversarial machine unlearning."""

from typing import ClassVar, Literal

from torch import Tensor, nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import (
    Examples,
    adversarial_pairs,
    adversarial_search,
    finetune,
    saliency_mask,
    stand_in,
)
from unlearnbench.toolkit.stand_ins import DRAWN


class Amun(Method):
    """Fine-tune on the nearest adversarial example of each forgotten sample, wrongly labelled.

    D_A is searched on the original model, before the first request, and labelled by it; D_F keeps
    its true labels. Full access: D_R + D_F + D_A; forget-only: D_F + D_A; `with_forget` = false
    leaves D_F out, as the paper does where it is very large. `keep` < 1 restricts the update to
    SalUn's mask, of the original model as well: AMUN+SalUn. `source` = "other" takes D_A, images
    and labels, from another original, trained on all data from another seed: the transfer of the
    paper's table 8. `pairs` puts one of the ablation's stand-ins in place of D_A.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: "Not All Wrong is Bad" (arXiv 2503.00917), Algorithm 1.

    Differences: where the paper is silent the authors' code is followed: D_R and D_F are augmented
    as in training, D_A is not; a sample leaves the search at the first step at which it is
    misclassified; after `steps` steps without success the radius is doubled and the search goes on
    from where it is, not from the image; transferred examples have the other model's labels; random
    points and labels of stand-ins are drawn again each epoch, and for `pairs` = "orig" nothing is
    augmented, which is left to `augment_retain` and `augment_forget`. The code's learning rate
    falls every epoch by the script for tuning, and in 10 epochs never by the one that trains: the
    former is the default. Not as there: the search climbs the margin and not the cross-entropy,
    which has the same direction but rounds to nothing where a model is very sure, so that labels
    may differ there; it gives up, and shows no pair, where no image in [0, 1] is left to reach. The
    mask is as in the paper, of theta_o and the request's D_F; the code takes one of the whole list
    of requests, and lets weight decay move frozen weights, which here stay bit-equal. Its gradients
    are summed over clean samples, there over the means of augmented batches.
    """

    title = "AMUN"
    paper = "https://arxiv.org/abs/2503.00917"
    other_if: ClassVar[dict[str, object]] = {"source": "other"}
    shared_settings: ClassVar[tuple[str, ...] | None] = ("radius", "steps", "search", "source")
    equation = r"""
    \min_\theta L(\theta; D_R \cup D_F \cup D_A)
    D_A = \{(x + \delta_x, \hat{y}_x) : (x, y) \in D_F\}
    \hat{y}_x = \operatorname{argmax} f_{\theta_o}(x + \delta_x) \ne y
    """

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate",
        search=(1e-3, 1.0),
        source="authors' code, default; the paper searches 1e-6 to 1e-1",
    )
    epochs: int = param(10, ge=1, help="passes over all sets", source="paper, appendix C")
    decay_every: int = param(
        1,
        ge=1,
        help="epochs between two decays of lr by 0.1",
        search=(1, 10),
        source="authors' tuning script, default; training script: 40; the paper: 1, 5 or never",
    )
    radius: float = param(
        0.04,
        gt=0,
        help="first l2 radius of the search",
        source="authors' code; paper, figure 4, for CIFAR-10",
    )
    steps: int = param(
        50,
        ge=1,
        help="of PGD before the radius is doubled",
        source="paper, section 4; its figure 4 for Tiny ImageNet: 10 and 20",
    )
    search: Literal["paper", "closest", "one-step"] = param(
        "paper",
        help="for D_A; closest: nearer for a tenth of the gradients; one-step: weaker",
        source="paper, section 4: PGD, the radius doubled; table 9: one-step; closest is ours",
    )
    source: Literal["self", "other"] = param(
        "self", help="model that D_A is searched on", source="paper, section 4; table 8: others"
    )
    keep: float = param(
        1.0,
        gt=0,
        le=1,
        help="share of weights that may change (1: all)",
        search=(0.1, 0.9),
        source="paper: all; AMUN+SalUn (appendix D) searches 0.1 to 0.9",
    )
    with_forget: bool = param(
        True,
        help="show D_F, under its true labels, beside D_A",
        source="paper, section 4; left out where D_F is very large",
    )
    augment_retain: bool = param(
        True, help="augment D_R as the recipe does", source="authors' code"
    )
    augment_forget: bool = param(
        True, help="augment D_F as the recipe does", source="authors' code"
    )
    augment_adversarial: bool = param(
        False, help="augment D_A as the recipe does", source="authors' code; the paper is silent"
    )
    pairs: Literal["adv", "orig", "adv-rs", "adv-rl", "orig-rl", "orig-advl"] = param(
        "adv",
        help="what is shown as D_A; all but adv are for ablations",
        source="paper, section 3.2 and its figure 1",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on the three sets together."""
        found = task.shared or self.shared_work(task)
        adversarial, clean = adversarial_pairs(task.forget, found)

        def examples(epoch: int) -> Examples:
            seed = seed_for(task.seed, "stand-in", epoch)
            shown = stand_in(self.pairs, adversarial, clean, task.classes, seed=seed)
            shown = shown.augmented(self.augment_adversarial)
            if self.with_forget:
                shown += task.forget.augmented(self.augment_forget)
            if task.retain is not None:
                shown += task.retain.augmented(self.augment_retain)
            return shown

        return finetune(
            model,
            examples if self.pairs in DRAWN else examples(0),
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            mask=saliency_mask(task.original, task.forget, keep=self.keep),
            seed=task.seed,
        )

    def shared_work(self, task: Task) -> dict[str, Tensor]:
        """Search the adversarial example of each forgotten sample."""
        searched = task.require_other() if self.source == "other" else task.original
        return adversarial_search(
            searched,
            task.forget,
            radius=self.radius,
            steps=self.steps,
            search=self.search,
            seed=task.seed,
        )
