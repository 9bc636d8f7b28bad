"""RL: random labels."""

from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, finetune, random_labels


class RandomLabel(Method):
    """Fine-tune on wrong labels for the forget set and right ones for the retain set.

    Labels are uniform over the wrong classes, both sets shuffled together. Under forget-only access
    D_F is all there is.

    Source: the amnesiac form of Graves et al. (arXiv 2010.10981), as in AMUN's comparison.

    Differences: "RL" names at least five algorithms. AMUN's code, followed here, draws the labels
    anew each time (`redraw`: each epoch); SFRon's and the amnesiac form draw them once. SalUn's
    code instead draws over all classes, the right one included, and passes over D_F, then over D_R.
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
    redraw: bool = param(
        True,
        help="draw the wrong labels anew each epoch",
        source="AMUN's code: at each access; SFRon's: false",
    )

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
