"""What several processes ask of one results folder is all there afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.test_durability import contents
from unlearnbench.errors import UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.storage import asked, housekeeping
from unlearnbench.storage.leases import ASKED
from unlearnbench.storage.store import Store

ROOT = Path(__file__).parents[1]


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Store:
    shutil.copytree(finished / "results", tmp_path / "results")
    return Store(tmp_path / "results" / "tiny")


def race(what: str, folder: Path, turns: int) -> None:
    """Have two processes ask for different methods of so many new folders."""
    pair = [("ft", "ga"), ("ga", "ft")]
    words = [sys.executable, "-m", "tests.racing", what]
    processes = [
        subprocess.Popen([*words, *methods, str(folder), str(turns)], cwd=ROOT) for methods in pair
    ]
    assert [process.wait(timeout=1200) for process in processes] == [0, 0]


def rows(folder: Path) -> set[str]:
    return set(reading.validate(reading.read(folder / "benchmark.toml")).methods)


@pytest.mark.slow
def test_two_processes_ask_at_the_same_moment(tmp_path: Path) -> None:
    race("remember", tmp_path, 10)
    for turn in range(10):
        assert rows(tmp_path / f"results-{turn}" / "raced") == {"ft", "ga"}, turn
        assert not list((tmp_path / f"results-{turn}" / "raced" / "leases").iterdir())


@pytest.mark.slow
def test_two_runs_of_different_methods_on_a_new_folder(inside: Cli, tmp_path: Path) -> None:
    """Twenty times in CI; RACES=50 for as many as it was accepted with."""
    turns = int(os.environ.get("RACES", "20"))
    race("run", tmp_path, turns)
    for turn in range(turns):
        results = tmp_path / f"results-{turn}"
        assert rows(results / "raced") == {"retrain", "ft", "ga"}, turn
        pruned = inside("results", "prune", "raced", "--results", results)
        assert pruned.out == "There is nothing to remove.\n", (turn, pruned)


def test_what_is_being_changed_is_waited_for(tmp_path: Path) -> None:
    order = []

    def other() -> None:
        with asked.changing(Store(tmp_path)):
            order.append("second")

    with asked.changing(Store(tmp_path)):
        waiting = threading.Thread(target=other)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_nobody_writes_what_was_asked_without_holding_it() -> None:
    package = ROOT / "unlearnbench"
    texts = {
        str(path.relative_to(package)): path.read_text(encoding="utf-8")
        for path in sorted(package.rglob("*.py"))
    }
    assert [name for name, text in texts.items() if "asked.keep(" in text] == ["cli/results.py"]
    assert "with asked.changing(store):\n        removal, left" in texts["cli/results.py"]
    noting = [name for name, text in texts.items() if "note_plugins(" in text]
    assert noting == ["storage/asked.py", "storage/plugins.py"]
    named = [name for name, text in texts.items() if '"benchmark.toml"' in text]
    assert named == ["storage/asked.py", "storage/inside.py", "storage/pack.py"]


def with_row(store: Store, label: str) -> Benchmark:
    shown = asked.in_view(store)
    assert shown is not None
    row = Row(method="ft", settings={"lr": 0.01 * len(label)})
    return shown.model_copy(update={"methods": {**shown.methods, label: row}})


@pytest.fixture
def taken_over(copied: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Have another process take over, and note a row, when a folder is first to be written to."""
    (note, times), row = (Store.note, iter([True])), with_row(copied, "theirs")

    def noted(store: Store, path: Path, text: str) -> None:
        if next(times, False):
            (store.folder / "leases" / ASKED).unlink()  # as of a process that seems dead
            asked.remember(Store(store.folder), row, {})
        note(store, path, text)

    monkeypatch.setattr(Store, "note", noted)
    return copied


def test_a_process_that_slept_undoes_nothing(taken_over: Store) -> None:
    """It held the lease for longer than one lasts, between what it read and what it writes."""
    asked.remember(taken_over, with_row(taken_over, "mine"), {})
    assert {"mine", "theirs"} <= rows(taken_over.folder)
    assert not list((taken_over.folder / "leases").iterdir())


def test_a_longer_step_ends_where_another_process_took_over(taken_over: Store) -> None:
    row, kept = with_row(taken_over, "mine"), contents(taken_over.folder / "runs")
    run = next(iter(taken_over.runs().values()))
    slept = pytest.raises(UserError, match=r"took over .*asked while this one slept")
    with slept, asked.changing(taken_over):
        asked.remember(taken_over, row, {})
    with asked.changing(taken_over):
        (taken_over.folder / "leases" / ASKED).unlink()
        with pytest.raises(UserError, match="while this one slept"):
            housekeeping.remove_unasked([run], taken_over)
    assert contents(taken_over.folder / "runs") == kept
    assert "theirs" in rows(taken_over.folder) and "mine" not in rows(taken_over.folder)
