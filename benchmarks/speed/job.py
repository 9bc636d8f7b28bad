"""(d) A whole job: SUPREME's toy job, from typing the command to the numbers, and ten of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import peers
from PIL import Image
from turns import Row, compared, in_turn

FORGET, TRAIN, TEST, CLASSES, MANY = 52, 512, 128, 10, 10
BENCHMARK = f"""
title = "SUPREME's toy job"
model = "resnet8"
access = ["full"]
attacks = ["loss"]
controls = false
[data]
name = "folder"
path = "toy"
[recipe]
epochs = 10
lr = 0.05
schedule = "step"
batch_size = 128
[forget]
fractions = [{FORGET / TRAIN!r}]
[seeds]
originals = [1]
forget = [1]
runs = RUNS
pairing = "product"
[references]
count = 2
[methods.ft]
lr = 0.02
epochs = 5
"""


def measure(root: Path, rounds: int) -> list[Row]:
    """Time both as whole processes; originals, and what attacks need, are made before."""
    python = peers.environment(peers.SUPREME)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _images(folder)
        theirs = [str(python), str(Path(__file__).with_name("supreme_job.py"))]
        peers.quietly([*theirs, "prepare", str(folder)], folder)
        for runs in (1, MANY):
            text = BENCHMARK.replace("RUNS", str(list(range(1, runs + 1))))
            (folder / f"toy{runs}.toml").write_text(text)
            _ours(folder, runs, "retrain")
        works = {
            "unlearnbench": lambda: _ours(folder, 1, "ft"),
            "SUPREME": lambda: peers.quietly([*theirs, "run", str(folder)], folder),
            "unlearnbench, ten": lambda: _ours(folder, MANY, "ft"),
        }
        seconds = in_turn(works, rounds)
    title = f"fine-tuning 5 epochs on {TRAIN - FORGET} images 3x32x32, resnet8, and evaluation"
    ten = seconds.pop("unlearnbench, ten")
    rows = compared("job", f"{title}: one", "unlearnbench", seconds)
    tenfold = {"unlearnbench": ten, "SUPREME": [MANY * s for s in seconds["SUPREME"]]}
    facts = {"SUPREME": {"its seconds": f"{MANY} x one, one after the other"}}
    rows += compared("job", f"{title}: ten runs", "unlearnbench", tenfold, **facts)
    return rows


def _images(folder: Path) -> None:
    """Draw ten class patterns under noise, and write them for both sides."""
    draw = np.random.default_rng(1)
    patterns = draw.normal(size=(CLASSES, 3, 32, 32))
    arrays = {}
    for part, count in (("train", TRAIN), ("test", TEST)):
        labels = draw.permutation(np.arange(count) % CLASSES)
        noisy = patterns[labels] + draw.normal(scale=3.0, size=(count, 3, 32, 32))
        images = np.clip(128 + 25 * noisy, 0, 255).astype(np.uint8)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / "data" / "toy" / part / f"class{label}" / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
    np.savez(folder / "images.npz", **arrays)


def _ours(folder: Path, runs: int, method: str) -> None:
    """Run our command; fine-tuned models of before are made again."""
    for old in (folder / "results" / f"toy{runs}" / "runs").glob("ft-*"):
        shutil.rmtree(old)
    words = ["run", f"toy{runs}.toml", "--methods", method, "--data", "data"]
    peers.unlearnbench(words, folder)
