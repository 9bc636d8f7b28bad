"""NegGrad+: descent on what is kept and ascent on what is forgotten, in one step."""

from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Trainer


class NegGradPlus(Method):
    """Minimise the loss on the retain set minus a small share of that on the forget set.

    One step a batch of D_R; batches of D_F come round again as often as needed. Needs the retain
    set.

    Source: Kurmanji et al. (SCRUB, arXiv 2302.09880), who compare with it.

    Differences: the authors' alpha goes from 0.95 at small scale to 0.9999; the former is the
    default here.
    """

    title = "NegGrad+"
    paper = "https://arxiv.org/abs/2302.09880"
    equation = r"\min_\theta \alpha L(\theta; D_R) - (1 - \alpha) L(\theta; D_F)"
    needs_retain = True

    lr: float = param(
        0.01,
        gt=0,
        help="learning rate",
        search=(1e-4, 1.0),
        source="authors' code, for membership attacks",
    )
    epochs: int = param(
        5, ge=1, help="passes over the retain set", source="authors' code, for membership attacks"
    )
    alpha: float = param(
        0.95,
        gt=0,
        le=1,
        help="share of D_R in the loss",
        search=(0.5, 1.0),
        source="authors' code, at small scale; 0.9999 at a larger one",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise alpha CE(D_R) - (1 - alpha) CE(D_F)."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        forget = task.forget.endless(trainer.generator)

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            forgotten, its_labels = next(forget)
            kept = functional.cross_entropy(model(pixels), labels)
            lost = functional.cross_entropy(model(forgotten), its_labels)
            return self.alpha * kept - (1 - self.alpha) * lost

        for _ in trainer.epochs(self.epochs):
            trainer.epoch(task.require_retain(), loss=loss)
        return model
