"""Runs in places that are not as one would like, and beside others who prune, watch and kill."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import TWO, Cli, command
from tests.processes import started, wait_for
from tests.test_durability import contents

pytestmark = pytest.mark.slow

FEW = 64
ODD = "a b'\"%s $HOME [x] {y} é漢 #?"
"""A name for a folder that a shell, a format, a pattern or an address would take for more."""


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Make a disk without room for a file of a kilobyte."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be made here")
    try:
        (folder / "all").write_bytes(bytes(4096))
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def few_files() -> None:
    """Let a process, and those that it starts, have few files open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


def ran(folder: Path, words: list[str | Path], env: dict[str, str], **more: object) -> str:
    """Type a command somewhere; return what it printed. It must succeed."""
    done = subprocess.run(  # type: ignore[call-overload]
        command(*words), cwd=folder, env=env, capture_output=True, text=True, timeout=300, **more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return str(done.stdout)


def test_without_a_home_in_an_odd_place_with_few_files_many_jobs_and_no_temporary_files(
    finished: Path, tiny: Path, tmp_path: Path
) -> None:
    env = {name: value for name, value in os.environ.items() if name != "HOME"}
    place = tmp_path / ODD
    place.mkdir()
    file = shutil.copy(tiny, place / "tiny.toml")
    words: list[str | Path] = ["run", file, "--methods", "ft,rl"]
    ran(place, [*words, *TWO], env, preexec_fn=few_files)
    expected = contents(finished / "results" / "tiny")
    assert contents(place / "results" / "tiny") == expected
    ran(place, ["report", "tiny"], env, preexec_fn=few_files)
    assert (place / "reports" / "tiny" / "index.html").is_file()

    with full_disk(tmp_path / "full") as full:
        many = [*words, "--jobs-per-device", "8", "--results", "many"]
        ran(place, many, env | {"TMPDIR": str(full)})
    assert contents(place / "many" / "tiny") == expected


def test_pruning_and_watching_beside_runs_that_are_killed(
    cli: Cli, inside: Cli, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    """What a run makes is never pruned, and who watches sees it to its end."""
    words, draw = command("run", tiny, "--methods", "ft,rl"), random.Random(0)
    runs, said, pruned = tmp_path / "results" / "tiny" / "runs", tmp_path / "watched.txt", 0

    def made() -> int:
        return len(list(runs.glob("*/record.json")))

    with ExitStack() as block:
        process = block.enter_context(started(words, tmp_path))
        wait_for(lambda: made() > 0, 200)
        watched = command("report", "--watch", "tiny")
        watching = block.enter_context(started(watched, tmp_path, said))
        for turn in range(3):
            if turn:
                process = block.enter_context(started(words, tmp_path))
            before = made()
            while process.poll() is None and made() < before + 3:
                done = inside("results", "prune", "tiny", "--yes")
                assert done.code in (0, 2) and "Traceback" not in done.err, done
                pruned += 1
                time.sleep(draw.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = cli("run", tiny, "--methods", "ft,rl")
        assert done.code == 0 and pruned > 5, done.out + done.err
        watching.wait(timeout=120)
    out = said.read_text()
    assert watching.returncode == 0 and "Traceback" not in out, out
    assert "14 of 14 models: reports/tiny/index.html" in out
    assert contents(tmp_path / "results" / "tiny") == contents(finished / "results" / "tiny")
