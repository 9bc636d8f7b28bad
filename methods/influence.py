"""Influence unlearning (IU): a Newton step with the Hessian that WoodFisher estimates."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import Method, Task, param
from unlearnbench.toolkit import Examples, place_for

BLOCK = 2**28
"""Numbers of the gradients that are multiplied at a time, 1 GB."""


class Influence(Method):
    """Undo what the forget set added to the weights, to first order.

    v is what the gradients on D_F outweigh those on D_R by; H is WoodFisher's estimate of the
    Hessian, from the gradients g of single samples of D_R. Clean images, eval mode. Needs the
    retain set, and memory for `samples` gradients: the machine's where the GPU's does not suffice.

    Its defaults, most of them its authors', do next to nothing to a small model of a few hundred
    images and have to be tuned there.

    Source: influence functions as in Jia et al. (arXiv 2304.04934); WoodFisher: Singh and Alistarh
    (arXiv 2004.14340).

    Differences: Jia et al.'s code keeps two vectors in place of the matrix, which does not give
    its inverse; here it is exact, by the |g| x |g| products (Woodbury). That code starts from the
    identity, so with lambda = 1. It takes the gradients of augmented images, here clean ones, and
    those g of the first 1,000 or so samples of D_R, here of as many at random.
    """

    title = "Influence"
    paper = "https://arxiv.org/abs/2304.04934"
    equation = r"""
    \theta = \theta_o + \alpha H^{-1} v
    v = \frac{|D_F|}{|D|} \left(\nabla L(\theta_o; D_F) - \nabla L(\theta_o; D_R)\right)
    H = \lambda I + \frac{1}{n} \sum_{i=1}^{n} g_i g_i^\top
    """
    needs_retain = True
    trains = False

    alpha: float = param(
        1.0,
        gt=0,
        help="length of the step, in Newton steps",
        search=(0.01, 1000.0),
        source="ours: one Newton step; a replication of the authors' code took 1 to 20",
    )
    samples: int = param(
        1000, ge=1, help="of D_R whose gradients make the matrix", source="authors' code"
    )
    damping: float = param(
        1.0,
        gt=0,
        help="lambda: added to the diagonal of the matrix",
        search=(1e-4, 10.0),
        source="authors' code, which starts from the identity",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Take the step."""
        retain, forget = task.require_retain(), task.forget
        model.eval()
        v = _gradient(model, forget) - len(forget) / len(retain) * _gradient(model, retain)
        v /= len(forget) + len(retain)
        generator = torch.Generator(task.device).manual_seed(task.seed)
        order = torch.randperm(len(retain), generator=generator, device=task.device)
        chosen = torch.split(order[: self.samples], 1)
        size = len(chosen) * v.nbytes
        g = torch.empty(len(chosen), len(v), device=place_for(size, task.device))
        for row, index in zip(g, chosen, strict=True):
            row.copy_(_gradient(model, retain.select(index)))
        step = self._newton(g, v)
        pieces = torch.split(step, [p.numel() for p in model.parameters()])
        with torch.no_grad():
            for parameter, piece in zip(model.parameters(), pieces, strict=True):
                parameter.add_(self.alpha * piece.view_as(parameter))
        return model

    def _newton(self, g: Tensor, v: Tensor) -> Tensor:
        """Return H^-1 v; g: [n, parameters], some columns of it at a time on the device of v."""
        products, along = v.new_zeros(len(g), len(g)), v.new_zeros(len(g))
        for columns in _blocks(g):
            part = g[:, columns].to(v.device)
            products += part @ part.T
            along += part @ v[columns]
        products += len(g) * self.damping * torch.eye(len(g), device=v.device)
        weights = torch.linalg.solve(products, along)
        step = v.clone()
        for columns in _blocks(g):
            step[columns] -= g[:, columns].to(v.device).T @ weights
        return step / self.damping


def _blocks(g: Tensor) -> Iterator[slice]:
    """Yield ranges of columns, all of a matrix that is small."""
    width = max(1, BLOCK // len(g))
    return (slice(at, at + width) for at in range(0, g.shape[1], width))


def _gradient(model: nn.Module, examples: Examples) -> Tensor:
    """Return the gradient of the summed cross-entropy with respect to all parameters, flat."""
    total = torch.zeros((), device=examples.labels.device)
    for pixels, labels in examples.batches(512):
        loss = functional.cross_entropy(model(pixels), labels, reduction="sum")
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        total = total + torch.cat([g.flatten() for g in gradients])
    return total
