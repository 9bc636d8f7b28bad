"""What measures our speed: that it compares like with like, and that its page is current."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_search import RADIUS, problem
from unlearnbench import registry
from unlearnbench.audits.references import share_above
from unlearnbench.execution import contract
from unlearnbench.toolkit import Trainer
from unlearnbench.toolkit.adversarial import paper_search
from unlearnbench.toolkit.recorder import Recorder, recording

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "speed"))


def imported(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


@pytest.mark.parametrize("distance", [0.03, 0.05, 0.11])
def test_the_papers_search_written_plainly_finds_what_ours_does(
    scripts: None, distance: float
) -> None:
    model, examples = problem(distance, count=3)
    recorder = Recorder()
    with recording(recorder):
        ours = paper_search(model, examples, radius=RADIUS)
    found, gradients = imported("plain").paper_search(
        model, examples.images, examples.labels, RADIUS, batch=2
    )
    assert gradients == recorder.gradients
    assert torch.allclose(found, ours.images, atol=1e-6)


def test_the_outer_product_gives_the_scores_of_the_sorted_search(scripts: None) -> None:
    ratio, population = np.random.default_rng(0).lognormal(size=(2, 300))
    plain = imported("plain").outer_product(ratio, population, 2.0, block=70)
    assert np.array_equal(plain, share_above(ratio, population, gamma=2.0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_plain_loop_trains(scripts: None) -> None:
    examples = contract.examples(48)
    torch.manual_seed(
        0
    )  # the loop shuffles and crops by torch's own stream, as those it stands for
    loop = imported("plain").Loop(contract.small_model(0), examples, contract.RECIPE, workers=0)
    losses = [loop.epoch()[0] for _ in range(contract.RECIPE.epochs)]
    assert losses[-1] < losses[0]


def test_ratios_are_of_the_same_round(scripts: None) -> None:
    turns = imported("turns")
    (row,) = turns.compared("p", "w", "a", {"a": [1.0, 2.0, 4.0], "b": [3.0, 2.0, 20.0]})
    assert row.ratio == [3.0, 1.0, 5.0] and row.seconds == [2.0, 3.0] and row.rounds == 3
    order: list[str] = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert [len(s) for s in turns.in_turn(works, 2).values()] == [2, 2]
    assert order == ["a", "b"] * 3, "in turn, and the first round does not count"


def named(path: Path) -> str:
    """Return a file's text, names of clip paths by number: they hash a processor's last digits."""
    names: dict[str, str] = {}
    return re.sub(
        r"\bp[0-9a-f]{10}\b",
        lambda name: names.setdefault(name[0], f"clip{len(names)}"),
        path.read_text(),
    )


def test_published_page_is_what_the_measurements_say(scripts: None, tmp_path: Path) -> None:
    published = ROOT / "docs" / "speed"
    for path in published.glob("*.json"):
        shutil.copy(path, tmp_path)
        found = json.loads(path.read_text())
        assert all(row["ratio"][1] <= row["ratio"][0] <= row["ratio"][2] for row in found["rows"])
    imported("page").write(tmp_path)
    for path in [*tmp_path.glob("*.svg"), tmp_path / "README.md"]:
        assert named(path) == named(published / path.name), path.name


def test_the_floor_is_of_every_net_that_ships(scripts: None) -> None:
    assert {name for name, *_ in imported("floor").WORKS} == {*registry.find("models")}


def test_the_floor_counts_what_computes_and_no_more(scripts: None) -> None:
    """Of three convolutions with BatchNorm, ReLU, one pooling and a linear head."""
    floor = imported("floor")
    model, examples = contract.small_model(1), contract.examples(16)
    trainer = Trainer(model, examples.recipe, lr=0.1, seed=0)
    with floor.Calls() as calls:
        trainer.backward(trainer.eager(examples.pixels, examples.labels))
    called = Counter(kernel.operation.overloadpacket.__name__ for kernel in calls.kernels)
    for name in ("convolution", "native_batch_norm"):
        assert called[name] == called[f"{name}_backward"] == 3
    assert called["threshold_backward"] == 3 and called["addmm"] == 1 and called["mm"] == 2
    assert called.keys().isdisjoint({"view", "clone", "copy_", "zeros_like", "detach"})
    (row,) = floor._of_net("small-cnn", 1, 8, 4, 2)
    assert row.ours == "its kernels" and row.ratio[0] > 1
