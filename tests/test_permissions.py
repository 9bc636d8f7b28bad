"""Folders of others: what may only be read can be reported, what may not is told in a line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TWO, Done

ROOT = Path(__file__).parents[1]
TYPED = """
import contextlib, io, json, sys
import unlearnbench
from unlearnbench.cli.app import main

for words in json.loads(sys.argv[1]):
    sys.argv, code = ["unlearnbench", *words], 0
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            print(len(unlearnbench.load(words[1]).runs)) if words[0] == "load" else main()
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
DROPPED = "-dac_override,-dac_read_search"
"""What lets root write where nobody may: without it root is held to the modes of its files."""


def typed(folder: Path, *commands: list[str]) -> list[Done]:
    """Type commands as somebody whom the modes of files bind, in one process.

    "load" is none, but what all that read begin with.
    """
    words = [sys.executable, "-c", TYPED, json.dumps(commands)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root is bound by no modes, and there is no setpriv to have it so")
        words = ["setpriv", f"--inh-caps={DROPPED}", f"--bounding-set={DROPPED}", *words]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return [Done(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a folder with results, `theirs`, that may only be read, and a copy that may not."""
    shutil.copytree(finished / "results", tmp_path / "theirs")
    (tmp_path / "theirs" / "tiny" / "metrics.json").unlink()  # which no reader has to write
    shutil.copytree(tmp_path / "theirs", tmp_path / "closed")
    every = [tmp_path / "theirs", *(tmp_path / "theirs").rglob("*")]
    for path in every:
        path.chmod(0o555 if path.is_dir() else 0o444)
    record = next((tmp_path / "closed").glob("tiny/runs/ft-*/record.json"))
    record.chmod(0)
    (tmp_path / "sealed").mkdir(0o555)
    yield tmp_path
    for path in every:
        path.chmod(0o755)


@pytest.mark.slow
def test_what_may_only_be_read_is_reported_and_compared(folder: Path) -> None:
    theirs, other = str(folder / "theirs"), str(ROOT / "results" / "digits@epyc-2")
    reported, compared = typed(
        folder,
        ["report", "tiny", "--results", theirs],
        ["report", "--compare", f"{theirs}/tiny", other],
    )
    assert (reported.code, reported.err) == (0, "")
    assert (folder / "reports" / "tiny" / "tables" / "summary.csv").exists()
    assert (compared.code, compared.err) == (0, "")


@pytest.mark.slow
def test_what_may_only_be_read_is_read_and_what_may_not_is_one_line(
    folder: Path, tiny: Path
) -> None:
    theirs, closed, sealed = (str(folder / name) for name in ("theirs", "closed", "sealed"))
    loaded, ran, listed, pruned, sealed_off, unread = typed(
        folder,
        ["load", f"{theirs}/tiny"],
        ["run", str(tiny), "--methods", "ft,rl", *TWO, "--results", theirs],
        ["results", "verify", "tiny", "--results", theirs],
        ["results", "prune", "tiny", "--yes", "--results", theirs],
        ["report", "tiny", "--results", theirs, "--reports", f"{sealed}/reports"],
        ["report", "tiny", "--results", closed],
    )
    assert (loaded.code, loaded.out, loaded.err) == (0, "10\n", "")
    assert (listed.code, listed.out) == (0, "14 runs, 0 damaged\n")
    for refused, named in (
        (ran, f"{theirs}/tiny"),
        (pruned, f"{theirs}/tiny"),
        (sealed_off, f"{sealed}/reports"),
    ):
        assert refused.code == 2 and refused.err.count("\n") == 1, refused
        assert named in refused.err and "Permission denied" in refused.err, refused
    assert unread.code == 0, "one record costs itself alone"
    page = (folder / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert "record.json cannot be read (Permission denied)" in page
    assert not (folder / "theirs" / "tiny" / "metrics.json").exists()
