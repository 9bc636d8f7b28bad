"""What a lease measures of its machine, each in a process of its own; the last line is JSON.

python benchmarks/lease_measures.py ceilings|throughput|fidelity|rate --device cuda:0 [--tiny]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unlearnbench.audits.roc import auc
from unlearnbench.data.prepare import DataSpec
from unlearnbench.execution.building import build_model
from unlearnbench.execution.pool import load_data, pooled
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, Trainer, adversarial_search, outputs, train
from unlearnbench.toolkit.precision import ieee_float32
from unlearnbench.toolkit.recorder import synchronise

FLOPS = 3.329e9
"""Of ResNet-18 forward and backward on an image of 3x32x32 (PyTorch's FlopCounterMode)."""
ROOT = Path("data")


def seconds(work: Callable[[], object], device: torch.device, least: float) -> float:
    """Return the seconds of one call, of as many as take `least` seconds, after three others."""
    for _ in range(3):
        work()
    count, took = 1, 0.0
    while True:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(count):
            work()
        synchronise(device)
        took = time.perf_counter() - start
        if took >= least:
            return took / count
        count = max(2 * count, int(1.2 * count * least / max(took, 1e-6)))


def ceilings(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Measure products of matrices by precision, TFLOP/s, and a copy on the device, TB/s."""
    side, least = (256, 0.02) if tiny else (8192, 0.3)
    found: dict[str, Any] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        for tf32 in (False, True) if name == "fp32" and device.type == "cuda" else (False,):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            took = seconds(lambda a=one, b=other: a @ b, device, least)
            found["tf32" if tf32 else name] = round(2 * side**3 / took / 1e12, 3)
    many = torch.zeros((1 if tiny else 1000) * 2**20, device=device)
    took = seconds(many.clone, device, least)
    return {"matmul TFLOP/s": found, "copy TB/s": round(2 * many.nbytes / took / 1e12, 4)}


def work_of(device: torch.device, batch: int, precision: str, tiny: bool) -> Callable[[], float]:
    """Return an epoch of our own steps: augmentation, forward, backward, update."""
    count, model = (4 * batch, "small-cnn") if tiny else (16 * batch, "resnet18")
    recipe = Recipe.model_validate(
        {"batch_size": batch, "crop": 4, "flip": True, "precision": precision}
    )
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=draw, dtype=torch.uint8)
    labels = torch.arange(count) % 10
    examples = Examples(
        images.to(device), labels.to(device), torch.ones(count, dtype=torch.bool).to(device), recipe
    )
    trainer = Trainer(build_model(model, 0, 10, 3, 32).to(device), recipe, lr=0.05, seed=0)
    return lambda: trainer.epoch(examples)


def rate(device: torch.device, batch: int, precision: str, tiny: bool) -> dict[str, Any]:
    """Measure images a second of our step."""
    context = ieee_float32() if precision == "fp32" else nullcontext()
    with context:
        took = seconds(work_of(device, batch, precision, tiny), device, 0.05 if tiny else 1.0)
    images = (4 if tiny else 16) * batch / took
    tflops = round(images * FLOPS / 1e12, 2)
    return {"batch": batch, "precision": precision, "images/s": round(images), "tflops": tflops}


def throughput(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Measure our step by size of batch and precision, and several processes beside each other."""
    sizes = (16,) if tiny else (128, 256, 512)
    steps = [
        rate(device, size, precision, tiny) for size in sizes for precision in ("fp32", "bf16")
    ]
    beside: dict[int, int | None] = {}
    for processes in (2,) if tiny else (2, 3):
        words = [sys.executable, __file__, "rate", "--device", str(device)]
        words += ["--tiny"] if tiny else []
        started = [
            subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        said = [process.communicate(timeout=120)[0].splitlines()[-1:] for process in started]
        failed = any(process.returncode for process in started)  # what was measured alone stays
        rates = [] if failed else [json.loads(last)["images/s"] for (last,) in said]
        beside[processes] = sum(rates) or None
    return {"steps": steps, "processes beside each other, images/s": beside}


def fidelity(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Train by one recipe in fp32 and bf16, three seeds: test accuracy, and FT AUC of the original.

    And search with TF32 on a GPU: how many of what it finds are no flips in fp32.
    """
    spec = DataSpec.model_validate(
        {"name": "folder", "path": "cifar10-jpeg", "train": 120 if tiny else 20_000}
    )
    data = load_data(spec, ROOT)
    model_name, epochs = ("small-cnn", 1) if tiny else ("resnet18", 6)
    rows = []
    for seed in range(1, 2 if tiny else 4):
        for precision in ("fp32", "bf16"):
            recipe = Recipe.model_validate(
                {"epochs": epochs, "lr": 0.2, "batch_size": 32 if tiny else 256, "crop": 4}
                | {"flip": True, "precision": precision}
            )
            pool = pooled(spec, ROOT, (), recipe, device)
            members = torch.arange(len(data.train[1]), device=device)
            others = torch.arange(len(data.test[1]), device=device) + len(members)
            fresh = build_model(model_name, seed, data.classes, 3, 32).to(device)
            with ieee_float32():
                model = train(fresh, pool.select(members), seed=seed)
                logits = outputs(model, pool)
            right = (logits.argmax(1) == pool.labels).float()
            sure = logits.log_softmax(1).gather(1, pool.labels[:, None]).squeeze(1).cpu().numpy()
            forgotten = np.random.default_rng(seed).permutation(len(members))[: len(members) // 10]
            rows.append(
                {
                    "seed": seed,
                    "precision": precision,
                    "test accuracy": round(100 * float(right[others].mean()), 2),
                    "ft auc": round(float(auc(sure[forgotten], sure[others.cpu()])), 2),
                }
            )
    few = pool.select(members[: 20 if tiny else 500])
    torch.backends.cudnn.allow_tf32 = True
    found = adversarial_search(model, few, radius=0.3)
    with ieee_float32():
        there = Examples(found["images"], found["labels"], few.augment, few.recipe)
        kept = outputs(model, there).argmax(1) == found["labels"]
    lost = int(((found["labels"] != few.labels) & ~kept).sum())
    return {"rows": rows, "flips of a TF32 search that are none in fp32": lost, "of": len(few)}


def main() -> None:
    """Measure what is named, and print it as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("ceilings", "throughput", "fidelity", "rate"))
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if asked.what == "rate":
        found = rate(device, 16 if asked.tiny else 256, "bf16", asked.tiny)
    else:
        found = globals()[asked.what](device, asked.tiny)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
