"""Fisher forgetting (FF): noise on the weights, most where the retain set does not need them."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, each_with_own_weights


class FisherForgetting(Method):
    """Add Gaussian noise to every weight, the less of it the more the retain set depends on it.

    F is the diagonal of the Fisher matrix on D_R, in expectation over the labels that the model
    itself gives: exact, from the gradients of single samples, one a class; clean images, eval mode.
    So it costs as many gradients as |D_R| times the number of classes, and memory for 32 of them;
    no training. The noise of a weight has variance (alpha / F)^(1/2). Needs the retain set.

    Source: Golatkar et al. (arXiv 1911.04933), their Fisher forgetting; the paper's lambda
    sigma_h^2 is alpha.

    Differences: the paper's noise is followed; it grows without bound as F goes to 0, so F is kept
    at `floor` at least, as in the authors' code. That code has the variance alpha / F instead, its
    mean over the inputs of each layer, 10 times as much in the last layer (where 1 / F is at most
    100) and in vectors such as BatchNorm's, and, to forget a class, zeroes the last layer's weights
    of that class: none of it is done here. SalUn's copy takes gradients of means of 32 samples in
    place of single ones, which is not the Fisher matrix any more, and zeroes the weights of the
    last class where 10 % of CIFAR-10 are forgotten at random.
    """

    title = "FF"
    paper = "https://arxiv.org/abs/1911.04933"
    equation = r"""
    \theta_i = \theta_{o,i} + (\alpha / F_i)^{1/4} \epsilon_i, \quad \epsilon \sim \mathcal{N}(0, I)
    F_i = \mathbb{E}_{x \in D_R,\, y \sim p_x} (\partial \log p_x(y) / \partial \theta_i)^2
    """
    needs_retain = True
    trains = False

    alpha: float = param(
        1e-9,
        gt=0,
        help="strength of the noise",
        search=(1e-12, 1e-6),
        source="ours: where F is at its floor, as much noise as the authors' code with its 1e-6",
    )
    floor: float = param(
        1e-3,
        gt=0,
        help="least F of a weight",
        search=(1e-10, 1e-2),
        source="authors' code: 1 / F is 1000 at most",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Add the noise."""
        fisher = _fisher(model, task.require_retain(), task.classes)
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "noise"))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator, device=task.device)
                scale = (self.alpha / fisher[name].clamp_min(self.floor)).pow(0.25)
                parameter.add_(scale * noise)
        return model


def _fisher(model: nn.Module, examples: Examples, classes: int) -> dict[str, Tensor]:
    """Return, by parameter, the diagonal of the Fisher matrix over some images."""
    model.eval()
    diagonal = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    for pixels, _ in examples.batches(32):
        weights, logits = each_with_own_weights(model, pixels)
        scores = logits.log_softmax(1)
        for label in range(classes):
            score = torch.autograd.grad(
                scores[:, label].sum(), [*weights.values()], retain_graph=True
            )
            chances = scores[:, label].detach().exp()
            for name, of_each in zip(weights, score, strict=True):
                weighted = torch.einsum("n,n...->...", chances, of_each.square())
                diagonal[name] += weighted / len(examples)
    return diagonal
