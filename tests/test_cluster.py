"""A real Dask scheduler and workers, each a process of its own, on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DIGITS, Cli, command
from unlearnbench.scheduling import cluster as cluster_module


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers of one slot each; yield the address and the workers."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    code = "from distributed.cli.dask_{0} import main; main()"

    def start(what: str, *words: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-c", code.format(what), *words]
        return subprocess.Popen(line, cwd=tmp_path, start_new_session=True, **quiet)  # type: ignore[call-overload,no-any-return]

    local = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = start("scheduler", *local, "--host", "127.0.0.1", "--port", "0")
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    slots = ["--nthreads", "1", "--resources", "slot=1", "--local-directory", str(tmp_path)]
    workers = [start("worker", *local, *slots) for _ in range(2)]
    try:
        address = json.loads(file.read_text())["address"]
        from distributed import Client

        with Client(address) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)
        yield address, workers
    finally:
        for process in [*workers, scheduler]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_no_scheduler_is_one_line(inside: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    done = inside("run", tiny, "--backend", "dask", "--address", "tcp://127.0.0.1:9")
    assert done.code == 2 and "Traceback" not in done.err
    assert "There is no Dask scheduler at tcp://127.0.0.1:9" in done.err
    assert "dask worker ADDRESS --nthreads 1 --resources 'slot=1'" in done.err
    alone = inside("run", tiny, "--backend", "dask")
    assert alone.code == 2 and "go together" in alone.err
    words = ["--backend", "dask", "--address", "tcp://127.0.0.1:9", "--budget", "1h"]
    budget = inside("run", tiny, *words)
    assert budget.code == 2 and "--budget counts this machine's slots" in budget.err


def test_workers_that_take_one_gpu_are_named() -> None:
    one, other = ("GPU-1", "NVIDIA H200"), ("GPU-2", "NVIDIA H200")
    told: list[str] = []
    gpus = cluster_module.Gpus(told.append)
    for _ in range(2):
        for worker, gpu in (("a:1", one), ("a:2", one), ("b:1", other), ("c:1", None)):
            gpus.note(worker, gpu)
        gpus.note("c:2", None)
    assert told == [
        "Workers a:1 and a:2 take the same GPU (NVIDIA H200): start each with a"
        " CUDA_VISIBLE_DEVICES of its own."
    ]


@pytest.mark.slow
def test_digits_on_a_cluster_has_the_same_summary_though_a_worker_is_killed(
    cli: Cli, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]], digits: Path
) -> None:
    address, workers = cluster
    words = command("run", *DIGITS, "--backend", "dask", "--address", address)
    run = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    runs = tmp_path / "results" / "digits" / "runs"
    deadline = time.monotonic() + 120
    while len(list(runs.glob("*/record.json"))) < 30 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(workers[0].pid, signal.SIGKILL)
    out, _ = run.communicate(timeout=400)
    assert run.returncode == 0, out
    said = " ".join(out.split())
    assert "to make on the cluster, about " in said and "of work as on the two cores" in said
    assert cli("report").code == 0
    made = tmp_path / "reports" / "digits" / "tables" / "summary.csv"
    assert made.read_bytes() == digits.read_bytes()
