"""Devices and slots, with GPUs that are only pretended."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch
from loky.process_executor import ShutdownExecutorError

from unlearnbench import environment, slots
from unlearnbench.errors import UserError
from unlearnbench.estimate import Estimate
from unlearnbench.plan import Node
from unlearnbench.recipe import Recipe
from unlearnbench.scheduler import open_slots
from unlearnbench.session import Request, _devices, _require
from unlearnbench.spec import Spec


def request(devices: str, jobs: int | None = None) -> Request:
    return Request("digits", None, None, [], devices, jobs, [], Path(), Path(), False, False, False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_is_found_and_takes_one_run_unless_told() -> None:
    assert environment.devices() == ["cuda:0", "cuda:1"]
    assert _devices(request("auto")) == (["cuda:0", "cuda:1"], 1)
    assert _devices(request("cuda:1", 3)) == (["cuda:1"], 3)
    assert _devices(request("cuda")) == (["cuda:0"], 1)
    with pytest.raises(UserError, match=r"no device 'cuda:2' here\. This machine has cpu, cuda:0"):
        _require(["cuda:1", "cuda:2"])


def test_without_a_gpu_there_is_a_run_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    names, jobs = _devices(request("auto"))
    assert names == ["cpu"] and jobs >= 1
    with pytest.raises(UserError, match="no device 'tpu' here"):
        _require(["tpu"])


def test_slots_of_a_device_share_it() -> None:
    with open_slots(["cuda:0", "cuda:1"], 2) as made:
        assert [slot.device for slot in made] == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
        assert len({slot.index for slot in made}) == 4


def _where() -> tuple[str, int, int]:
    return slots.mine().device, torch.get_num_threads(), os.getpid()


def test_a_worker_keeps_its_process_and_has_a_new_one_after_it_died(tmp_path: Path) -> None:
    worker = slots.Worker(slots.Slot(tmp_path, 0, "cpu"))
    try:
        device, threads, first = worker.submit(_where).result(timeout=60)
        assert (device, threads) == ("cpu", 1)
        assert worker.submit(_where).result(timeout=60)[2] == first
        doomed = worker.submit(time.sleep, 60)
        worker.stop()
        with pytest.raises((BrokenProcessPool, ShutdownExecutorError, CancelledError)):
            doomed.result(timeout=60)
        assert worker.submit(_where).result(timeout=60)[2] != first
    finally:
        worker.stop()


def test_a_slot_tells_what_it_is_doing(tmp_path: Path) -> None:
    slot = slots.Slot(tmp_path, 0, "cpu")
    assert slot.activity() is None
    slot.busy(slots.Activity("abc", "amun", 3, 10))
    assert slot.activity() == slots.Activity("abc", "amun", 3, 10)
    (tmp_path / "0.json").write_text('{"run": "ab')
    assert slot.activity() is None, "half written"
    slot.idle()
    assert slot.activity() is None


def test_time_left_is_learnt_by_kind() -> None:
    from unlearnbench.data import DataSpec

    def node(label: str) -> Node:
        data = DataSpec(name="digits")
        spec = Spec(kind="original", seed=0, data=data, model="small-cnn", recipe=Recipe())
        return Node(spec, label)

    known = Estimate()
    assert known.left([node("ft")], 2) is None
    known.learn("reference", 10.0)
    known.learn("ft", 1.0)
    known.learn("ft", 3.0)
    assert known.left([node("reference"), node("ft")], 2) == (10 + 2) / 2
    assert known.left([node("new")], 1) == (10 + 2) / 2
