"""SalUn: random labels under a saliency mask."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, finetune, random_labels, saliency_mask


class SalUn(Method):
    """Fine-tune on random labels, changing only the weights that the forget set speaks to.

    The mask keeps the weights with the largest gradient of the forget set's loss, gamma being the
    threshold that keeps the share `keep` of all weights. BatchNorm's running statistics are not
    weights and are not masked.

    Source: SalUn (arXiv 2310.12508), equations 3 to 6 with alpha = 1.

    Differences: the form of AMUN's comparison is followed: wrong labels only, drawn anew each
    epoch, D_F and D_R shuffled together; the authors' code draws over all classes and passes over
    the sets in turn. Weights outside the mask stay bit-equal: the authors' code before February
    2026, and most copies, let weight decay and momentum move them.
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

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the random-label loss over the salient weights."""
        mask = saliency_mask(model, task.forget, keep=self.keep)

        def examples(epoch: int) -> Examples:
            seed = seed_for(task.seed, "labels", epoch)
            return random_labels(task.forget, task.classes, seed=seed) + task.retain

        return finetune(
            model,
            examples,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            mask=mask,
            seed=task.seed,
        )
