"""Runs beside a plugin that does harm, or raises whatever it likes, in one and the same worker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY, Cli
from tests.processes import largest_file
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.execution import Workplace, pool
from unlearnbench.execution.trying import LEAVES, examine
from unlearnbench.files import checksum
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.planning.rows import EVERY
from unlearnbench.registry import TAKEN, Plugin
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


LOADER = """
        from torch.utils.data import DataLoader, TensorDataset
        data = TensorDataset(task.forget.pixels, task.forget.labels)
        draw = torch.Generator().manual_seed(task.seed)
        loader = DataLoader(data, batch_size=4, num_workers=2, generator=draw)
        assert sum(len(labels) for _, labels in loader) == len(task.forget)
"""
WHERE = """
        import unlearnbench
        unlearnbench.stays = getattr(unlearnbench, "stays", 0) + 1
        assert not torch.is_inference_mode_enabled()
"""


@pytest.mark.slow
def test_a_run_goes_on_whatever_methods_do_to_its_workers(
    cli: Cli, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    bodies = {"ends": "sys.exit(0)", "stuck": STUCK, "loads": LOADER, "where": WHERE}
    words: list[str | Path] = ["run", tiny, "--seeds", "1", "--methods", ",".join(bodies)]
    for name, body in bodies.items():
        words += ["--plugin", method(tmp_path, name, body)]
    done = cli(*words)
    assert done.code == 1, done.out + done.err
    assert "failed  ends" in done.out and "SystemExit: 0 (ends.py, line 14)" in done.out
    for name in ("stuck", "loads", "where"):
        assert done.out.count(f"done    {name}") == 1, done.out
    assert "retrain" in done.out.partition("Method")[2], "the table stands"


@pytest.mark.slow
def test_check_has_the_conditions_of_a_run_and_names_what_is_left(cli: Cli, tmp_path: Path) -> None:
    loads = cli("check", method(tmp_path, "loads", LOADER))
    assert loads.code == 0 and "FAILED" not in loads.out, loads.out + loads.err
    ends = cli("check", method(tmp_path, "ends", "os._exit(0)"))
    assert ends.code == 1 and "its process was ended, by itself or by the system" in ends.out
    asked = cli("check", method(tmp_path, "asks", "sys.exit(0)"))
    assert asked.code == 1 and "SystemExit: 0 (asks.py, line 14)" in asked.out
    harm = cli("check", method(tmp_path, "harm", HARM))
    assert harm.code == 1
    (told,) = [line for line in harm.out.splitlines() if "it left changed: " in line]
    for state in ("the number of threads", "gradients on or off", "cross_entropy", "oneDNN"):
        assert state in told


def test_what_a_file_leaves_when_it_is_imported_is_named_too(tmp_path: Path) -> None:
    path = method(tmp_path, "harm", "pass")
    path.write_text(f"{path.read_text()}\ntorch.set_grad_enabled(False)\n")
    told = dict(examine(path))
    assert told[LEAVES] == "it left changed: gradients on or off"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sys.exit(0)", "SystemExit: 0 (odd.py, line 17)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (odd.py, line 17)"),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", "SystemExit: 2 ("),
        ("class More(Method):\n    seed: int = int('x')", "ValueError: invalid literal"),
    ],
)
def test_a_file_that_does_not_import_is_one_line(
    inside: Cli, tmp_path: Path, line: str, told: str
) -> None:
    path = method(tmp_path, "odd", "pass")
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = inside("plan", "digits", "--plugin", path)
    assert done.code == 2 and "Traceback" not in done.err
    said = done.err.splitlines()[-1]  # a parser prints its usage before that
    assert said.startswith(f"unlearnbench: {path} does not import: {told}")


@pytest.mark.parametrize("name", ["original", "all", "destroyed"])
def test_a_name_that_is_taken_is_refused(inside: Cli, tmp_path: Path, name: str) -> None:
    path = method(tmp_path, name, "pass")
    done = inside("plan", "digits", "--plugin", path, "--methods", name)
    assert done.code == 2
    assert done.err.startswith(f"unlearnbench: '{name}' is ") and str(path) in done.err
    assert set(TAKEN) >= {ORIGINAL, EVERY}


def test_windows_is_refused_in_a_line(inside: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.modules['resource'] = None\n"
    code += "import unlearnbench, unlearnbench.cli.app; unlearnbench.run"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setattr("unlearnbench.environment.sys.platform", "win32")
    done = inside("plan", "digits")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "unlearnbench: unlearnbench runs on Linux and macOS, not on Windows."
    )


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
