"""What the first run in a process would pay for all: imports, kernels, buffers."""

import ast
import re
from contextlib import suppress
from functools import cache
from importlib import import_module
from textwrap import dedent

import torch
from torch import nn

from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.saliency import squared_gradients
from unlearnbench.toolkit.training import Trainer


def warm_up(model: nn.Module, image: torch.Size, recipe: Recipe) -> None:
    """Take a step with `model`, which is not used again, on blank images.

    In train mode at the recipe's precision, and in eval mode in fp32, as the toolkit does. image:
    shape of one. No random state changes, no gradient counts.
    """
    device = next(model.parameters()).device
    # A GPU's kernels are chosen by the size of a batch, and loaded when they are first used.
    size = recipe.batch_size if device.type == "cuda" else 2
    images = torch.zeros(size, *image, dtype=torch.uint8, device=device)
    labels = torch.zeros(size, dtype=torch.int64, device=device)
    blank = Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), recipe)
    with recording(Recorder()), torch.random.fork_rng([device] if device.type == "cuda" else []):
        Trainer(model, recipe, lr=recipe.lr, seed=0).epoch(blank)
        squared_gradients(model, blank)


@cache
def import_early(source: str) -> None:
    """Import what the source of a method names, in its functions too, once a process.

    PyTorch's optimisers import the compiler when the first of them is made, and `torch.func` when
    it takes its first gradient, which takes seconds.
    What cannot be found is left to the method, which may not come to it.
    """
    names: set[str] = set()
    with suppress(SyntaxError):  # of a class in a notebook there may be nothing but its code
        for node in ast.walk(ast.parse(dedent(source))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    for name in sorted(names):
        with suppress(ImportError):
            import_module(name)
    if re.search(r"\boptim\b", source):
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    if re.search(r"\btorch\.func\b", source):
        torch.func.vmap(torch.func.grad(lambda row: row.sum()))(torch.zeros(1, 1))
