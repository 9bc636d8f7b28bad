"""Originals, retrains and references that begin with weights from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import unlearnbench as ub
from tests.conftest import TINY
from unlearnbench.data.prepare import DataSpec
from unlearnbench.errors import DataError, UserError
from unlearnbench.execution import Workplace
from unlearnbench.execution.building import build_model
from unlearnbench.execution.execute import Outcome, execute
from unlearnbench.planning import reading
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Pretrained, Recipe

DATA = DataSpec(name="digits", train=40, test=40)


def weights(path: Path, model: str = "small-cnn", classes: int = 10) -> dict[str, Tensor]:
    state = build_model(model, 7, classes, 1, 8).state_dict()
    torch.save({"state_dict": state}, path)
    return dict(state)


def made(folder: Path, file: Path, **own: Any) -> Outcome:
    recipe = Recipe(pretrained=str(file), epochs=0)
    asked = {"data": DATA, "model": "small-cnn", "recipe": recipe, "seed": 1} | own
    return execute(Spec(**asked), "cpu", Workplace(folder), lambda run: {})


SPLIT = {"kind": "random", "fraction": 0.1, "seed": 1, "request": 1, "requests": 1}
RUNS: list[dict[str, Any]] = [
    {"kind": "original"},
    {"kind": "reference", "member": 0},
    {"kind": "unlearn", "method": "retrain", "split": SPLIT},
]


@pytest.mark.parametrize("own", RUNS, ids=["original", "reference", "retrain"])
def test_all_that_is_trained_begins_with_the_file(tmp_path: Path, own: dict[str, Any]) -> None:
    """Shown by no training at all: `epochs = 0`."""
    state = weights(tmp_path / "w.pt")
    found = made(tmp_path, tmp_path / "w.pt", **own).weights
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_head_for_other_classes_is_drawn_from_the_seed_and_said(tmp_path: Path) -> None:
    state = weights(tmp_path / "w.pt", classes=12)
    runs = [made(tmp_path, tmp_path / "w.pt", kind="original", seed=seed) for seed in (1, 1, 2)]
    told = runs[0].recorder.notes["warnings"]
    assert told == ["w.pt is of other classes, so 11.weight, 11.bias start from fresh weights"]
    for name, value in runs[0].weights.items():
        head = name.startswith("11.")
        assert head or torch.equal(value, state[name])
        assert torch.equal(value, runs[1].weights[name])
        assert torch.equal(value, runs[2].weights[name]) != head


def test_what_begins_at_random_still_does(tmp_path: Path) -> None:
    """A teacher that knows nothing must not know what the pretrained weights know."""
    state = weights(tmp_path / "w.pt")
    recipe = Recipe(pretrained=str(tmp_path / "w.pt"), epochs=0)
    common = {"data": DATA, "model": "small-cnn", "recipe": recipe}
    original = Spec(kind="original", seed=1, **common)
    own = {"method": "destroyed", "split": SPLIT, "original": original.id, "start": original.id}
    spec = Spec(kind="unlearn", seed=1, **common, **own)
    found = execute(spec, "cpu", Workplace(tmp_path), lambda run: state).weights
    assert not torch.equal(found["0.weight"], state["0.weight"])


def test_what_is_in_the_file_is_part_of_ids_and_where_it_is_is_not(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    weights(tmp_path / "one" / "w.pt")
    (tmp_path / "two" / "v.pth").write_bytes((tmp_path / "one" / "w.pt").read_bytes())
    weights(tmp_path / "two" / "other.pt", classes=12)

    def spec(file: str) -> Spec:
        recipe = Recipe(pretrained=str(tmp_path / file))
        return Spec(kind="original", data=DATA, model="small-cnn", recipe=recipe, seed=1)

    plain = Spec(kind="original", data=DATA, model="small-cnn", recipe=Recipe(), seed=1)
    one, two, other = map(spec, ("one/w.pt", "two/v.pth", "two/other.pt"))
    assert one.id == two.id and len({plain.id, one.id, other.id}) == 3
    start = one.recipe.pretrained
    digest = hashlib.sha256((tmp_path / "one" / "w.pt").read_bytes()).hexdigest()
    assert start is not None and start.digest == digest[:16]
    (tmp_path / "one" / "w.pt").unlink()
    again = Spec.model_validate_json(one.model_dump_json())
    assert again == one and again.id == one.id, "a results folder is read without the file"


def test_a_file_that_changed_since_or_is_of_another_model_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    weights(file, "resnet8")
    with pytest.raises(
        DataError, match=r"weights in .*w\.pt are of another model: the file is missing"
    ):
        made(tmp_path, file, kind="original")
    recipe = Recipe(pretrained=Pretrained(file=str(file), digest="0" * 16))
    with pytest.raises(DataError, match=r"w\.pt is not the file that recipe\.pretrained was"):
        execute(
            Spec(kind="original", data=DATA, model="small-cnn", recipe=recipe, seed=1),
            "cpu",
            Workplace(tmp_path),
            lambda run: {},
        )


def test_a_file_is_named_as_seen_from_the_benchmark_or_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    weights(folder / "w.pt")
    text = TINY.replace("[recipe]\n", '[recipe]\npretrained = "w.pt"\n')
    (folder / "pre.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    recipe = ub.benchmark("bench/pre.toml").benchmark.recipe
    assert recipe.pretrained and recipe.pretrained.file == str(folder / "w.pt")
    setup = ub.benchmark("digits").set("recipe.pretrained", "bench/w.pt")
    assert setup.benchmark.recipe.pretrained == recipe.pretrained
    with pytest.raises(UserError, match=r"recipe\.pretrained: there is no file .*/none\.pt\."):
        reading.validate(ub.benchmark("digits").set("recipe.pretrained", "none.pt").raw)


def test_no_epochs_need_pretrained_weights() -> None:
    with pytest.raises(ValidationError, match="epochs = 0 leaves weights as they were drawn"):
        Recipe(epochs=0)


@pytest.mark.slow
def test_the_report_says_what_a_pretrained_start_means(tmp_path: Path) -> None:
    weights(tmp_path / "w.pt", classes=12)
    text = TINY.replace("[recipe]\n", '[recipe]\npretrained = "w.pt"\n').replace("[1, 2]", "[1]")
    (tmp_path / "pre.toml").write_text(text)
    results = ub.run(
        tmp_path / "pre.toml", methods=["ft"], results=tmp_path / "r", jobs_per_device=1
    )
    page = results.report(tmp_path / "report")
    for file in (page, page.with_name("report.md")):
        told = " ".join(file.read_text().split())
        assert "begin with the weights in w.pt" in told
        assert "A pretrained start knows what it knows: samples of the forget set may" in told
    assert (
        "original: w.pt is of other classes, so 11.weight, 11.bias start from fresh weights"
        in " ".join(results.warnings)
    )
    (tmp_path / "w.pt").unlink()
    assert ub.load(tmp_path / "r" / "pre").findings.stale == {}, "and it is read without the file"
