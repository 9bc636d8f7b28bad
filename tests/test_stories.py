"""The three stories of the guide's page on one's own models, done as they are written."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.models import resnet18

from docs.builder.markdown import DOCS
from tests.conftest import Cli
from tests.guide import FENCE
from unlearnbench.execution.building import build_model

PAGE = (DOCS / "guide" / "own.md").read_text()
FILES = {
    titled[1]: body
    for _, about, body in FENCE.findall(PAGE)
    if (titled := re.search(r'title="([^"]+)"', about))
}
COMMANDS = [
    shlex.split(body.replace("\\\n", " "))[1:]
    for kind, _, body in FENCE.findall(PAGE)
    if kind == "bash"
]
"""What is typed in the three stories, after the program's name."""
ANIMALS = ["bird", "cat", "cow", "deer", "dog", "fish", "fox", "frog", "hen", "pig"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos, here of digits, and the files of the page, `train.py` run."""
    folder = tmp_path_factory.mktemp("story")
    digits = load_digits()
    for part, places in {"train": range(200), "test": range(200, 320)}.items():
        for place in places:
            pixels = (digits.images[place] * (255 / 16)).astype(np.uint8)
            kind = folder / "data" / "pets" / part / ANIMALS[digits.target[place]]
            kind.mkdir(parents=True, exist_ok=True)
            photo = Image.fromarray(pixels).convert("RGB").resize((32, 32))
            photo.save(kind / f"{place:04}.jpg", quality=90)
    for name, body in FILES.items():
        (folder / name).write_text(body.replace("EPOCHS = 12", "EPOCHS = 2"))
    typed(folder, "train.py")
    return folder


def typed(folder: Path, script: str) -> str:
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # beside other tests
    line = [sys.executable, script]
    done = subprocess.run(line, cwd=folder, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_model_unlearned_by_ones_own_program_is_audited(folder: Path, cli: Cli) -> None:
    smaller = {"recipe.epochs=12": "recipe.epochs=2", "8": "2"}
    words = [smaller.get(word, word) for word in COMMANDS[0]]
    assert words[0] == "audit" and words.count("--retrain") == 4
    done = cli(*words, cwd=folder)
    assert done.code == 0, done.err
    assert re.search(r"^Verdict on unlearned: \S", done.out, re.M)
    assert "Report: reports/audit/index.html" in done.out
    page = (folder / "reports" / "audit" / "index.html").read_text()
    assert "Samples in forget.txt forgotten" in page and "unlearned: unlearned.pt" in page


def test_a_model_of_normalised_images_gets_them_normalised(tmp_path: Path) -> None:
    (tmp_path / "normal.py").write_text(FILES["normal.py"])
    model = build_model("normal", 0, 10, 3, 32, [tmp_path / "normal.py"]).eval()
    plain = resnet18(num_classes=10).eval()
    plain.load_state_dict(model.state_dict())  # under the same names
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    images = torch.rand(4, 3, 32, 32)
    scaled = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    for one in (model, copy.deepcopy(model)):
        torch.testing.assert_close(one(images), plain(scaled))


@pytest.mark.slow
def test_a_request_by_file_names_is_applied_and_loaded_in_plain_pytorch(
    folder: Path, cli: Cli
) -> None:
    cat = sorted((folder / "data" / "pets" / "train" / "cat").iterdir())[:9]
    lines = [f"cat/{path.name},2026-11-02" for path in cat]
    (folder / "removed.csv").write_text("\n".join(["file,asked on", *lines]) + "\n")
    done = cli(*COMMANDS[1], cwd=folder)
    assert done.code == 0, done.err
    record = json.loads((folder / "unlearned" / "record.json").read_text())
    assert record["forget"]["file"] == [f"train/cat/{path.name}" for path in cat]
    (folder / "load.py").write_text(
        FILES["load.py"] + "print(sum(map(torch.numel, model.parameters())))\n"
    )
    typed(folder, "load.py")
    said = typed(folder, "in_python.py")  # which finds the request done, and audits
    assert "AMUN applied to original.pt: unlearned\nForget accuracy: " in said
    assert "unlearned" in said.partition("verdict")[2]
    assert (folder / "reports" / "python" / "index.html").is_file()
    before = torch.load(folder / "original.pt", weights_only=True)
    after = torch.load(folder / "unlearned" / "model.pt", weights_only=True)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


OUTPUTS = """
import numpy as np, torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor
from small import build

parts = [ImageFolder(f"data/pets/{part}", ToTensor()) for part in ("train", "test")]
pixels = torch.stack([x for part in parts for x, _ in part])
labels = np.array([y for part in parts for y in part.targets])
for name in ("original", "unlearned", "retrain1", "retrain2", "retrain3", "retrain4"):
    model = build(10, 3, 32)
    model.load_state_dict(torch.load(f"{name}.pt"))
    with torch.no_grad():
        np.savez(f"{name}.npz", logits=model.eval()(pixels).numpy(), labels=labels)
np.savetxt("rows.txt", np.arange(0, len(parts[0]), 10), fmt="%d")
np.savetxt("test.txt", len(parts[0]) + np.arange(len(parts[1])), fmt="%d")
"""


@pytest.mark.slow
def test_outputs_alone_are_audited(folder: Path, cli: Cli) -> None:
    (folder / "outputs.py").write_text(OUTPUTS)
    typed(folder, "outputs.py")
    done = cli(*COMMANDS[2], cwd=folder)
    assert done.code == 0, done.err
    assert re.search(r"^Verdict on unlearned: \S", done.out, re.M)
    assert "No reference models are given" in done.out
    assert (folder / "reports" / "outputs" / "index.html").is_file()
