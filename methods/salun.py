"""SalUn: random labels under a saliency mask."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import learn_random_labels, saliency_mask


class SalUn(Method):
    """Fine-tune on random labels, changing only weights with a large forget-set gradient.

    The mask keeps the weights with the largest gradient of the forget set's loss, gamma being the
    threshold that keeps the share `keep` of all weights. BatchNorm's running statistics are not
    weights and are not masked.

    Source: SalUn (arXiv 2310.12508), equations 3 to 6 with alpha = 1.

    Differences: labels are by default the wrong ones only, as in the paper, drawn again each epoch,
    with D_F and D_R shuffled together, as in AMUN's comparison. The authors' code for CIFAR-10
    draws from all classes, again for each batch, and passes over D_F, then over D_R: `labels` =
    "any", `order` = "in-turn"; that for CIFAR-100 and Tiny ImageNet draws so too, but shuffles the
    sets together. Its batches are of 256, the recipe's here unless `batch_size` says so. Weights
    outside the mask stay bit-equal: that code before February 2026, and most copies of it, AMUN's
    among them, let weight decay and momentum move them. The mask is of clean images and a sum over
    samples, theirs of augmented ones and a sum of batches' means. With requests in a row theta_o
    is what the request before left; AMUN's code goes on with one mask.
    """

    title = "SalUn"
    paper = "https://arxiv.org/abs/2310.12508"
    equation = r"""
    \min_\theta L(m \odot \theta + (1 - m) \odot \theta_o; D'_F \cup D_R)
    D'_F = \{(x, y') : (x, y) \in D_F\}, \quad y' \ne y \text{ at random}
    m_i = 1 \text{ if } |\nabla_{\theta_i} L(\theta_o; D_F)| \ge \gamma, \text{ else } 0
    """

    lr: float = param(
        0.013,
        gt=0,
        help="learning rate",
        search=(5e-5, 1e-1),
        source="authors' README, for 10 % forgotten",
    )
    epochs: int = param(
        10, ge=1, help="passes over forget and retain sets", source="authors' README"
    )
    decay_every: int = param(
        10,
        ge=1,
        help="epochs between two decays of lr by 0.1",
        source="no decay: the authors' code has its first at epoch 91",
    )
    keep: float = param(
        0.5,
        gt=0,
        le=1,
        help="share of weights that may change",
        search=(0.1, 0.9),
        source="authors' README; AMUN's comparison searches 0.1 to 0.9",
    )

    labels: Literal["wrong", "any"] = param(
        "wrong",
        help="from which labels one is drawn; any: the right one may be drawn too",
        source="AMUN's comparison; authors' code: any",
    )
    order: Literal["mixed", "in-turn"] = param(
        "mixed",
        help="D_F and D_R shuffled together, or each epoch all of D_F, then all of D_R",
        source="AMUN's comparison; authors' code for CIFAR-10: in-turn",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the random-label loss over the salient weights."""
        return learn_random_labels(
            model,
            task,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            labels=self.labels,
            redraw=True,
            order=self.order,
            mask=saliency_mask(model, task.forget, keep=self.keep),
        )
