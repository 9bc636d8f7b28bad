from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from filelock import FileLock
from numpy.typing import NDArray

from docs.builder.parity import LIMIT, Kind, noted

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Array = NDArray[np.float64]

torch.set_num_threads(1)
# As on most machines: what a command imports is compiled for the first of many, not for each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

TINY = """
title = "A benchmark of seconds"
model = "small-cnn"
controls = false
[data]
name = "digits"
train = 120
test = 120
[recipe]
epochs = 4
lr = 0.05
batch_size = 32
[forget]
fractions = [0.1]
[seeds]
originals = [1, 2]
forget = [1, 2]
runs = [1, 2]
retrains = 2
[references]
count = 4
[methods.ft]
epochs = 2
[methods.rl]
epochs = 2
"""


TWO = ["--jobs-per-device", "2"]
DIGITS = ["digits", "--seeds", "2"]
USUAL = 0.05
"""Seconds that a million additions take on the machines for which limits of seconds were set."""


def allowed(seconds: float) -> float:
    """Return a limit of seconds for this machine as it is now: slower ones are given more."""

    def additions() -> float:
        start = time.process_time()
        sum(i * i for i in range(10**6))
        return time.process_time() - start

    return seconds * max(1.0, min(additions() for _ in range(3)) / USUAL)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@dataclass(frozen=True)
class Parity:
    """Assert that a method's weights are as they should be; note how nearly, for docs/parity.csv.

    Weights are an array or several.
    """

    note: Callable[[str, object], None]

    def __call__(
        self,
        method: str,
        found: Sequence[Array] | Array,
        expected: Sequence[Array] | Array,
        kind: Kind = "derivation",
    ) -> None:
        apart = float(np.max([np.abs(a - b).max() for a, b in zip(found, expected, strict=True)]))
        self.note(noted(method, kind), apart)
        assert apart < LIMIT, method


@pytest.fixture
def parity(record_property: Callable[[str, object], None]) -> Parity:
    return Parity(record_property)


def command(*words: str | Path) -> list[str]:
    # One worker unless a test asks for more: most of a tiny run is the start of its workers.
    starts = words[0] in {"run", "tune"} and "--jobs-per-device" not in words
    one = ["--jobs-per-device", "1"] if starts else []
    return [sys.executable, "-m", "unlearnbench", *map(str, words), *one]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the command line in a folder of its own, as a user would."""

    def run(*words: str | Path, cwd: Path = tmp_path, env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            command(*words),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"COLUMNS": "200"} | (env or {}),
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Run a command that starts no worker, in a folder of its own but in this very process."""
    from unlearnbench.cli.app import main

    def run(*words: str | Path, cwd: Path = tmp_path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["unlearnbench", *command(*words)[3:]])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a benchmark of seconds."""
    path = tmp_path_factory.mktemp("benchmark") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `run tiny.toml --methods ft,rl` and `report` have been typed."""
    run: list[str | Path] = ["run", tiny, "--methods", "ft,rl", *TWO]
    return typed(tmp_path_factory, "finished", run, ["report", "tiny"])


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the summary of two repetitions of digits, run undisturbed on this very processor."""
    folder = typed(tmp_path_factory, "digits", ["run", *DIGITS, *TWO], ["report"])
    return folder / "reports" / "digits" / "tables" / "summary.csv"


def typed(factory: pytest.TempPathFactory, name: str, *commands: list[str | Path]) -> Path:
    """Return a folder in which commands have been typed, once for all of xdist's processes."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / name
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            for words in commands:
                done = subprocess.run(command(*words), cwd=folder, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr + done.stdout
                (folder / f"{words[0]}.out").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, which only slow tests need."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "install Debian's package chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
