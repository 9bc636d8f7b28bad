"""Boundary shrink: the forget set under the label across the nearest boundary."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.toolkit import Trainer


class BoundaryShrink(Method):
    """Fine-tune on forget samples under the label that a step up the loss leads to.

    The label is that of x', the image trained on is the clean x: AMUN's labels without AMUN's
    images. Labels are worked out for each batch, as it is shown, on a fixed net: the original. D_F
    alone, whatever the access, unless `form` = "amun".

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: Chen et al. (arXiv 2303.11570), section 3.2.

    Differences: where the step does not cross a boundary, the paper speaks of the "nearest but
    incorrect" class; the authors' code keeps the true label there, so that the sample is learnt
    once more, and is followed. x' is rounded to 1/255, as in that code. It undoes another
    normalisation than that of its images, so that its step of 0.1 is about a quarter of [0, 1];
    here, as in AMUN's code, it is 0.1 of [0, 1]. It augments nothing; here the recipe says. AMUN's
    comparison is `form` = "amun": each epoch begins with a pass over D_R where it is given (there
    in a fixed order, here shuffled), and then takes the net as it is for the one that labels; its
    weight decay is 5e-4, its batches are of 128, or of 256 for Tiny ImageNet.
    """

    title = "Boundary Shrink"
    paper = "https://arxiv.org/abs/2303.11570"
    equation = r"""
    \min_\theta L(\theta; D'_F), \quad D'_F = \{(x, y') : (x, y) \in D_F\}
    y' = \operatorname{argmax}_k f_{\theta_o}(x')_k
    x' = x + \epsilon \operatorname{sign} \nabla_x \ell(f_{\theta_o}(x), y)
    """

    lr: float = param(1e-5, gt=0, help="learning rate", search=(1e-6, 1e-1), source="authors' code")
    epochs: int = param(10, ge=1, help="passes over the forget set", source="authors' code")
    bound: float = param(
        0.1, gt=0, le=1, help="length of the step in every pixel, of [0, 1]", source="authors' code"
    )
    form: Literal["authors", "amun"] = param(
        "authors",
        help="authors: the original labels; amun: a pass over D_R comes before each pass over D_F,"
        " and the net as it is then labels",
        source="authors' code",
    )
    optimizer: Optimizer | None = param("sgd", help="sgd, adam or adamw", source="authors' code")
    momentum: float | None = param(0.9, ge=0, lt=1, help="momentum of SGD", source="authors' code")
    weight_decay: float | None = param(
        0.0, ge=0, help="weight decay", source="authors' code; AMUN's: 5e-4"
    )
    batch_size: int | None = param(
        64, ge=1, help="samples a step", source="authors' code; AMUN's: 128"
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Minimise the cross-entropy on D_F under its neighbours' labels."""
        trainer = Trainer(model, task.recipe, lr=self.lr, seed=task.seed)
        labelling = task.original

        def loss(pixels: Tensor, labels: Tensor) -> Tensor:
            stepped = self._step(labelling, pixels, labels)
            with torch.no_grad():
                neighbours = labelling(stepped).argmax(1)
            return functional.cross_entropy(model(pixels), neighbours)

        for _ in trainer.epochs(self.epochs):
            if self.form == "amun":
                if task.retain is not None:
                    trainer.epoch(task.retain)
                labelling = copy.deepcopy(model).eval().requires_grad_(False)
            trainer.epoch(task.forget, loss=loss)
        return model

    def _step(self, model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
        """Take the one step up the loss, to one of 256 values in [0, 1]."""
        pixels = pixels.detach().requires_grad_()
        loss = functional.cross_entropy(model(pixels), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels)
        stepped = (pixels.detach() + self.bound * gradient.sign()).clamp(0, 1)
        return (stepped * 255).round() / 255
