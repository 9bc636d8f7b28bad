"""Audits of outputs alone: what they are of decides them, and each file is one model."""

from __future__ import annotations

import shutil
import weakref
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import unlearnbench as ub
from unlearnbench.api.audit import given_files
from unlearnbench.api.listener import Listener
from unlearnbench.data.outputs import Outputs, read_outputs
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Spec
from unlearnbench.storage.store import Store

ROWS, CLASSES = 90, 3
TRUE = np.arange(ROWS) % CLASSES


class Ear(Listener):
    """Keep what is heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def told(self, text: str) -> None:
        """Hear a line."""
        self.heard.append(text)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with outputs of six models on 90 samples: 60 of training, 30 of test."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("original", "u", "r1", "r2", "r3", "r4"):
        logits = draw.normal(size=(ROWS, CLASSES)) + 2 * np.eye(CLASSES)[TRUE]
        np.savez(tmp_path / f"{name}.npz", logits=logits.astype(np.float32))
    np.save("labels.npy", TRUE)
    np.savetxt("forget.txt", np.arange(10), fmt="%d")
    np.savetxt("test.txt", np.arange(60, 90), fmt="%d")
    np.savetxt("retain.txt", np.arange(10, 60), fmt="%d")
    return tmp_path


def audited(**changes: Any) -> ub.Results:
    lists = {part: f"{part}.txt" for part in ("forget", "test", "retain")}
    models: dict[str, Any] = {"unlearned": "u.npz", "original": "original.npz"}
    return ub.audit(**{"labels": "labels.npy"} | lists | models | changes)


def test_outputs_of_other_labels_or_parts_are_audited_apart(here: Path) -> None:
    said = np.load("u.npz")["logits"].argmax(1)
    kept: dict[Path, bytes] = {}
    changes: dict[str, Any] = {"labels": TRUE, "test": np.arange(60, 75)}
    parts = {part: np.loadtxt(f"{part}.txt", dtype=int) for part in ("forget", "retain", "test")}
    labels, ear = (TRUE + (np.arange(ROWS) < 80)) % CLASSES, Ear()  # a mistake, mended later
    for part, changed in {"": None, **changes}.items():
        if part == "labels":
            labels = changed
        elif part:
            parts[part] = changed
            np.savetxt(f"{part}.txt", changed, fmt="%d")
        np.save("labels.npy", labels)
        row = audited(listener=ear).runs.set_index("label").loc["u"]
        for name, rows in parts.items():
            correct = 100 * np.mean(said[rows] == labels[rows])
            assert row[f"{name}_accuracy"] == pytest.approx(correct), (part, name)
        assert {path: path.read_bytes() for path in kept} == kept, "nothing old is overwritten"
        kept |= {path: path.read_bytes() for path in here.glob("results/audit/*/**/*.npz")}
    table = pd.read_csv("results/audit/samples.csv")
    assert (table["label"] == TRUE[table["id"]]).all() and (table["part"] == "test").sum() == 15
    apart = [line for line in ear.heard if line.startswith("What audit showed so far was made wi")]
    assert not any("--" in line for line in apart), "`apply`, which says the same, has no --results"
    assert len(apart) == len(list(here.glob("results/audit/earlier/*.toml"))) == len(changes)


def test_what_was_audited_before_is_shown_again(here: Path) -> None:
    before = audited()
    np.savetxt("other.txt", np.arange(20, 60), fmt="%d")
    other = audited(retain="other.txt")
    assert not other.runs.equals(before.runs) and len(other.samples) == 80
    written = {path: path.stat().st_mtime_ns for path in here.glob("results/audit/runs/*/*")}
    again = audited()
    assert again.runs.equals(before.runs) and again.samples.equals(before.samples)
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retrains": ["r1.npz", "r1.npz"]}, r"r1\.npz \(retrain\) and r1\.npz \(retrain\)"),
        ({"retrains": ["r1.npz", "copy.npz"]}, r"r1\.npz \(retrain\) and copy\.npz \(retrain\)"),
        (
            {"references": ["r1.npz", "copy.npz"]},
            r"r1\.npz \(reference\) and copy\.npz \(reference\)",
        ),
        ({"unlearned": ["r1.npz", "copy.npz"]}, r"r1\.npz \(r1\) and copy\.npz \(copy\)"),
        (
            {"unlearned": "r1.npz", "retrains": "copy.npz"},
            r"r1\.npz \(r1\) and copy\.npz \(retrain\)",
        ),
        ({"original": "r1.npz", "retrains": "copy.npz"}, r"r1\.npz \(original\) and copy\.npz"),
        ({"retrains": "r1.npz", "references": "copy.npz"}, r"r1\.npz \(retrain\) and copy\.npz"),
    ],
)
def test_a_file_counts_as_one_model(here: Path, changes: dict[str, Any], said: str) -> None:
    shutil.copy("r1.npz", "copy.npz")
    with pytest.raises(UserError, match=rf"{said}.* one file.* Give each model once"):
        audited(**changes)
    assert not (here / "results").exists()


def test_an_unlearned_model_that_is_the_original_is_flagged(here: Path) -> None:
    shutil.copy("original.npz", "u.npz")
    found = audited(retrains=["r1.npz", "r2.npz", "r3.npz", "r4.npz"])
    flags = found.attacks.set_index("label")["flags"]
    assert "no-op" in str(flags["u"]) and "no-op" not in str(flags["held-out retrain"])


def test_weights_are_one_model_whatever_a_list_beside_them_says(here: Path) -> None:
    for name, member in {"one": "1\n", "two": "2\n"}.items():
        Path(f"{name}.pt").write_bytes(b"weights")
        Path(f"{name}.txt").write_text(member)
    with pytest.raises(UserError, match=r"one\.pt \(reference\) and two\.pt \(reference\) are one"):
        given_files({"reference": [Path("one.pt"), Path("two.pt")]})


def test_runs_are_written_under_a_lease(here: Path) -> None:
    held, save = [], Store.save

    def watched(store: Store, spec: Spec, *rest: Any) -> None:
        held.append(store.leases.is_held(spec.id))
        save(store, spec, *rest)

    with patch.object(Store, "save", watched):
        store = Store(audited().folder)
    assert held == [True, True] and not any(map(store.leases.is_held, store.runs()))


def test_outputs_of_one_file_at_a_time_are_in_memory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 references on 50,000 samples of 1,000 classes they would take 13 GB."""
    read: list[weakref.ref[Any]] = []

    def watched(path: Path) -> Outputs:
        assert not any(known() is not None for known in read), "those of the files before are gone"
        found = read_outputs(path)
        read.append(weakref.ref(found.logits))
        return found

    for module in ("data", "api"):
        monkeypatch.setattr(f"unlearnbench.{module}.outputs.read_outputs", watched, raising=False)
    assert len(audited(retrains=["r1.npz", "r2.npz"]).runs) == 4
    assert len(read) == 8, "each file once to compare it with the others, once to store it"


def hollow(path: Path, claimed: dict[str, object]) -> None:
    """Write a file of outputs whose header says what is not there."""
    with zipfile.ZipFile(path, "w") as file, file.open("logits.npy", "w") as logits:
        np.lib.format.write_array_header_1_0(logits, claimed)


def test_a_file_of_outputs_takes_no_more_memory_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, few = tmp_path / "u.npz", -np.eye(4, 3, dtype=np.float32)
    monkeypatch.setattr("unlearnbench.data.outputs.UNPACKED", 1000)
    np.savez_compressed(path, logits=few)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("anything.npy", "which nobody asks for")
    assert np.array_equal(read_outputs(path).logits, few)
    many = np.ones((1000, 3), dtype=np.float32)
    np.savez_compressed(path, logits=many)
    with pytest.raises(UserError, match=r"'logits' unpacks to more than 0 MB, save it with numpy"):
        read_outputs(path)
    np.savez(path, logits=many + 1)
    assert len(read_outputs(path).logits) == 1000, "what is not compressed may be of any size"
    for shape, descr in (((10**14, 3), "<f4"), ((10**9,), "<U0")):
        hollow(path, {"shape": shape, "fortran_order": False, "descr": descr})
        with pytest.raises(UserError, match="Cannot read outputs from"):
            read_outputs(path)


def test_rounded_probabilities_are_not_taken_for_logits(tmp_path: Path) -> None:
    logits = 3 * np.random.default_rng(0).normal(size=(50, 1000))
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for stored in (exact, exact.astype(np.float32), exact.astype(np.float16)):
        np.savez(tmp_path / "u.npz", logits=stored)
        assert read_outputs(tmp_path / "u.npz").logits.max() <= 0, "they became their logarithms"
    np.savez(tmp_path / "u.npz", logits=exact.round(4))
    with pytest.raises(UserError, match=r"from 0 to 1, but not all rows sum to 1 \(row \d+: "):
        read_outputs(tmp_path / "u.npz")


def test_a_probability_rounded_to_0_is_near_the_smallest_that_is_not(here: Path) -> None:
    """Or rounding would make the largest log-odds of all: 67 where exact ones reach 9."""
    with np.load("u.npz") as kept:
        logits = 3 * kept["logits"].astype(np.float64)
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.savez("u.npz", logits=exact.round(4))
    found = read_outputs(Path("u.npz"))
    zero = exact.round(4) == 0
    assert zero.any() and np.allclose(np.exp(found.logits[zero]), 0.5e-4)
    assert np.allclose(np.exp(found.logits[~zero]), exact.round(4)[~zero])
    ear = Ear()
    audited(listener=ear)
    assert [line for line in ear.heard if "exactly 0" in line] == [
        "Some probabilities are exactly 0 in u.npz, as rounded ones are: each counts as half of the"
        " smallest other one in its file. Log-odds are not exact then: better give logits."
    ]
    least = np.finfo(np.float32).smallest_subnormal  # half of it would be 0 again
    np.savez("u.npz", logits=np.array([[1, 0, least]], dtype=np.float32))
    assert np.isfinite(read_outputs(Path("u.npz")).logits).all()
    np.savez("u.npz", logits=exact)
    assert not read_outputs(Path("u.npz")).zeros


def test_the_index_of_a_table_is_not_taken_for_a_class(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 3))).add_prefix("c")
    frame.to_csv(tmp_path / "u.csv")
    with pytest.raises(UserError, match="has a column without a name, as the index is that pandas"):
        read_outputs(tmp_path / "u.csv")
    frame.to_csv(tmp_path / "u.csv", index=False)
    assert read_outputs(tmp_path / "u.csv").logits.shape == (6, 3)


def test_a_file_without_a_row_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "u.npz", logits=np.empty((0, 3)))
    with pytest.raises(UserError, match=r"have shape \[0, 3\]; \[samples, classes\] is needed"):
        read_outputs(tmp_path / "u.npz")


@pytest.mark.parametrize(("prefix", "first"), [("", 0), ("c", 0), ("class ", 1)])
def test_classes_called_by_numbers_are_in_their_order(
    tmp_path: Path, prefix: str, first: int
) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    names = [f"{prefix}{number}" for number in range(first, first + 12)]
    frame = pd.DataFrame(logits, columns=names)
    frame[sorted(names)].to_csv(tmp_path / "u.csv", index=False)
    assert np.array_equal(read_outputs(tmp_path / "u.csv").logits, logits)
    ids = [f"n{10 * number}" for number in range(12)]
    frame.set_axis(ids[::-1], axis=1).to_csv(tmp_path / "u.csv", index=False)
    assert np.array_equal(read_outputs(tmp_path / "u.csv").logits, logits), "no numbers of classes"
