"""Boundary expanding: the forget set in a class of its own, which is then dropped."""

import torch
from torch import Tensor, nn

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import finetune, last_layer


class BoundaryExpand(Method):
    """Fine-tune on forget samples under the label of a shadow class, whose logit is then dropped.

    The last layer has one more output while the model learns; what is returned is as wide as
    before. D_F alone, whatever the access. Made for forgetting a class: on a random forget set
    samples of all classes share the one shadow class.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Chen et al. (arXiv 2303.11570): Boundary Expanding.

    Differences: the new output begins with Xavier's normal weights and no bias, and all weights
    learn, as in the authors' code. That code augments nothing; here the recipe says. SalUn's port
    goes on to measure the model with the extra logit; it is dropped here, as in the authors' code.
    """

    title = "Boundary Expanding"
    paper = "https://arxiv.org/abs/2303.11570"
    equation = r"""
    \min_{\theta, w} L((f_\theta, w^\top h_\theta); D'_F), \quad D'_F = \{(x, K + 1) : x \in D_F\}
    h_\theta(x): \text{ inputs of the last layer}, \quad f_\theta \text{ alone is kept}
    """

    lr: float = param(1e-5, gt=0, help="learning rate", search=(1e-6, 1e-1), source="authors' code")
    epochs: int = param(10, ge=1, help="passes over the forget set", source="authors' code")
    optimizer: Optimizer | None = param("sgd", help="sgd, adam or adamw", source="authors' code")
    momentum: float | None = param(0.9, ge=0, lt=1, help="momentum of SGD", source="authors' code")
    weight_decay: float | None = param(0.0, ge=0, help="weight decay", source="authors' code")
    batch_size: int | None = param(64, ge=1, help="samples a step", source="authors' code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_F under the shadow class."""
        layer = last_layer(model)
        inputs = layer.in_features
        layer.shadow = shadow = nn.Linear(inputs, 1, device="meta").to_empty(device=task.device)
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "shadow"))
        spread = (2 / (inputs + task.classes + 1)) ** 0.5
        nn.init.normal_(shadow.weight, std=spread, generator=generator)
        nn.init.zeros_(shadow.bias)

        def widen(layer: nn.Module, given: tuple[Tensor], logits: Tensor) -> Tensor:
            # Whoever looks on does so in eval mode, and sees the model as it would be returned.
            return torch.cat((logits, shadow(*given)), 1) if layer.training else logits

        widened = layer.register_forward_hook(widen)
        shown = task.forget.relabel(torch.full_like(task.forget.labels, task.classes))
        finetune(model, shown, lr=self.lr, epochs=self.epochs, seed=task.seed)
        widened.remove()
        del layer.shadow
        return model
