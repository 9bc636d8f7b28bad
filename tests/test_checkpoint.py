"""Weights of files that others wrote are read, and nothing else in them."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unlearnbench.errors import UserError
from unlearnbench.execution.checkpoint import hand_out, load_into, read_state


class Attack:
    """Make a file when it is read as a pickle."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.file}",)


def net(classes: int = 3, width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, classes)
    )


def same(found: dict[str, Tensor], model: nn.Module) -> bool:
    state = model.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 1.6"])
def test_weights_are_read_from_either_kind_of_file(tmp_path: Path, old: bool) -> None:
    model, pt, safe = net(), tmp_path / "m.pt", tmp_path / "m.safetensors"
    torch.save(model.state_dict(), pt, _use_new_zipfile_serialization=not old)
    save_file(model.state_dict(), safe)
    assert same(read_state(pt), model)
    assert same(read_state(safe), model)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "weights"])
def test_a_training_checkpoint_is_unwrapped(tmp_path: Path, key: str) -> None:
    model, file = net(), tmp_path / "m.pth"
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1).state_dict()
    torch.save({"epoch": 3, key: model.state_dict(), "optimizer": optimiser}, file)
    assert same(read_state(file), model)


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "module._orig_mod.", "module.module."])
def test_what_wrappers_put_before_names_is_taken_off(tmp_path: Path, before: str) -> None:
    model, file = net(), tmp_path / "m.pt"
    torch.save({f"{before}{name}": value for name, value in model.state_dict().items()}, file)
    assert same(read_state(file), model)


def test_an_average_of_models_is_read_as_a_model(tmp_path: Path) -> None:
    averaged, file = torch.optim.swa_utils.AveragedModel(net()), tmp_path / "m.pt"
    torch.save(averaged.state_dict(), file)
    assert same(read_state(file), averaged.module)


def test_a_model_that_is_itself_in_wrappers_takes_the_same_file(tmp_path: Path) -> None:
    model, file, wrapped = net(), tmp_path / "m.pt", nn.DataParallel(net())
    torch.save(model.state_dict(), file)
    assert load_into(wrapped, read_state(file), file) == []
    assert same(wrapped.module.state_dict(), model)


@pytest.mark.parametrize("how", ["zip", "before 1.6", "plain pickle", "protocol 2"])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, how: str) -> None:
    file, made = tmp_path / "bad.pt", tmp_path / "made"
    content = {"weight": torch.zeros(2), "more": Attack(made)}
    if how in ("zip", "before 1.6"):
        torch.save(content, file, _use_new_zipfile_serialization=how == "zip")
    else:
        file.write_bytes(pickle.dumps(Attack(made), protocol=2 if how == "protocol 2" else None))
    with pytest.raises(UserError, match=r"bad\.pt holds .*: it is refused, and nothing in") as told:
        read_state(file)
    assert how == "plain pickle" or f"({os.name}.system)" in str(told.value)
    assert not made.exists()
    pickle.loads(pickle.dumps(Attack(made)))  # what would have happened
    assert made.exists()


def test_a_whole_model_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        read_state(tmp_path / "whole.pt")


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["m.pt", "m.safetensors", "old.pt"])
def test_a_torn_file_is_said_to_be_torn(tmp_path: Path, name: str, keep: float) -> None:
    file, state = tmp_path / name, net().state_dict()
    if file.suffix == ".pt":
        torch.save(state, file, _use_new_zipfile_serialization=name != "old.pt")
    else:
        save_file(state, file)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    said = r"(is torn, or no file of weights\. Copy|holds a pi|cannot be read: the file is empty)"
    with pytest.raises(UserError, match=rf"{re.escape(name)} {said}"):
        read_state(file)


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors"])
def test_a_text_is_no_file_of_weights_and_nothing_raw_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("epoch 1: loss 0.5\n")
    with pytest.raises(UserError, match=r"is torn, or no file of weights\. Copy it again, or name"):
        read_state(tmp_path / name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    state, model, file = net().state_dict(), net(), tmp_path / "m.pt"
    before = {name: own.clone() for name, own in model.state_dict().items()}
    state["0.weight"][0] = value
    torch.save(state, file)
    with pytest.raises(UserError, match=r"m\.pt holds weights that are not finite \(0\.weight\)"):
        load_into(model, read_state(file), file)
    assert same(before, model)


def many(name: str) -> Tensor:
    """Return a tensor of few bytes that says to be of many numbers, or of such as none is here."""
    if name == "expanded":
        return torch.zeros(1).expand(10**14)
    if name == "overlapping":
        return torch.zeros(9).as_strided((5, 5), (1, 1))
    if name == "sparse":
        return torch.zeros(10**7, 1).to_sparse()
    if name == "without numbers":
        return torch.zeros(10**14, device="meta")
    if name == "nested":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that they are a prototype
            return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    return torch.zeros(3).to(torch.complex64 if name == "complex" else torch.float8_e4m3fn)


@pytest.mark.parametrize(
    "name",
    ["expanded", "overlapping", "sparse", "without numbers", "nested", "complex", "of 8 bits"],
)
def test_weights_that_are_not_in_their_file_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "m.pt"
    torch.save({"0.weight": many(name)}, file)
    assert file.stat().st_size < 10_000
    said = r"m\.pt holds weights that are not stored number by number \(0\.weight\)\. Save copies:"
    with pytest.raises(UserError, match=said):
        read_state(file)


def test_a_part_of_a_larger_tensor_is_taken(tmp_path: Path) -> None:
    large, file, model = torch.randn(100, 100), tmp_path / "m.pt", nn.Linear(3, 4)
    torch.save({"weight": large[5:9, 2:5], "bias": large[0, :4]}, file)
    assert load_into(model, read_state(file), file) == []
    assert torch.equal(model.weight, large[5:9, 2:5])


def test_another_model_is_refused_before_any_number_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({str(number): torch.zeros(9) for number in range(50)}, tmp_path / "m.pt")
    monkeypatch.setattr(torch, "isfinite", lambda _: pytest.fail("a number is looked at"))
    with pytest.raises(UserError, match="are of another model"):
        load_into(net(), read_state(tmp_path / "m.pt"), tmp_path / "m.pt")


def test_a_file_that_unpacks_to_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(net().state_dict(), tmp_path / "m.pt")
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as plain,
        zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for one in plain.infolist():
            packed.writestr(one.filename, plain.read(one))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it is unpacked"))
    with pytest.raises(UserError, match=r"c\.pt is compressed, so torch\.save did not write it"):
        read_state(tmp_path / "c.pt")


def test_one_of_several_sets_of_weights_is_taken_as_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = net()
    monkeypatch.chdir(tmp_path)
    torch.save({"net": net().state_dict(), "ema": model.state_dict()}, "both.pt")
    with pytest.raises(UserError, match=r"several sets of weights: ema, net\.") as told:
        read_state(Path("both.pt"))
    found = re.search(r"torch\.save\(.*\)(?=\.$)", str(told.value))
    assert found
    exec(found[0], {"torch": torch})
    assert same(read_state(Path("ema.pt")), model)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"epoch": 1, "loss": 0.5}, r"no weights by name, but a dictionary of epoch, loss\."),
        ([torch.zeros(2)], r"no weights by name, but a list\."),
        (torch.zeros(2), r"no weights by name, but a Tensor\."),
        ({}, r"no weights by name, but a dict\."),
        ({"a": {"w": torch.zeros(1)}, "b": {"w": torch.zeros(1)}}, "several sets of weights: a, b"),
    ],
)
def test_what_is_no_state_dict_is_said(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(UserError, match=told):
        read_state(tmp_path / "m.pt")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*none\.pt"):
        read_state(tmp_path / "none.pt")


@pytest.mark.parametrize("before", ["model.", "net.backbone."])
def test_any_word_before_all_names_is_taken_off_where_they_then_fit(before: str) -> None:
    model, source = net(), net()
    state = {f"{before}{name}": value for name, value in source.state_dict().items()}
    assert load_into(model, state, Path("m.ckpt")) == []
    assert same(source.state_dict(), model)
    more = state | {f"{before}4.weight": torch.zeros(1)}
    with pytest.raises(
        UserError, match=rf"is missing .* that the model does not have \({before}0\.bias"
    ):
        load_into(model, more, Path("m.ckpt"))


def test_a_word_before_all_names_that_the_model_has_too_stays() -> None:
    model, source = nn.ModuleDict({"0": net()}), nn.ModuleDict({"0": net()})
    load_into(model, source.state_dict(), Path("m.pt"))
    assert same(source.state_dict(), model)


def test_an_old_torch_reads_no_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, safe = tmp_path / "m.pt", tmp_path / "m.safetensors"
    torch.save(net().state_dict(), file)
    save_file(net().state_dict(), safe)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UserError, match=r"Install torch 2\.6 or later"):
        read_state(file)
    assert read_state(safe)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"0.weight": None}, r"the file is missing 1 entry \(0\.weight\)\."),
        ({"4.weight": torch.zeros(1)}, r"has 1 entry that the model does not have \(4\.weight\)\."),
        (
            {"3.weight": torch.zeros(5, 4), "3.bias": torch.zeros(5)},
            r"2 entries of another shape \(3\.weight: \[5, 4\] in place of \[3, 4\], 3\.bias",
        ),
        (
            dict.fromkeys(["0.weight", "0.bias", "3.weight", "3.bias"]),
            r"is missing 4 entries \(0\.bias, 0\.weight, 3\.bias, \.\.\.\)",
        ),
    ],
)
def test_another_model_is_refused_in_one_line(state: dict[str, Tensor | None], told: str) -> None:
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed = net().state_dict() | state
    given = {name: value for name, value in changed.items() if value is not None}
    with pytest.raises(UserError, match=rf"weights in m\.pt are of another model.*{told}") as error:
        load_into(model, given, Path("m.pt"))
    assert "\n" not in str(error.value)
    assert same(before, model)


def test_a_head_for_other_classes_is_left_as_it_is() -> None:
    model, source = net(classes=3), net(classes=10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    left = load_into(model, source.state_dict(), Path("m.pt"), new_head=True)
    assert left == ["3.weight", "3.bias"]
    after = model.state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(after[name], before[name] if name in left else value)
    with pytest.raises(UserError, match="of another shape"):  # more than a head
        load_into(model, net(classes=10, width=5).state_dict(), Path("m.pt"), new_head=True)


def test_a_checkpoint_without_counts_of_batches_is_taken() -> None:
    model, source = net(), net()
    state = {k: v for k, v in source.state_dict().items() if "num_batches" not in k}
    assert load_into(model, state, Path("m.pt")) == []
    assert torch.equal(model.state_dict()["0.weight"], source.state_dict()["0.weight"])


def test_weights_are_handed_out_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    save_file(net().state_dict(), tmp_path / "m.safetensors")
    first, second = (hand_out(tmp_path / "m.safetensors", tmp_path / name) for name in "ab")
    assert first == second and first.keys() == {"model.safetensors", "model.pt"}
    assert (
        torch.load(tmp_path / "a" / "model.pt", weights_only=True).keys()
        == net().state_dict().keys()
    )
