"""A real Dask scheduler and workers, each a process of its own, on this machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import DIGITS, Cli, command
from tests.processes import dask, started, wait_for
from unlearnbench.scheduling import cluster as cluster_module


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
    cli: Cli, tmp_path: Path, digits: Path
) -> None:
    runs, said = tmp_path / "results" / "digits" / "runs", tmp_path / "said.txt"
    with dask(tmp_path, 2) as cluster:
        words = command("run", *DIGITS, "--backend", "dask", "--address", cluster.address)
        with started(words, tmp_path, said) as run:

            def enough() -> bool:
                made = len(list(runs.glob("*/record.json")))
                return made >= 30 or run.poll() is not None

            assert wait_for(enough, 120), said.read_text()
            os.killpg(cluster.workers[0].pid, signal.SIGKILL)
            assert run.wait(timeout=400) == 0, said.read_text()
    printed = " ".join(said.read_text().split())
    assert "to make on the cluster, about " in printed
    assert "of work on two cores like those" in printed
    assert cli("report").code == 0
    made = tmp_path / "reports" / "digits" / "tables" / "summary.csv"
    assert made.read_bytes() == digits.read_bytes()
