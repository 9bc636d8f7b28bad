"""Models by the name of their architecture."""

from collections.abc import Iterable

import torch
from torch import nn

from unlearnbench import architectures
from unlearnbench.errors import MethodError, UnlearnBenchError
from unlearnbench.guarding.border import border
from unlearnbench.registry import Own


def build_model(
    architecture: str,
    seed: int,
    classes: int,
    channels: int,
    side: int,
    plugins: Iterable[Own] = (),
) -> nn.Module:
    """Build a model with weights drawn from `seed`; the global random state is left alone.

    plugins: the user's, in which it may be.
    """
    plugin = architectures.architecture(architecture, plugins)
    module = plugin.load()
    with torch.random.fork_rng(devices=[]), border(MethodError, passes=UnlearnBenchError):
        torch.default_generator.manual_seed(seed)  # torch's own function seeds those of GPUs too
        model: nn.Module = module.build(classes, channels, side)
    return model
