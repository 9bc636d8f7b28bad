"""RL: random labels."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, finetune, random_labels


class RandomLabel(Method):
    """Fine-tune on wrong labels for the forget set and right ones for the retain set.

    "RL" names at least five algorithms. This is the one in AMUN's comparison: labels uniform over
    the wrong classes only, drawn anew each epoch (`redraw`; SFRon's and the amnesiac form draw them
    once), both sets shuffled together. Under forget-only access D_F is all there is. SalUn's code
    instead draws over all classes, the right one included, and passes over D_F, then over D_R.
    """

    paper = "https://arxiv.org/abs/2010.10981"

    lr: float = param(0.01, gt=0, help="learning rate", search=(1e-4, 1e-1))
    epochs: int = param(10, ge=1, help="passes over forget and retain sets")
    decay_every: int = param(10, ge=1, help="epochs between two decays of lr by 0.1")
    redraw: bool = param(True, help="draw the wrong labels anew each epoch")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_F under wrong labels and D_R under its own."""

        def examples(epoch: int) -> Examples:
            seed = seed_for(task.seed, "labels", epoch if self.redraw else 0)
            return random_labels(task.forget, task.classes, seed=seed) + task.retain

        return finetune(
            model,
            examples,
            lr=self.lr,
            epochs=self.epochs,
            decay_every=self.decay_every,
            seed=task.seed,
        )
