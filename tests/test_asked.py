"""What several processes ask of one results folder is all there afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Cli
from unlearnbench.planning import reading
from unlearnbench.storage import asked
from unlearnbench.storage.store import Store

ROOT = Path(__file__).parents[1]


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
    assert named == ["storage/asked.py", "storage/pack.py"]
