"""What is written and removed in a results folder is ours, and lies in it."""

import os
import re
import shutil
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import Cli
from unlearnbench.errors import UserError
from unlearnbench.storage import asked, leases, sealed
from unlearnbench.storage import inside as kept_inside
from unlearnbench.storage.store import Store


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results" / "tiny"


def test_one_file_alone_writes_and_removes_there() -> None:
    """It looks for links, so that no room can be forgotten; a pack has a place of its own."""
    package = Path(ub.__file__).parent
    bare = re.compile(r"from unlearnbench\.files import [^\n]*\bwrite|\.unlink\(|\brmtree\(")
    for path in (package / "storage").glob("*.py"):
        found = bare.search(path.read_text().replace("\n    ", " "))
        assert not found or path.name in ("inside.py", "packing.py"), path.name
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"\bwrite(_text|_bytes)?\(store\.folder / ", text), path.name


def test_what_is_never_written_is_never_removed(
    folder: Path, tmp_path: Path, inside: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of results may be a link, which a stranger made, to a folder of another kind."""
    places = {"leases": "flat.pdf", "models": "mine.safetensors", "splits": "notes.npz"}
    places |= {"runs/diary": "error.txt", "earlier": "pyproject.toml", "sealed": "letter.pdf"}
    mine = [folder / place / name for place, name in places.items()]
    mine += [folder / "runs" / "list", folder / "models" / ".draft-of-a-letter.txt"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "benchmark.toml", path)
        os.utime(path, (0, 0))
    monkeypatch.setattr(leases, "LEASE", 1e-3)
    shutil.move(folder, tmp_path / "mine")
    folder.symlink_to(tmp_path / "mine")
    assert inside("results", "prune", "tiny", "--yes").out == "There is nothing to remove.\n"
    store = Store(folder)
    shown = asked.in_view(store)
    assert shown is not None
    asked.keep(store, shown, [])
    sealed.bring_back(folder)
    for _ in range(2):
        store.leases.of_others()
    for path in mine:
        assert path.read_bytes() == (folder / "benchmark.toml").read_bytes()
        with pytest.raises(UserError, match="it stays"):
            kept_inside.remove(path.parent if path.parent.name == "diary" else path, folder)


@pytest.mark.parametrize("leads", ["to a file", "to itself", "nowhere"])
def test_a_link_among_models_goes_or_is_named(leads: str, folder: Path, inside: Cli) -> None:
    place, text = folder / "models" / f"{'0' * 12}.safetensors", folder / "benchmark.toml"
    place.symlink_to({"to a file": text, "to itself": place}.get(leads, folder / "nowhere"))
    assert inside("results", "ls").code == 0
    done = inside("results", "prune", "tiny", "--yes")
    if leads == "to a file":
        assert done.code == 0 and not place.is_symlink() and text.is_file()
    else:
        assert done.code == 2 and f"{place.name} is a link" in done.err and place.is_symlink()


def test_of_a_link_the_link_itself_is_removed(folder: Path, tmp_path: Path) -> None:
    place, theirs = folder / "models" / f"{'0' * 12}.safetensors", tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "mine").touch()
    place.symlink_to(theirs)
    kept_inside.remove(place, folder)
    assert not place.is_symlink() and (theirs / "mine").exists()


def test_no_results_are_written_in_a_folder_of_another_kind(
    folder: Path, tmp_path: Path, inside: Cli
) -> None:
    """Somebody's results folder may be a link that leads there."""
    theirs, results = tmp_path / "home", tmp_path / "strangers"
    for place in (theirs / "leases", results):
        place.mkdir(parents=True)
    for name in ("samples.csv", "leases/flat.pdf"):
        (theirs / name).write_text("mine")
    (results / "tiny").symlink_to(theirs)
    done = inside("results", "merge", folder, "--results", results)
    assert done.code == 2
    assert "strangers/tiny holds no results, but other files, such as samples.csv" in done.err
    assert {path.name for path in theirs.rglob("*")} == {"leases", "samples.csv", "flat.pdf"}
    (theirs / "samples.csv").rename(theirs / ".DS_Store")
    assert inside("results", "merge", folder, "--results", results).code == 0
    assert (theirs / "benchmark.toml").is_file(), "a link of one's own is followed"
