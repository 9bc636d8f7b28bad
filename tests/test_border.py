"""Runs beside a plugin that does harm, or raises whatever it likes, in one and the same worker."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import TINY
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.execution import Workplace, pool
from unlearnbench.files import checksum
from unlearnbench.planning.expansion import Planned
from unlearnbench.registry import Plugin
from unlearnbench.scheduling.slots import Event, Job, Slot
from unlearnbench.scheduling.worker import work
from unlearnbench.storage.store import Store

METHOD = '''
"""A method that is up to no good."""
import os, random, signal, sys, threading, time, warnings
import numpy as np
import torch
from torch.nn import functional
from unlearnbench import Method
from unlearnbench.toolkit import finetune

class Bad(Method):
    """Be up to no good."""
    paper = "https://example.org"
    def unlearn(self, model, task):
        {body}
        return model
'''
HARM = """
        torch.set_num_threads(2)
        torch.backends.mkldnn.enabled = False
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_flush_denormal(True)
        torch.manual_seed(5)
        plain = functional.cross_entropy
        functional.cross_entropy = lambda *given, **more: 2 * plain(*given, **more)
        torch.nn.modules.module.register_module_forward_hook(lambda *given: given[2] * 2)
        if task.validation:
            task.validation.images.zero_()
            task.validation.labels.zero_()
        np.seterr(all="raise")
        np.random.seed(1)
        random.seed(1)
        os.environ["OMP_NUM_THREADS"] = "7"
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
PEEK = """
        draws = torch.rand(1).item() + np.random.rand() + random.random()
        seen = task.forget + task.validation
        return finetune(model, seen, lr=0.05 * draws, epochs=1, seed=task.seed)
"""
SMALL = TINY.replace("test = 120", "test = 60\nvalidation = 20").replace(
    "train = 120", "train = 80"
)


def method(folder: Path, name: str, body: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(METHOD.format(body=body.strip()))
    return path


def planned(folder: Path, *methods: Path | str, **changes: object) -> tuple[Planned, Store]:
    """Plan methods on a benchmark with one of each seed and one reference."""
    file = folder / "small.toml"
    file.write_text(SMALL)
    setup = benchmark(file, seeds=1)
    for key, value in ({"references.count": 2, "seeds.retrains": 1} | changes).items():
        setup = setup.set(key.replace("__", "."), value)
    asked = prepare(Request(setup, folder, folder / "results", list(methods)))
    store = Store(folder / "results" / "small")
    store.prepare()
    return asked, store


def made(asked: Planned, store: Store, labels: list[str]) -> list[Event]:
    """Make the nodes of some labels one after the other, in this process."""
    added = tuple(Plugin.of(file) for file in asked.benchmark.plugins)
    place, slot = Workplace(store.folder, added), Slot(store.folder / "slot.json", "cpu")
    nodes = [node for label in labels for node in asked.plan.nodes.values() if node.label == label]
    return [work(Job(node, store.folder, place), slot) for node in nodes]


def files(store: Store, *but: str) -> dict[str, str | None]:
    """Return the checksums of what runs left, but for those of some labels and for records."""
    paths = [path for path in store.folder.rglob("*") if path.suffix in (".npz", ".safetensors")]
    return {
        str(path.relative_to(store.folder)): checksum(path)
        for path in paths
        if not path.parent.name.startswith(but or ("-",))
    }


ORDER = ["original", "harm", "reference", "retrain", "peek", "ft"]


def beside(folder: Path, *labels: str) -> dict[str, str | None]:
    """Make runs in the order of labels; return what all but `harm` left."""
    folder.mkdir()
    pool.forget_images()
    plugins = [method(folder, "harm", HARM), method(folder, "peek", PEEK)]
    asked, store = planned(folder, *plugins, "ft")
    events = made(asked, store, list(labels))
    assert [event.message for event in events] == [""] * len(events)
    assert all(not event.stuck for event in events)
    return files(store, "harm")


def test_what_a_method_does_leaves_every_other_run_as_it_would_be(tmp_path: Path) -> None:
    clean = beside(tmp_path / "clean", *(label for label in ORDER if label != "harm"))
    assert len(clean) == 12
    assert beside(tmp_path / "harmed", *ORDER) == clean


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("sys.exit(0)", "SystemExit: 0 (bad.py, line 14)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (bad.py, line 14)"),
        ("raise OSError(28, 'full', '/mine/file')", "OSError: [Errno 28] full: '/mine/file' ("),
        ("raise ValueError('\\udcff')", r"ValueError: \udcff (bad.py, line 14)"),
        ("from unlearnbench.errors import DataError; raise DataError('no data')", "no data (bad"),
        ("task.build.__self__.pool.images.zero_()", "It changed the images that all runs share"),
        ("return torch.nn.DataParallel(model)", ""),
        ("return model.half()", ""),
    ],
)
def test_whatever_a_method_raises_is_its_own_failure(tmp_path: Path, body: str, line: str) -> None:
    asked, store = planned(tmp_path, method(tmp_path, "bad", body))
    first, bad, retrain = made(asked, store, ["original", "bad", "retrain"])
    assert first.status == retrain.status == "done"
    assert not bad.fatal and line in bad.message and (bad.status == "done") == (line == "")
    if line:
        assert (store.error(bad.run) or "").splitlines()[-1] == bad.message


STUCK = """
        self.__class__.kept = torch.inference_mode()
        self.__class__.kept.__enter__()
"""


def test_a_worker_that_is_not_as_it_was_says_so(tmp_path: Path) -> None:
    import torch

    asked, store = planned(tmp_path, method(tmp_path, "bad", STUCK))
    event = made(asked, store, ["original", "bad"])[1]
    try:
        assert event.stuck == ("inference mode",)
    finally:
        while torch.is_inference_mode_enabled():
            from unlearnbench.registry import method_class

            method_class(Plugin.of(tmp_path / "bad.py")).kept.__exit__(None, None, None)  # type: ignore[attr-defined]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have the system refuse to make a file larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "folder"), [(20_000, "models"), (100, "splits"), (200, "runs")])
def test_where_there_is_no_room_nothing_has_failed_and_it_goes_on_with_room(
    tmp_path: Path, size: int, folder: str
) -> None:
    asked, store = planned(tmp_path, "ft")
    label = {"models": "original", "splits": "ft", "runs": "reference"}[folder]
    if label == "ft":
        made(asked, store, ["original"])
    with largest_file(size):
        event = made(asked, store, [label])[0]
    assert event.fatal and event.message.startswith(f"Cannot write to {store.folder / folder}")
    assert "same command goes on" in event.message
    assert not list(store.folder.rglob("error.txt")) and not list(store.folder.rglob(".draft*"))
    assert made(asked, store, [label])[0].status == "done"


WITHOUT = """
import sys, torch
from contextlib import contextmanager
from pathlib import Path
from tests import test_border
from unlearnbench.execution import material
from unlearnbench.guarding.guard import Left
from unlearnbench.scheduling import worker

@contextmanager
def open_door(*given, **more):
    yield Left()

torch.set_num_threads(1)
worker.guarded = material.foreign = open_door
test_border.HARM = "task.validation.images.zero_()" if sys.argv[1] == "images" else sys.argv[1]
if sys.argv[1] == "images":
    material.copied = lambda examples: examples
clean = test_border.beside(Path("clean"), "original", "reference", "retrain", "peek", "ft")
harmed = test_border.beside(Path("harmed"), *test_border.ORDER)
print(sorted({name.split("-")[0] for name in clean if harmed[name] != clean[name]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "touched"),
    [
        ("pass", "[]"),
        ("images", "['runs/peek']"),
        ("torch.backends.mkldnn.enabled = False", "'runs/retrain'"),
        ("functional.cross_entropy = lambda *g, **m: g[0].square().mean()", "'runs/retrain'"),
    ],
)
def test_without_the_guard_other_runs_would_be_others(
    tmp_path: Path, harm: str, touched: str
) -> None:
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, harm],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert touched in done.stdout
