"""MSG: masked small gradients."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, Schedule, convolutions, finetune


class MaskedSmallGradients(Method):
    """Replace the convolution weights that separate the sets least, then fine-tune gently.

    In each convolution the share with the smallest difference between the gradients on D_F and on
    as many samples of D_R is drawn by Kaiming's rule. Fine-tuning on D_R then takes a tenth of the
    gradient of the convolution weights that were kept; all else is trained as usual. The rate rises
    to the middle epoch and falls again. Not for models without convolutions. Needs the retain set.

    Source: a solution of the NeurIPS 2023 unlearning challenge in the form that Deep Unlearn (Cadet
    et al., arXiv 2410.01276) tried, where it was among the two best of 18; their code.

    Differences: their gradients are sums of means of batches, in train mode, which moves
    BatchNorm's statistics; here they are means over samples, in eval mode, and where D_R is the
    smaller set all of it is taken. In their code D_R is not augmented; here it is as the recipe
    says, but for these gradients. Momentum 0.9 and weight decay 5e-4, theirs, are left to the
    recipe, as a rule the same; as there weight decay is not damped.
    """

    title = "MSG"
    paper = "https://arxiv.org/abs/2410.01276"
    equation = r"""
    d = |\nabla L(\theta_o; D'_R) - \nabla L(\theta_o; D_F)|, \quad |D'_R| = |D_F|
    m_i = 1 \text{ for the smallest } d_i \text{ of each convolution, else } 0
    \theta = m \odot \epsilon + (1 - m) \odot \theta_o, \quad \epsilon \sim \mathcal{N}(0, 2 / n)
    \min_\theta L(\theta; D_R), \quad \nabla \gets (m + \beta (1 - m)) \odot \nabla
    """
    needs_retain = True

    share: float = param(
        0.3,
        ge=0,
        le=1,
        help="of each convolution's weights, replaced by fresh ones",
        search=(0.1, 0.9),
        source="Deep Unlearn's code",
    )
    damping: float = param(
        0.1,
        ge=0,
        le=1,
        help="beta: factor of the gradients of convolution weights that are kept",
        source="Deep Unlearn's code",
    )
    lr: float = param(
        1e-3,
        gt=0,
        help="learning rate in the middle epoch",
        search=(1e-4, 1.0),
        source="Deep Unlearn's code",
    )
    epochs: int = param(5, ge=1, help="passes over the retain set", source="Deep Unlearn's code")
    batch_size: int | None = param(64, ge=1, help="samples a step", source="Deep Unlearn's code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Draw fresh weights, then minimise the cross-entropy on D_R."""
        retain, weights = task.require_retain(), [layer.weight for layer in convolutions(model)]
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "weights"))
        order = torch.randperm(len(retain), generator=generator, device=task.device)
        kept = _gradients(model, weights, retain.select(order[: len(task.forget)]))
        lost = _gradients(model, weights, task.forget)
        hooks = []
        for weight, one, other in zip(weights, kept, lost, strict=True):
            anew = _least((one - other).abs(), self.share)
            fresh = torch.empty(weight.shape, device=task.device)
            nn.init.kaiming_normal_(fresh, mode="fan_out", nonlinearity="relu", generator=generator)
            with torch.no_grad():
                weight.copy_(torch.where(anew, fresh, weight))
            damped = torch.where(anew, 1.0, self.damping).mul
            hooks.append(weight.register_hook(damped))  # type: ignore[no-untyped-call]
        finetune(model, retain, lr=self.lr, epochs=self.epochs, schedule=self._rise, seed=task.seed)
        for hook in hooks:
            hook.remove()
        return model

    def _rise(self, peak: float, steps: int) -> Schedule:
        """Return the rate by step: up by equal parts to the middle epoch, then down."""
        middle, end = (self.epochs + 1) // 2, self.epochs + 1

        def rate(step: int) -> float:
            begun = step * self.epochs // steps + 1
            return peak * min(begun / middle, (end - begun) / (end - middle))

        return rate


def _gradients(model: nn.Module, weights: list[Tensor], examples: Examples) -> list[Tensor]:
    """Return the gradients of the mean cross-entropy with respect to some weights, in eval mode."""
    model.eval()
    total = [torch.zeros_like(weight) for weight in weights]
    for pixels, labels in examples.batches(512):
        loss = functional.cross_entropy(model(pixels), labels, reduction="sum") / len(examples)
        for mean, gradient in zip(total, torch.autograd.grad(loss, weights), strict=True):
            mean += gradient
    return total


def _least(values: Tensor, share: float) -> Tensor:
    """Mark a share of values, the smallest: a bool tensor of their shape."""
    least = values.flatten().topk(round(share * values.numel()), largest=False).indices
    mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    mask[least] = True
    return mask.view_as(values)
