"""RL: random labels."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import learn_random_labels


class RandomLabel(Method):
    """Fine-tune on random labels for the forget set and right ones for the retain set.

    Labels are uniform over the wrong classes, both sets shuffled together. Under forget-only access
    D_F is all there is.

    Source: the amnesiac form of Graves et al. (arXiv 2010.10981), as in AMUN's comparison.

    Differences: "RL" names at least five algorithms. By default it is that of AMUN's code, which
    draws a label again each time that a sample is shown: here each epoch. The amnesiac form and
    SFRon's draw labels once: `redraw` = false. SalUn's code for CIFAR-10 and SVHN draws from all
    classes, the right one among them, and passes over D_F, then over D_R: `labels` = "any", `order`
    = "in-turn"; that for CIFAR-100 and Tiny ImageNet draws so too, but shuffles the sets together:
    `labels` = "any" alone. Its batches are of 256, the recipe's here unless `batch_size` says so.
    """

    title = "RL"
    paper = "https://arxiv.org/abs/2010.10981"
    equation = r"""
    \min_\theta L(\theta; D'_F \cup D_R)
    D'_F = \{(x, y') : (x, y) \in D_F\}, \quad y' \ne y \text{ at random}
    """

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate",
        search=(1e-4, 1e-1),
        source="ours: in the grid of AMUN's code, which names no choice",
    )
    epochs: int = param(
        10, ge=1, help="passes over forget and retain sets", source="AMUN's paper, appendix C"
    )
    decay_every: int = param(
        10,
        ge=1,
        help="epochs between two decays of lr by 0.1",
        source="ours: no decay; AMUN's code searches 1, 5, 10",
    )
    labels: Literal["wrong", "any"] = param(
        "wrong",
        help="from which labels one is drawn; any: the right one may be drawn too",
        source="AMUN's and SFRon's code; SalUn's: any",
    )
    redraw: bool = param(
        True,
        help="draw the labels again each epoch",
        source="AMUN's and SalUn's code; SFRon's: false",
    )
    order: Literal["mixed", "in-turn"] = param(
        "mixed",
        help="D_F and D_R shuffled together, or each epoch all of D_F, then all of D_R",
        source="AMUN's and SFRon's code; SalUn's for CIFAR-10: in-turn",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_F under random labels and D_R under its own."""
        return learn_random_labels(
            model,
            task,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            labels=self.labels,
            redraw=self.redraw,
            order=self.order,
        )
