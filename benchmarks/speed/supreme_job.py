"""SUPREME's side of the toy job, run in an environment that has it.

`python supreme_job.py prepare FOLDER` trains what the job starts from; `... run FOLDER` is the job:
fine-tuning for five epochs and its evaluation, in one process, as its users start it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from unlearnbench import registry

CLASSES, FORGET, TRAIN, SEED = 10, 52, 512, 1
NET = "ResNet8"


class ToyImages(Dataset[tuple[torch.Tensor, torch.Tensor, int]]):
    """Hold FOLDER/images.npz in the form that SUPREME asks of a data set."""

    def __init__(self, root: str, train: bool, unlearning: bool, download: bool, **_: object):
        """Read everything; its loaders collate."""
        with np.load(Path(root) / "images.npz") as arrays:
            part = "train" if train else "test"
            self.images = torch.from_numpy(arrays[f"{part}_images"]).float() / 255
            self.targets = arrays[f"{part}_labels"].tolist()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Return image, placeholder, class."""
        return self.images[index], torch.Tensor([]), self.targets[index]


def resnet8(num_labels: int, **_: object) -> nn.Module:
    """Build the very net of our side."""
    model: nn.Module = registry.find("models")["resnet8"].load().build(num_labels, 3, 32)
    return model


def logs(folder: Path) -> Path:
    """Name its log folder; SUPREME keeps its split three levels above it."""
    levels = ["logs", "unlearning", f"seed_{SEED}", "random_", "ToyImages", NET]
    return folder.joinpath(*levels, f"classes_{CLASSES}", f"forget_{FORGET}")


def load(folder: Path) -> object:
    """Import SUPREME with its paths set and tell it of data and net."""
    logs(folder).mkdir(parents=True, exist_ok=True)
    os.environ |= {"SUPREME_PROJECT_ROOT": str(folder), "LOG_DIR": str(logs(folder))}
    os.environ["WANDB_MODE"] = "disabled"
    import supreme
    from supreme.utils.training import train_main
    from supreme.utils.unlearning import unlearn_main

    for module in (train_main, unlearn_main):  # it asks for as many devices as there are GPUs
        module.num_cuda_devices = lambda: 1
    supreme.register_dataset(
        "ToyImages", ToyImages, root=str(folder), rn_epochs=10, rn_milestones=[5]
    )
    supreme.register_model(NET, resnet8)
    return supreme


def unlearn(supreme: object, folder: Path, method: str, evaluate: bool) -> None:
    """Run one of its methods on the forget set of 52, with its own batch size of 128."""
    os.environ["PERFORM_EVALUATION"] = "true" if evaluate else "false"
    weights = (folder / "logs" / "training").rglob(f"{NET}-ToyImages-*-best.pth")
    newest = max(weights, key=lambda path: path.stat().st_mtime)
    words = f"-type_of_unlearning_strategy random_ -dataset ToyImages -net {NET}"
    words += f" -classes {CLASSES} -precision 32-true -forget_perc {FORGET / TRAIN!r} -seed {SEED}"
    words += f" -lr 0.05 -method {method} -eval_metrics accuracy,membership_inference_attack"
    supreme.run_unlearning([*words.split(), "-weight_path", str(newest)])


def main(action: str, folder: Path) -> None:
    """Prepare or run."""
    shutil.rmtree(logs(folder) / "Finetune", ignore_errors=True)  # it would be loaded, not made
    supreme = load(folder)
    if action == "prepare":
        words = f"-net {NET} -dataset ToyImages -classes {CLASSES} -precision 32-true"
        words += f" -batch_size 64 -lr 0.05 -training_seed {SEED} -unlearning_seed {SEED}"
        supreme.run_training(words.split())
        unlearn(supreme, folder, "retrain", evaluate=False)  # or its attack does not start
    else:
        unlearn(supreme, folder, "finetune", evaluate=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())
