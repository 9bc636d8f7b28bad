"""UNSIR: noise that the model takes for anything but a class, learnt under that class's name."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Optimizer, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import Examples, finetune, recorder
from unlearnbench.toolkit.optimisers import Adam


class Unsir(Method):
    """Impair the model with error-maximising noise under the forgotten labels, then repair it.

    For each class in D_F, images of noise climb the cross-entropy of its label on the model as it
    is, kept short by their squared norm. A pass over them, under that label, and a few samples of
    D_R impairs; another over these samples alone repairs. Of D_F only the labels are used. Needs
    the retain set. Made for forgetting classes: on a random forget set the noise, an image for each
    sample of D_F, speaks against classes that D_R still holds.

    Its defaults, most of them its authors', ruin a small model of a few hundred images and have to
    be tuned there.

    Source: Tarun et al. (arXiv 2111.08947) and the authors' notebook for CIFAR-10.

    Differences: a class has as many noise images as samples in D_F, a batch of at most 256 over and
    over; the notebook's 20 copies of 256 are that for the 5,000 of a class. Its images have mean 0
    and deviation 1 in each channel, and so does its noise at first; here noise has the mean and
    deviation of the samples of D_R, and may leave [0, 1] too. The notebook, which forgets classes 0
    and 2, shows both noises under the label 0; here each is shown under its own. Noise is made in
    eval mode, the model being fixed; in the notebook's train mode BatchNorm's statistics follow the
    noise. Samples of D_R are drawn, and augmented as the recipe does; in the notebook they are the
    first of each class, as they are.
    """

    title = "UNSIR"
    paper = "https://arxiv.org/abs/2111.08947"
    equation = r"""
    N_y = \operatorname{argmin}_{N} \; -\ell(f_{\theta_o}(N), y) + \lambda \|N\|_2^2
    \min_\theta L(\theta; D'_R \cup \{(N_y, y) : (x, y) \in D_F\})
    \text{then } \min_\theta L(\theta; D'_R), \quad D'_R \subset D_R
    """
    needs_retain = True

    lr: float = param(
        0.02, gt=0, help="learning rate that impairs", search=(1e-4, 1e-1), source="authors' code"
    )
    repair_lr: float = param(
        0.01, gt=0, help="learning rate that repairs", search=(1e-4, 1e-1), source="authors' code"
    )
    epochs: int = param(
        1,
        ge=1,
        help="passes that impair, and that repair",
        search=(1, 10),
        source="authors' code: 72 and 32 steps for CIFAR-10",
    )
    share: float = param(
        0.2,
        gt=0,
        le=1,
        help="of the retain set that is shown",
        search=(0.1, 1.0),
        source="authors' code: 1,000 of the 5,000 of a class of CIFAR-10",
    )
    noise_steps: int = param(40, ge=1, help="steps of the noise", source="authors' code")
    noise_lr: float = param(0.1, gt=0, help="learning rate of the noise", source="authors' code")
    noise_decay: float = param(
        0.1, ge=0, help="lambda: weight of the noise's squared norm", source="authors' code"
    )
    optimizer: Optimizer | None = param("adam", help="sgd, adam or adamw", source="authors' code")
    weight_decay: float | None = param(0.0, ge=0, help="weight decay", source="authors' code")
    batch_size: int | None = param(256, ge=1, help="samples a step", source="authors' code")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Make the noise, learn it, and learn the retain samples again."""
        retain = task.require_retain()
        generator = torch.Generator(task.device).manual_seed(seed_for(task.seed, "share"))
        order = torch.randperm(len(retain), generator=generator, device=task.device)
        shown = kept = retain.select(order[: round(self.share * len(retain))])
        with recorder().timed("noise", task.device):
            for label in torch.unique(task.forget.labels):
                own = task.forget.select(task.forget.labels == label)
                noise = self._noise(model, own, kept, seed_for(task.seed, "noise", int(label)))
                copies = torch.arange(len(own), device=task.device) % len(noise)
                shown += replace(own, images=noise[copies]).unaugmented()
        seeds = [seed_for(task.seed, step) for step in ("impair", "repair")]
        finetune(model, shown, lr=self.lr, epochs=self.epochs, seed=seeds[0])
        return finetune(model, kept, lr=self.repair_lr, epochs=self.epochs, seed=seeds[1])

    def _noise(self, model: nn.Module, own: Examples, kept: Examples, seed: int) -> Tensor:
        """Return images, [at most 256, C, H, W], that the model takes for anything but `own`."""
        pixels, _ = next(kept.batches(len(kept)))
        deviation, mean = torch.std_mean(pixels, (0, 2, 3), correction=0, keepdim=True)
        labels, size = own.labels[:256], pixels.shape[1:]
        generator = torch.Generator(labels.device).manual_seed(seed)
        draw = torch.randn(len(labels), *size, generator=generator, device=labels.device)
        noise = nn.Parameter(draw)
        optimizer = Adam([noise])
        model.eval()
        for _ in range(self.noise_steps):
            fitted = functional.cross_entropy(model(mean + deviation * noise), labels)
            norm = noise.square().flatten(1).sum(1).mean()
            (noise.grad,) = torch.autograd.grad(self.noise_decay * norm - fitted, noise)
            optimizer.step(self.noise_lr)
        return (mean + deviation * noise).detach()
