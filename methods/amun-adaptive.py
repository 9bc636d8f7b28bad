"""AMUN-adaptive: AMUN for requests in a row."""

from typing import Literal

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import adversarial_examples, finetune, saliency_mask


class AmunAdaptive(Method):
    """Run AMUN with adversarial examples of the current model, not of the original one.

    D_A is searched again on the model as earlier requests left it, so the first request is AMUN's
    and the two part from the second on. All else as in AMUN, its mask of theta_o included.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: "Not All Wrong is Bad" (arXiv 2503.00917), section 6.3 (AMUN-A).

    Differences: the authors' code has this behind a flag that none of their scripts sets, with an
    option that multiplies the learning rate by 0.9 a request, off by default; there is none here.
    The paper says nothing of masks here. All else as in AMUN.
    """

    title = "AMUN-adaptive"
    paper = "https://arxiv.org/abs/2503.00917"
    twin = "amun"
    equation = r"""
    \theta_i = \operatorname{argmin}_\theta L(\theta; D_R \cup D_F \cup D_A)
    D_A = \{(x + \delta_x, \hat{y}_x) : (x, y) \in D_F\}
    \hat{y}_x = \operatorname{argmax} f_{\theta_{i-1}}(x + \delta_x) \ne y
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
    keep: float = param(
        1.0,
        gt=0,
        le=1,
        help="share of weights that may change (1: all)",
        search=(0.1, 0.9),
        source="paper: all; AMUN+SalUn (appendix D) searches 0.1 to 0.9",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on the three sets together."""
        adversarial = adversarial_examples(
            model,
            task.forget,
            radius=self.radius,
            steps=self.steps,
            search=self.search,
            seed=task.seed,
        )
        return finetune(
            model,
            adversarial + task.forget + task.retain,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            mask=saliency_mask(task.original, task.forget, keep=self.keep),
            seed=task.seed,
        )
