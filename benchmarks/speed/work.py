"""The work that speed is measured on: the shipped benchmarks' own data, models and recipes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from unlearnbench import registry
from unlearnbench.data.prepare import Data
from unlearnbench.execution.pool import load_data, pooled
from unlearnbench.planning import reading
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples


@dataclass(frozen=True)
class Work:
    """Hold the training set of a benchmark on the CPU, and how its models are made and trained."""

    title: str
    data: Data
    train: Examples
    recipe: Recipe
    model: str

    def fresh(self, seed: int = 1) -> nn.Module:
        """Build a model with weights drawn from `seed`."""
        images = self.data.train[0]
        torch.manual_seed(seed)
        build = registry.find("models")[self.model].load().build
        model: nn.Module = build(self.data.classes, images.shape[1], images.shape[-1])
        return model


def load(name: str, root: Path, **data: object) -> Work:
    """Load the work of a shipped benchmark; `data` changes what its [data] says."""
    raw = reading.read(reading.locate(name))
    raw["data"] |= data
    asked = reading.validate(raw)
    source = registry.source(asked.data, root)
    source.fetch()
    loaded = load_data(asked.data, root)
    pool = pooled(asked.data, root, (), asked.recipe, torch.device("cpu"), "resident")
    count, _, side, _ = loaded.train[0].shape
    train = pool.select(torch.arange(count))
    title = f"{name} {side}x{side}, {count:,} images, {asked.model}"
    return Work(title, loaded, train, asked.recipe, asked.model)
