"""EU-k: exact unlearning of the last k layers."""

import torch
from torch import nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import only_last_layers, train


class EUk(Method):
    """Reinitialise the last k layers and train them on the retain set, the others frozen.

    By the original's recipe, all of its epochs, as retraining does. A layer is a convolution or a
    linear layer with the BatchNorm after it; the order is that in which the model names them. With
    k of at least all layers it is retraining. Needs the retain set.

    Source: Goel et al. (arXiv 2201.06640) and their code, which trains as their originals were
    trained, and as long.

    Differences: the last layers are drawn as the architecture draws them, BatchNorm's weights and
    statistics included; the authors' code draws convolutions and linear layers by Kaiming's rule
    and leaves BatchNorm's weights as they were. They clip the norm of the gradient at 10, which is
    not done here. k is a sweep in their scripts, and so is its default ours. As in their code
    BatchNorm's running statistics follow D_R in frozen layers too. Other comparisons mean something
    else: Deep Unlearn (arXiv 2410.01276) draws whole stages of a ResNet and the classifier again,
    and trains them in eval mode for 10 epochs at 0.01, decayed by steps.
    """

    title = "EU-k"
    paper = "https://arxiv.org/abs/2201.06640"
    equation = r"""
    \theta_{(k)} = \operatorname{argmin} L(\theta; D_R) \text{ from fresh weights}
    \theta_{(k)}: \text{ the weights of the last } k \text{ layers, the others as in } \theta_o
    """
    needs_retain = True

    last: int = param(
        2,
        ge=1,
        help="k: layers that are trained, from the end",
        search=(1, 10),
        source="ours: authors' scripts take 1 to 14 with ResNet-20, 1 to 50 with ResNet-110",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Train the last layers from scratch."""
        fresh = task.untrained(seed_for(task.seed, "layers")).state_dict()
        with only_last_layers(model, self.last) as names:
            with torch.no_grad():
                for name in names:
                    model.state_dict()[name].copy_(fresh[name])
            return train(model, task.require_retain(), seed=task.seed)
