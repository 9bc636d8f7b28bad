"""SalUn: random labels under a saliency mask."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, finetune, random_labels, saliency_mask


class SalUn(Method):
    """Fine-tune on random labels, changing only the weights that the forget set speaks to.

    Source: SalUn (arXiv 2310.12508), equations 3 to 6 with alpha = 1, in the form of AMUN's
    comparison: wrong labels only, drawn anew each epoch, D_F and D_R shuffled together (the
    authors' code passes over them in turn). Weights outside the mask stay bit-equal: the authors'
    code before February 2026, and most copies, let weight decay and momentum move them. BatchNorm's
    running statistics are not weights and are not masked.
    """

    paper = "https://arxiv.org/abs/2310.12508"

    lr: float = param(0.013, gt=0, help="learning rate", search=(5e-4, 1e-1))
    epochs: int = param(10, ge=1, help="passes over forget and retain sets")
    decay_every: int = param(10, ge=1, help="epochs between two decays of lr by 0.1")
    keep: float = param(0.5, gt=0, le=1, help="share of weights that may change", search=(0.1, 0.9))

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
