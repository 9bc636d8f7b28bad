"""What we are compared with, written the way research repositories write it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples


class Pictures(Dataset[tuple[Tensor, int]]):
    """Hold PIL images and transform each on its own, as torchvision's data sets do."""

    def __init__(self, examples: Examples, recipe: Recipe) -> None:
        """Turn tensors back into pictures."""
        self.labels = examples.labels.tolist()
        arrays = [image.permute(1, 2, 0).numpy() for image in examples.images]
        self.pictures = [Image.fromarray(a[..., 0] if a.shape[2] == 1 else a) for a in arrays]
        steps: list[object] = []
        if recipe.crop:
            steps.append(transforms.RandomCrop(arrays[0].shape[0], padding=recipe.crop))
        if recipe.flip:
            steps.append(transforms.RandomHorizontalFlip())
        self.transform = transforms.Compose([*steps, transforms.ToTensor()])

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Transform one picture."""
        return self.transform(self.pictures[index]), self.labels[index]


class Loop:
    """Train by a DataLoader, with the loss and the hits read back after every step."""

    def __init__(self, model: nn.Module, examples: Examples, recipe: Recipe, workers: int) -> None:
        """Prepare; `workers` are loader processes, 0 for none."""
        self.model = model
        self.loader = DataLoader(
            Pictures(examples, recipe), recipe.batch_size, shuffle=True, num_workers=workers
        )
        self.optimizer = torch.optim.SGD(
            model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.criterion = nn.CrossEntropyLoss()

    def epoch(self) -> tuple[float, float]:
        """Pass over the data once; return mean loss and accuracy."""
        self.model.train()
        loss_sum, hits, seen = 0.0, 0, 0
        for images, labels in self.loader:
            outputs = self.model(images)
            loss = self.criterion(outputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item() * len(labels)
            hits += (outputs.argmax(1) == labels).sum().item()
            seen += len(labels)
        return loss_sum / seen, hits / seen


def paper_search(
    model: nn.Module, images: Tensor, labels: Tensor, radius: float, batch: int = 128
) -> tuple[Tensor, int]:
    """Search as AMUN's Algorithm 1 reads: batch after batch, each until its last sample flips.

    Returns the adversarial images and the gradients that were computed, counted in samples.
    """
    found, gradients = images.clone(), 0
    for first in range(0, len(images), batch):
        clean, here, label = (x[first : first + batch] for x in (images, images, labels))
        left = torch.arange(first, first + len(clean))
        eps = torch.full((len(clean),), radius)
        while len(left):
            for _ in range(50):
                with torch.no_grad():
                    flipped = model(here).argmax(1) != label
                found[left[flipped]] = here[flipped]
                left, clean, here = left[~flipped], clean[~flipped], here[~flipped]
                label, eps = label[~flipped], eps[~flipped]
                if not len(left):
                    break
                at = here.clone().requires_grad_()
                loss = nn.functional.cross_entropy(model(at), label, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, at)
                gradients += len(left)
                width = gradient.flatten(1).norm(dim=1).clamp_min(1e-10)[:, None, None, None]
                here = here + 0.1 * eps[:, None, None, None] * gradient / width
                away = here - clean
                length = away.flatten(1).norm(dim=1).clamp_min(1e-10)
                here = clean + away * (eps / length).clamp_max(1.0)[:, None, None, None]
                here = here.clamp(0, 1)
            eps = 2 * eps
    return found, gradients


def outer_product(
    ratio: NDArray[np.float64], population: NDArray[np.float64], gamma: float, block: int = 1000
) -> NDArray[np.float64]:
    """Score RMIA by comparing every sample with every member of the population, in blocks."""
    shares = []
    for first in range(0, len(ratio), block):
        pairs = ratio[first : first + block, None] / population[None, :]
        shares.append((pairs >= gamma).mean(1))
    return np.concatenate(shares)
