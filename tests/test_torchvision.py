"""A checkpoint that torchvision saved: unlearned, audited, and loaded by torchvision again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import ToTensor

from tests.conftest import Cli

CLASSES, SIDE = ["cat", "dog", "hen"], 32
DATA = ["--model", "torchvision:resnet18", "--path", "pets"]
"""As README has it."""


def plain(weights: Path | None = None) -> nn.Module:
    """Return a net as its users build it, with the weights of a file if there are any."""
    torch.manual_seed(0)
    model: nn.Module = resnet18(num_classes=len(CLASSES))
    if weights is not None:
        model.load_state_dict(torch.load(weights, weights_only=True))
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with images of noise, a model trained on them by hand, and a list."""
    draw = np.random.default_rng(0)
    for part, count in {"train": 12, "test": 6}.items():
        for shade, name in enumerate(CLASSES):
            kind = tmp_path / "data" / "pets" / part / name
            kind.mkdir(parents=True)
            for place in range(count):
                pixels = draw.integers(60 * shade, 60 * shade + 90, (SIDE, SIDE, 3), np.uint8)
                Image.fromarray(pixels).save(kind / f"{place:03}.png")
    (tmp_path / "forget.txt").write_text("cat/000.png\ndog/003.png\nhen/005.png\n")
    model, data = plain(), ImageFolder(tmp_path / "data" / "pets" / "train", ToTensor())
    images, labels = torch.stack([x for x, _ in data]), torch.tensor(data.targets)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.save({"epoch": 6, "state_dict": model.state_dict()}, tmp_path / "original.pt")
    return tmp_path


def accuracy(model: nn.Module, folder: Path, files: list[str]) -> float:
    """Return the accuracy in percent on some training images, by torchvision alone."""
    root = folder / "data" / "pets" / "train"
    images = [ToTensor()(Image.open(root / file).convert("RGB")) for file in files]
    labels = torch.tensor([CLASSES.index(file.partition("/")[0]) for file in files])
    with torch.no_grad():
        right = model.eval()(torch.stack(images)).argmax(1) == labels
    return 100 * float(right.float().mean())


@pytest.mark.slow
def test_a_checkpoint_of_torchvision_is_unlearned_and_audited(folder: Path, cli: Cli) -> None:
    words = ["--original", "original.pt", *DATA, "--forget", "forget.txt"]
    done = cli("apply", "--method", "ft", "--set", "ft.epochs=1", *words, "--out", "out")
    assert done.code == 0, done.out + done.err
    unlearned = plain(folder / "out" / "model.pt")
    files = (folder / "forget.txt").read_text().split()
    record = json.loads((folder / "out" / "record.json").read_text())
    assert record["forget"]["file"] == [f"train/{file}" for file in files]
    (said,) = re.findall(r"^Forget accuracy: [\d.]+ % -> ([\d.]+) %$", done.out, re.M)
    assert float(said) == pytest.approx(accuracy(unlearned, folder, files), abs=0.06)

    done = cli("audit", *words, "--unlearned", "out/model.safetensors")
    assert done.code == 0, done.out + done.err
    assert "Verdict on model: none, as there is no retrained model" in done.out
    assert (folder / "reports" / "audit" / "index.html").is_file()


@pytest.mark.slow
def test_a_checkpoint_of_other_classes_is_refused_in_a_line(folder: Path, inside: Cli) -> None:
    torch.save(resnet18(num_classes=1000).state_dict(), folder / "imagenet.pt")
    words = ["--original", "imagenet.pt", *DATA, "--forget", "forget.txt"]
    done = inside("apply", "--method", "ft", *words, "--out", "out")
    assert done.code == 2 and done.err.count("\n") == 1 and not (folder / "out").exists()
    assert "imagenet.pt are of another model: " in done.err
    assert "fc.weight: [1000, 512] in place of [3, 512]" in done.err
