"""(a) Training: our loop against a DataLoader loop; models together against one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import plain
import torch
from joblib.externals.loky import ProcessPoolExecutor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from turns import Row, compared, in_turn
from work import Work, load

from unlearnbench.toolkit import Trainer

TOGETHER = 8
IMAGES = 4000
"""Images trained on in a turn, in as many whole epochs as that makes."""


def measure(root: Path, rounds: int) -> list[Row]:
    """Compare one model on one thread, and two models on the whole machine."""
    asked = [("digits", {}), ("fashion-mnist", {"size": 14}), ("fashion-mnist", {"size": 28})]
    rows = []
    for name, data in asked:
        work = load(name, root, **data)
        rows += _one_model(work, rounds) + _two_models(name, root, data, work, rounds)
    return rows + _together(load("digits", root), rounds)


def _one_model(work: Work, rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    epochs = max(1, IMAGES // len(work.train))
    trainer = Trainer(work.fresh(), work.recipe, lr=work.recipe.lr, seed=1)
    loop = plain.Loop(work.fresh(), work.train, work.recipe, workers=0)
    works: dict[str, Callable[[], object]] = {
        "our loop": lambda: [trainer.epoch(work.train) for _ in range(epochs)],
        "DataLoader loop": lambda: [loop.epoch() for _ in range(epochs)],
    }
    seconds = in_turn(works, rounds)
    return compared("training", f"{work.title}; one model, 1 thread", "our loop", seconds)


def _two_models(
    name: str, root: Path, data: dict[str, object], work: Work, rounds: int
) -> list[Row]:
    """Two models: ours at once, a process and a thread each; theirs in turn with torch's threads.

    With one loader process, as AMUN's code has. Processes are warm, so that start-up is not timed.
    """
    epochs = max(1, IMAGES // len(work.train))
    torch.set_num_threads(2)
    loops = [plain.Loop(work.fresh(s), work.train, work.recipe, workers=1) for s in (1, 2)]
    with ProcessPoolExecutor(2, env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}) as pool:
        works: dict[str, Callable[[], object]] = {
            "our loop": lambda: [
                f.result()
                for f in [pool.submit(_epochs, name, root, data, s, epochs) for s in (1, 2)]
            ],
            "DataLoader loop": lambda: [loop.epoch() for loop in loops for _ in range(epochs)],
        }
        seconds = in_turn(works, rounds)
    torch.set_num_threads(1)
    return compared("training", f"{work.title}; two models, 2 cores", "our loop", seconds)


_kept: dict[tuple[object, ...], tuple[Work, Trainer]] = {}


def _epochs(name: str, root: Path, data: dict[str, object], seed: int, epochs: int) -> None:
    """Train on in a worker, which keeps its model."""
    torch.set_num_threads(1)
    key = (name, str(data), seed)
    if key not in _kept:
        work = load(name, root, **data)
        _kept[key] = work, Trainer(work.fresh(seed), work.recipe, lr=work.recipe.lr, seed=seed)
    work, trainer = _kept[key]
    for _ in range(epochs):
        trainer.epoch(work.train)


def _together(work: Work, rounds: int) -> list[Row]:
    """Train eight small nets in one vmapped step and in eight steps, to see whether it pays."""
    models = [work.fresh(seed).train() for seed in range(TOGETHER)]
    pixels, labels = next(iter(work.train.batches(work.recipe.batch_size)))
    parameters, buffers = stack_module_state(models)
    shell = work.fresh().to("meta")

    def loss(p: object, b: object) -> object:
        return functional.cross_entropy(functional_call(shell, (p, b), (pixels,)), labels)

    works: dict[str, Callable[[], object]] = {
        "one by one": lambda: [
            functional.cross_entropy(model(pixels), labels).backward() for model in models
        ],
        "vmap": lambda: vmap(loss)(parameters, buffers).sum().backward(),
    }
    steps = 10
    repeated = {n: (lambda f=f: [f() for _ in range(steps)]) for n, f in works.items()}
    seconds = in_turn(repeated, rounds)
    return compared("training", f"{work.title}; {TOGETHER} models together", "one by one", seconds)
