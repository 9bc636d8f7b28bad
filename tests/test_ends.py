"""Processes end with what started them, and leave nothing; what only shows ends no run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Cli, command
from unlearnbench.scheduling.slots import Activity, Slot
from unlearnbench.scratch import PREFIX, scratch

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


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def test_folders_of_dead_processes_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [f"{PREFIX}{os.getpid()}-abc", f"{PREFIX}mine", "other"]
    dead = [f"{PREFIX}{ended.pid}-abc", f"{PREFIX}{10**30}-abc"]
    for name in [*kept, *dead]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.json").touch()
    with scratch() as folder:
        assert folder.parent == tmp_path and str(os.getpid()) in folder.name
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, folder.name])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_what_only_shows_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for slot in (Slot(tmp_path / "gone" / "0.json", "cpu"), Slot(None, "cpu")):
        slot.busy(Activity("abc", "ft"))
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        slot.busy(Activity("abc", "ft"))
        assert slot.activity() is None
        slot.idle()


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


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
    process = subprocess.Popen(
        command("run", tiny, *words),
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert wait_for((tmp_path / "held").exists), "it began"
        held = set(place.glob(f"{PREFIX}{process.pid}-*"))
        assert held
        process.send_signal(number)  # to the main process alone
        out, _ = process.communicate(timeout=60)
        assert "Traceback" not in out
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
        assert wait_for(lambda: not alive(process.pid), 20)
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    left = set(place.glob(f"{PREFIX}*"))
    assert left == (held if number == signal.SIGKILL else set())
    again = cli("run", tiny, "--methods", "ft", "--seeds", "1", env={"TMPDIR": str(place)})
    assert again.code == 0 and not list(place.glob(f"{PREFIX}*")), "the next start sweeps"
    assert not list(tmp_path.glob("results/tiny/leases/*"))


SCHEDULER = "from distributed.cli.dask_{0} import main; main()"


@pytest.mark.slow
def test_the_end_of_a_dask_scheduler_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    local = ["--scheduler-file", str(file), "--no-dashboard"]

    def start(what: str, *more: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-c", SCHEDULER.format(what), *local, *more]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(line, cwd=tmp_path, start_new_session=True, **quiet)  # type: ignore[call-overload,no-any-return]

    started = [start("scheduler", "--host", "127.0.0.1", "--port", "0")]
    try:
        assert wait_for(lambda: file.exists() and file.stat().st_size > 0)
        here = ["--nthreads", "1", "--resources", "slot=1", "--local-directory", str(tmp_path)]
        started.append(start("worker", *here))
        address = json.loads(file.read_text())["address"]
        from distributed import Client

        with Client(address) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(1, timeout=120)
        words = command("run", "digits", "--seeds", "2", "--backend", "dask", "--address", address)
        run = subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        runs = tmp_path / "results" / "digits" / "runs"
        made = wait_for(lambda: any(runs.glob("*/record.json")) or run.poll() is not None, 200)
        os.killpg(started[0].pid, signal.SIGKILL)
        out, _ = run.communicate(timeout=60)
        assert made, out
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert run.returncode == 2 and "Traceback" not in out, out
    assert f"The Dask scheduler at {address} is gone. What is finished is kept" in out
    assert not list(tmp_path.glob("results/digits/leases/*"))
