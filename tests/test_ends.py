"""Processes end with what started them, and leave nothing; what only shows ends no run."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Cli, command
from tests.processes import alive, dask, started, wait_for
from unlearnbench.scheduling.slots import Activity, Slot
from unlearnbench.scratch import LOCK, PREFIX, scratch

HOLD = """
import ctypes
from pathlib import Path
from unlearnbench import Method

class Hold(Method):
    '''Hold Python's lock in C code.'''
    paper = "https://example.org"
    def unlearn(self, model, task):
        Path("held").touch()
        ctypes.PyDLL(None).sleep(600)
        return model
"""


HELD = """
import time
from unlearnbench.scratch import scratch
with scratch() as folder:
    (folder / "0.json").touch()
    print(folder.name, flush=True)
    time.sleep(600)
"""


def test_folders_of_dead_processes_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds the lock lives, whatever processes there are with that number here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = {f"{PREFIX}mine", "other"}
    for name in kept:
        (tmp_path / name).mkdir()
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        theirs = process.stdout.readline().strip()
        for name in (theirs, f"{theirs}{LOCK}"):  # as if it lived in another container
            path = tmp_path / name
            theirs_here = path.rename(tmp_path / name.replace(str(process.pid), str(10**30)))
            kept.add(theirs_here.name)
        with scratch() as folder:
            assert folder.parent == tmp_path and str(os.getpid()) in folder.name
            assert left(tmp_path) == kept | {folder.name, f"{folder.name}{LOCK}"}
        process.kill()
        process.wait()
    with scratch() as folder:
        assert left(tmp_path) == {f"{PREFIX}mine", "other", folder.name, f"{folder.name}{LOCK}"}
    assert left(tmp_path) == {f"{PREFIX}mine", "other"}


def left(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def test_a_sweep_leaves_a_folder_that_another_is_just_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plain = Path.mkdir

    def swept_before(path: Path, mode: int = 0o777, **named: bool) -> None:
        if path.name.startswith(PREFIX):
            subprocess.run([sys.executable, "-c", SWEEP, str(tmp_path)], check=True)
        plain(path, mode, **named)

    monkeypatch.setattr(Path, "mkdir", swept_before)
    with scratch() as folder:
        subprocess.run([sys.executable, "-c", SWEEP, str(tmp_path)], check=True)
        assert folder.is_dir() and (tmp_path / f"{folder.name}{LOCK}").exists()


SWEEP = """
import sys, pathlib
from unlearnbench import scratch
scratch._sweep(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_has_a_folder_too(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMPDIR may lie on a cluster's network, where locks are an option of the mount."""

    def refuse(*given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", refuse)
    with scratch() as one, scratch() as other:
        assert one.is_dir() and other.is_dir(), "and none is taken for a dead process's"
    assert left(tmp_path) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="needs users, and links")
@pytest.mark.parametrize("theirs", ["a link", "another user's"])
def test_what_is_not_ours_is_not_touched(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f"{PREFIX}1").mkdir()
    lock = tmp_path / f"{PREFIX}1{LOCK}"
    if theirs == "a link":
        lock.symlink_to(tmp_path / "mine")
    else:
        lock.touch()
        monkeypatch.setattr(os, "getuid", lambda: os.lstat(tmp_path).st_uid + 1)
    with scratch():
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert lock.lstat() and (tmp_path / f"{PREFIX}1").exists()


def test_what_only_shows_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for slot in (Slot(tmp_path / "gone" / "0.json", "cpu"), Slot(None, "cpu")):
        slot.busy(Activity("abc", "ft"))
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        slot.busy(Activity("abc", "ft"))
        assert slot.activity() is None
        slot.idle()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells a child at once")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_that_keep_pythons_lock_die_with_their_main_process(
    cli: Cli, tiny: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "hold.py").write_text(HOLD)
    place = tmp_path / "temp"
    place.mkdir()
    words = ["--methods", "hold", "--seeds", "1", "--plugin", str(tmp_path / "hold.py")]
    env = os.environ | {"TMPDIR": str(place)}
    said = tmp_path / "said.txt"
    # These tests may have been begun by nohup, whose children do not hang up.
    usual = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with started(
        command("run", tiny, *words), tmp_path, said, env=env, preexec_fn=usual
    ) as process:
        assert wait_for((tmp_path / "held").exists), "it began"
        held = set(place.glob(f"{PREFIX}{process.pid}-*"))
        assert held
        process.send_signal(number)  # to the main process alone
        ended = -9 if number == signal.SIGKILL else 128 + number
        assert process.wait(timeout=60) == ended
        assert "Traceback" not in said.read_text()
        assert wait_for(lambda: not alive(process.pid), 20)
    left = set(place.glob(f"{PREFIX}*"))
    assert left == (held if number == signal.SIGKILL else set())
    again = cli("run", tiny, "--methods", "ft", "--seeds", "1", env={"TMPDIR": str(place)})
    assert again.code == 0 and not list(place.glob(f"{PREFIX}*")), "the next start sweeps"
    assert not list(tmp_path.glob("results/tiny/leases/*"))


@pytest.mark.slow
def test_the_end_of_a_dask_scheduler_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    runs, said = tmp_path / "results" / "digits" / "runs", tmp_path / "said.txt"
    with dask(tmp_path, 1) as cluster:
        where = ["--backend", "dask", "--address", cluster.address]
        with started(command("run", "digits", "--seeds", "2", *where), tmp_path, said) as run:

            def begun() -> bool:
                return any(runs.glob("*/record.json")) or run.poll() is not None

            assert wait_for(begun, 200), said.read_text()
            os.killpg(cluster.scheduler.pid, signal.SIGKILL)
            run.wait(timeout=60)
    printed = said.read_text()
    assert run.returncode == 2 and "Traceback" not in printed, printed
    assert f"The Dask scheduler at {cluster.address} is gone. What is finished is kept" in printed
    assert not list(tmp_path.glob("results/digits/leases/*"))
