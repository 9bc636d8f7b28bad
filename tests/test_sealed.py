"""What is shown of a results folder is what was written there, or is named, and brought back."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.processes import largest_file
from unlearnbench.api.results import load
from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT
from unlearnbench.storage import asked, sealed
from unlearnbench.storage.store import Store

Spoil = Callable[[Path], object]

SPOILT: dict[str, Spoil] = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "NULs": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "edited": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2", 1)),
    "gone": lambda path: path.unlink(),
}


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results" / "tiny"


@pytest.fixture
def texts(copied: Path) -> dict[str, bytes]:
    """Return all texts that have a copy, with something asked for earlier and samples."""
    store = Store(copied)
    shown = asked.in_view(store)
    assert shown is not None
    other = shown.model_copy(update={"recipe": shown.recipe.model_copy(update={"epochs": 9})})
    asked.keep(store, shown, [other])
    sealed.write_sealed(copied / "samples.csv", copied, "position,label\n0,1\n")
    names = ["benchmark.toml", "methods.json", "samples.csv"]
    names += [f"earlier/{path.name}" for path in (copied / "earlier").glob("*.toml")]
    assert len(names) == 4 and asked.damage(store) == {}
    return {name: (copied / name).read_bytes() for name in names}


@pytest.mark.parametrize("how", SPOILT)
def test_texts_are_brought_back_by_their_copies(
    how: str, copied: Path, texts: dict[str, bytes]
) -> None:
    store = Store(copied)
    for name in texts:
        SPOILT[how](copied / name)
    damaged = asked.damage(store)
    assert damaged.keys() == texts.keys()
    with pytest.raises(UserError, match=r"unlearnbench report tiny mends it"):
        asked.require_whole(store)
    lines = asked.mend(store)
    assert len(lines) == 4 and all(line.endswith("; brought back.") for line in lines)
    assert {name: (copied / name).read_bytes() for name in texts} == texts
    assert asked.damage(store) == {} and asked.mend(store) == []


def test_what_was_being_written_when_the_power_went_harms_nobody(
    inside: Cli, copied: Path, texts: dict[str, bytes]
) -> None:
    """Wherever a draft is left, it is read by nobody, and goes when it is old enough."""
    files = [path for path in copied.rglob("*") if path.is_file()]
    drafts = [path.with_name(f"{DRAFT}{'a' * 32}-{path.name}") for path in files]
    for path, draft in zip(files, drafts, strict=True):
        draft.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert asked.damage(Store(copied)) == {} and asked.mend(Store(copied)) == []
    assert len(asked.earlier(Store(copied))) == 1
    for words in (["results", "verify", "tiny"], ["results", "ls"], ["report", "tiny"]):
        done = inside(*words)
        assert done.code == 0 and DRAFT not in done.out + done.err, done.out + done.err
    for draft in drafts:
        os.utime(draft, (1, 1))
    assert inside("results", "prune", "tiny", "--yes").code == 0
    assert not list(copied.rglob(f"{DRAFT}*"))
    assert {name: (copied / name).read_bytes() for name in texts} == texts


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_copy_costs_nothing(how: str, copied: Path, texts: dict[str, bytes]) -> None:
    for name in texts:
        SPOILT[how]((copied / name).parent / sealed.SEALED / Path(name).name)
    asked.mend(Store(copied))
    assert {name: (copied / name).read_bytes() for name in texts} == texts
    if how != "gone":  # as an earlier version left it
        assert asked.damage(Store(copied)) == {}
        SPOILT["half"](copied / "benchmark.toml")
        assert asked.damage(Store(copied)).keys() == {"benchmark.toml"}


@pytest.mark.parametrize("how", ["empty", "half", "NULs"])
def test_a_benchmark_file_without_a_copy_is_named_with_what_to_do(
    how: str, inside: Cli, copied: Path
) -> None:
    shutil.rmtree(copied / sealed.SEALED)
    SPOILT[how](copied / "benchmark.toml")
    for words in (["report", "tiny"], ["results", "prune", "tiny"]):
        done = inside(*words)
        assert done.code == 2 and len(done.err.splitlines()) == 1, done.err
        assert "results/tiny/benchmark.toml" in done.err
        assert "type its commands again; there are runs of: ft, rl." in done.err
    assert "benchmark.toml" in inside("results", "verify", "tiny").out


@pytest.mark.parametrize("behind", ["sealed", "earlier"])
def test_nothing_is_read_or_written_behind_links(
    behind: str, copied: Path, texts: dict[str, bytes], tmp_path: Path
) -> None:
    """Whoever made a folder may have named a place of mine, and what is to be written there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.move(copied / behind, outside / behind)
    (copied / behind).symlink_to(outside / behind)
    place = outside / "sealed" if behind == "sealed" else outside / "earlier" / "sealed"
    (place / "benchmark.toml").write_text("mine")
    if behind == "earlier":
        (outside / behind / "benchmark.toml").write_text("mine too")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    load(copied)
    assert before == {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}


def test_a_copy_that_is_a_link_is_none(copied: Path, texts: dict[str, bytes]) -> None:
    copy = copied / sealed.SEALED / "benchmark.toml"
    copy.rename(copied / "elsewhere")
    copy.symlink_to(copied / "elsewhere")
    (copied / "benchmark.toml").write_bytes(texts["benchmark.toml"] + b"#")
    assert asked.damage(Store(copied)).keys() == {"benchmark.toml"}
    asked.mend(Store(copied))
    assert not copy.is_symlink() and (copied / "elsewhere").exists()


def test_edited_metrics_are_named_and_never_shown(inside: Cli, copied: Path) -> None:
    load(copied)
    path = copied / "metrics.json"
    before = path.read_text()
    assert json.loads(before)["runs"]["label"], "which is JSON all the same"
    forged = re.sub(r'("forget_accuracy": \[)[\d.]+', r"\g<1>98.76543", before)
    for text in (forged, before[:200], "", "\0" * 9, forged.replace("checksum", "x", 1)):
        assert text != before
        path.write_text(text)
        damaged = inside("results", "verify", "tiny")
        if not text.startswith('{"x"'):  # which 0.1.0 may have written, and is not shown
            assert damaged.code == 1 and "metrics.json: is not what was written" in damaged.out
        assert "98.76543" not in load(copied).findings.as_json()
        assert path.read_text() == before
    assert inside("results", "verify", "tiny").out == "14 runs, 0 damaged\n"


def test_metrics_that_cannot_be_kept_are_shown_all_the_same(copied: Path) -> None:
    before = load(copied)
    (copied / "metrics.json").unlink()
    with largest_file(100):  # as where the disk is full
        found = load(copied)
    assert found.findings.as_json() == before.findings.as_json()
    assert not (copied / "metrics.json").exists()


def test_metrics_of_a_forget_set_that_is_damaged_are_not_used_again(copied: Path) -> None:
    before = load(copied)
    sorted((copied / "splits").iterdir())[0].write_bytes(b"")
    found = load(copied)
    assert 0 < len(found.runs) < len(before.runs), "runs of one of two forget sets are left out"
    assert set(found.runs["run"]) <= found.findings.details.keys()
    (copied / "metrics.json").unlink()
    assert load(copied).findings.as_json() == found.findings.as_json()


def test_a_missing_record_is_seen(inside: Cli, copied: Path) -> None:
    run, original = sorted(copied.glob("runs/ft-*"))[0], sorted(copied.glob("runs/original-*"))[0]
    (run / "record.json").unlink()
    one = inside("results", "verify", "tiny")
    assert one.code == 1 and f"{run.name}: record.json is missing" in one.out
    (copied / "leases").mkdir(exist_ok=True)
    lease = copied / "leases" / run.name.rpartition("-")[2]
    lease.touch()
    assert inside("results", "verify", "tiny").code == 0, "it may just be in the making"
    lease.unlink()
    shutil.rmtree(run)
    gone = inside("results", "verify", "tiny")
    assert gone.code == 0 and "Requested, but not here: ft (1)." in gone.out
    shutil.rmtree(original)
    shown = inside("results", "verify", "tiny")
    assert shown.code == 1
    assert f"{original.name.rpartition('-')[2]}: is missing, though " in shown.out
