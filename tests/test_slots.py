"""Devices and slots, with GPUs that are only pretended."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from unlearnbench import environment
from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.splits import Split
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Node, Plan, Spec
from unlearnbench.recipe import Recipe
from unlearnbench.scheduling import processes, slots
from unlearnbench.scheduling.estimate import Pace, expected
from unlearnbench.scheduling.placement import Placement, choose
from unlearnbench.storage.store import Store
from unlearnbench.units import read_duration


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_is_found_and_takes_what_fits_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert environment.devices() == ["cuda:0", "cuda:1"]
    assert choose("cuda:1", 3) == Placement(["cuda:1"], 3, measured=False)
    for cores, one, two in ((1, 1, 1), (4, 4, 2), (16, 4, 4)):  # a process wants a core
        monkeypatch.setattr(environment, "cores", lambda cores=cores: cores)
        assert choose("cuda", None) == Placement(["cuda:0"], one, measured=True)
        assert choose("auto", None) == Placement(["cuda:0", "cuda:1"], two, measured=True)
    with pytest.raises(UserError, match=r"no device 'cuda:2' here\. This machine has cpu, cuda:0"):
        choose("cuda:1,cuda:2", None).require()


def test_without_a_gpu_there_is_a_run_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    chosen = choose("auto", None)
    assert chosen.devices == ["cpu"] and chosen.jobs >= 1
    with pytest.raises(UserError, match=r"no device 'mps' here.*; runs use CPUs and NVIDIA GPUs"):
        choose("mps", None).require()


def test_slots_of_a_device_share_it() -> None:
    with processes.open_workers(["cuda:0", "cuda:1"], 2) as made:
        assert [worker.slot.device for worker in made] == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
        assert len({worker.slot.file for worker in made}) == 4


def test_a_process_may_open_the_files_of_all_its_slots() -> None:
    """A slot takes eight: macOS allows 256, which 32 cores use up, and Linux 1024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    slots_there = (before[1] if before[1] != resource.RLIM_INFINITY else 4096) // 20
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        with processes.open_workers(["cpu"], 1):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256, "which is enough"
        with processes.open_workers(["cpu"], slots_there):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 8 * slots_there
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_ends_workers_is_installed_on_every_system() -> None:
    """Without psutil loky asks pgrep, which small images lack, and then waits for ever."""
    about = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert "psutil" in {Requirement(need).name for need in about["project"]["dependencies"]}


def _where(job: None, slot: slots.Slot) -> tuple[str, int, int]:
    return slot.device, torch.get_num_threads(), os.getpid()


def _sleep(seconds: float, slot: slots.Slot) -> None:
    time.sleep(seconds)


def _grow(size: int, slot: slots.Slot) -> int:
    """Keep so many bytes until the process ends; return its id."""
    _kept.append(bytearray(size))
    return os.getpid()


_kept: list[bytearray] = []


@pytest.mark.slow
def test_a_worker_keeps_its_process_and_has_a_new_one_after_it_died(tmp_path: Path) -> None:
    worker = processes.Worker(slots.Slot(tmp_path / "0.json", "cpu"))
    try:
        device, threads, first = worker.submit(_where, None).result(timeout=60)
        assert (device, threads) == ("cpu", 1)
        assert worker.submit(_where, None).result(timeout=60)[2] == first
        doomed = worker.submit(_sleep, 60)
        worker.stop()
        with pytest.raises(processes.LOST):
            doomed.result(timeout=60)
        doomed = worker.submit(_sleep, 60)  # stopped before its process has begun
        worker.stop()
        with pytest.raises(processes.LOST):
            doomed.result(timeout=60)
        again = worker.submit(_where, None).result(timeout=60)[2]
        assert again != first
        os.kill(again, signal.SIGKILL)
        with pytest.raises(processes.LOST):
            worker.submit(_sleep, 60).result(timeout=60)
    finally:
        worker.stop()


def _fresh_pages(size: int, slot: slots.Slot) -> int:
    """Fill so many bytes and free them, twice; return how many pages the second time had to get."""
    bytearray(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.slow
@pytest.mark.skipif(not platform.libc_ver()[0], reason="only glibc can be told to keep them")
def test_a_process_keeps_the_pages_that_it_frees(tmp_path: Path) -> None:
    worker = processes.Worker(slots.Slot(tmp_path / "0.json", "cpu"))
    size = 16 << 20  # of 4 KB pages 4096
    try:
        assert worker.submit(_fresh_pages, size).result(timeout=60) < 100
    finally:
        worker.stop()


@pytest.mark.slow
def test_a_process_that_has_grown_stays(tmp_path: Path) -> None:
    worker = processes.Worker(slots.Slot(tmp_path / "0.json", "cpu"))
    try:
        first = worker.submit(_grow, 0).result(timeout=60)
        worker.submit(_grow, 500 * 10**6).result(timeout=60)
        for _ in range(5):  # loky looks at the memory every second
            time.sleep(0.5)
            assert worker.submit(_grow, 0).result(timeout=60) == first
    finally:
        worker.stop()


def test_a_gpu_of_many_has_no_more_than_its_share_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    for cores, slots_a_gpu in ((16, 2), (4, 1), (64, 4)):
        monkeypatch.setattr(environment, "cores", lambda cores=cores: cores)
        chosen = choose("auto", None)
        assert (chosen.slots, chosen.lanes) == (8 * slots_a_gpu, 8)
    with processes.open_workers(chosen.devices, 2) as made:
        assert len(made) == 16


def test_neighbours_are_counted_on_one_device_and_over_time(tmp_path: Path) -> None:
    def slot(number: int, device: str = "cuda:0") -> slots.Slot:
        return slots.Slot(tmp_path / f"{number}.json", device)

    clock = iter(range(1000))
    one, other, third, elsewhere = slot(0), slot(1), slot(2), slot(3, "cuda:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: float(next(clock)))
        other.enter()  # 0, and there all the time
        elsewhere.enter()  # 1
        began = one.enter()  # 2
        third.enter()  # 3
        third.idle()  # 4
        third.idle()  # 5, as when a worker that has ended is stopped
        assert one.neighbours(began) == pytest.approx((4 + 1) / 4, abs=0.001)  # 2 to 6
        other.idle()  # 7
        one.idle()  # 8
        began = one.enter()  # 9
        assert one.neighbours(began) == 0
        assert elsewhere.neighbours(1.0) == 0
        with (tmp_path / "cuda-0.log").open("a") as file:
            file.write("+ 9.5 7.js")  # torn, and the next line is joined to it
        third.enter()
        assert one.neighbours(began) == 0
    assert slots.Slot(None, "cuda:0").neighbours(0.0) is None, "on another machine"


def test_a_slot_tells_what_it_is_doing(tmp_path: Path) -> None:
    slot = slots.Slot(tmp_path / "0.json", "cpu")
    assert slot.activity() is None
    slot.busy(slots.Activity("abc", "amun", 3, 10))
    assert slot.activity() == slots.Activity("abc", "amun", 3, 10)
    (tmp_path / "0.json").write_text('{"run": "ab')
    assert slot.activity() is None, "half written"
    slot.idle()
    assert slot.activity() is None


def node(label: str, **spec: Any) -> Node:
    data = DataSpec(name="digits", train=100, test=50)
    base: dict[str, Any] = {"kind": "original", "seed": 0, "data": data, "model": "small-cnn"}
    return Node(Spec(**(base | {"recipe": Recipe(epochs=20)} | spec)), label)


def test_time_is_learnt_by_kind_and_guessed_until_then() -> None:
    split = Split(fraction=0.1, seed=1)
    original, reference = node("original"), node("reference", kind="reference")
    retrain = node("retrain", kind="unlearn", split=split)
    given = {"kind": "unlearn", "split": split, "original": "abc"}
    ft = node("ft", **given, settings={"epochs": 5})
    alone = node("ft", **given, settings={"epochs": 5}, access="forget-only")
    odd = node("odd", **given)
    every = [original, reference, retrain, ft, alone, odd]
    assert [expected(n) for n in every] == pytest.approx([1, 0.75, 0.9, 0.25, 0.05, 0.3])
    known = Pace()
    assert known.total([ft], 2) is None and known.length(ft) == 0.25
    known.learn(original, 10.0)
    assert known.total([original, reference, ft], 2) == pytest.approx((10 + 7.5 + 2.5) / 2)
    known.learn(ft, 1.0)
    known.learn(ft, 3.0)
    assert known.length(ft) == 2 and known.total([ft, reference]) == pytest.approx(9.5)


def test_time_left_is_honest_after_a_tenth_of_the_work() -> None:
    """The kinds and their times, in seconds, of the digits benchmark as it was measured."""
    split = Split(fraction=0.1, seed=1)
    given = {"kind": "unlearn", "split": split, "original": "abc"}
    epochs = {"settings": {"epochs": 7}}
    kinds: list[tuple[Node, float, int]] = [
        (node("original"), 1.37, 5),
        (node("reference", kind="reference"), 0.93, 16),
        (node("retrain", kind="unlearn", split=split), 0.9, 25),
        (node("amun", **given, **epochs), 1.16, 10),
        (node("rl", **given, **epochs), 0.33, 20),
        (node("ga", **given, settings={"epochs": 5}), 0.02, 5),
        (node("planted-leak", **given, **epochs), 0.7, 5),
    ]
    work = [(one, seconds) for one, seconds, count in kinds for _ in range(count)]
    whole = sum(seconds for _, seconds in work)
    known, spent, place = Pace(), 0.0, 0
    while spent < whole / 10:
        known.learn(*work[place])
        spent, place = spent + work[place][1], place + 1
    left = known.total([one for one, _ in work[place:]], 1)
    assert left == pytest.approx(whole - spent, rel=0.25)


def test_times_are_read() -> None:
    assert [read_duration(text) for text in ("90", "90s", "1.5m", "2h", "1d")] == [
        90,
        90,
        90,
        7200,
        86400,
    ]
    for text in ("", "h", "-1h", "2w", "nan", "inf"):
        with pytest.raises(UserError, match="Cannot read the time"):
            read_duration(text)


def test_a_gpu_takes_what_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "memory", lambda device: 16_000)
    made = choose("cuda:0,cpu", None).capacity(Plan(), Store(tmp_path), lambda: 900)
    assert (made.memory, made.guess) == ({"cuda:0": 16_000}, 900)


LEAK = """
from joblib.externals.loky.backend import resource_tracker
from unlearnbench.scheduling.processes import Worker
from unlearnbench.scheduling.slots import Slot
from pathlib import Path

worker = Worker(Slot(Path("slot.json"), "cpu"))
worker.submit(print, "worked").cancel()
resource_tracker.register("/gone-already", "semlock")
worker.stop()
"""


def test_what_a_killed_process_leaves_is_removed_in_silence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAK], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
