"""The kit for a lease of a GPU, rehearsed on the CPU: what it brings home makes the report."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import unlearnbench as ub
from tests.conftest import Cli
from tests.test_scheduler import left_by
from unlearnbench import registry
from unlearnbench.api.request import Request, prepare
from unlearnbench.execution.signals import compact, signals
from unlearnbench.planning import reading
from unlearnbench.planning.rows import resolve
from unlearnbench.scheduling.progress import progress
from unlearnbench.storage import asked
from unlearnbench.storage.store import Store

ROOT = Path(__file__).parent.parent
KIT = ROOT / "benchmarks" / "lease.py"


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lease", KIT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lease", module)  # where its data classes look
    spec.loader.exec_module(module)
    return module


def lease(kit: ModuleType, folder: Path, **done: object) -> object:
    asked = argparse.Namespace(
        work=folder / "work", out=folder / "out", form=None, tiny=False, commit="", device="cpu"
    )
    asked.work.mkdir()
    return kit.Lease(asked, ends=0.0, done=dict(done))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([130.0, 240.0], "L"), ([119.9], "S"), ([89.0], "shortest"), ([], "shortest")],
)
def test_the_size_is_chosen_by_what_was_measured(
    kit: ModuleType, tmp_path: Path, rates: list[float], expected: str
) -> None:
    rows = [{"precision": "bf16", "tflops": rate} for rate in rates]
    rows.append({"precision": "fp32", "tflops": 500.0})
    chosen = kit.form(lease(kit, tmp_path, throughput={"steps": rows}))
    assert chosen["form"] == expected
    names = list(kit.steps(argparse.Namespace(tiny=False)))
    assert names.index("throughput") < names.index("form") < names.index("first models")


def test_a_call_brings_what_fits_and_the_next_one_the_rest(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most eight files of 16 MiB, and 64 MiB together, lease.json among them."""
    made = lease(kit, tmp_path)
    work, out = tmp_path / "work", tmp_path / "out"
    (work / "results" / kit.BENCHMARK).mkdir(parents=True)

    def export(*words: str) -> tuple[int, str]:
        for number in range(1, 7):
            path = work / "packs" / f"cifar10-jpeg-{number}.zip"
            path.write_bytes(bytes([number]) * 15 * 2**20)
        return 0, ""

    monkeypatch.setattr(made, "ub", export)
    brought = []
    for _ in range(3):
        kit.bring(made)
        files = {path.name: path.stat().st_size for path in out.iterdir()}
        assert len(files) <= 8 and max(files.values()) <= 16 * 2**20
        assert sum(files.values()) <= 64 * 2**20 and "lease.json" in files
        brought.append(sorted(name for name in files if name.endswith("zip")))
        for path in out.iterdir():  # the folder is empty before each call
            path.unlink()
    numbers = [[int(name[-5]) for name in names] for names in brought]
    assert numbers == [[1, 2, 3, 4], [5, 6], []]


def test_a_step_that_goes_wrong_costs_nothing_that_was_found_before(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in --out when a call ends is lost with the machine."""

    def wrong(lease: object) -> None:
        raise SystemExit("models cannot be made")

    monkeypatch.setattr(kit, "SPARE", 0.0)
    monkeypatch.setattr(kit, "steps", lambda asked: {"one": (0, lambda _: 5), "two": (0, wrong)})
    words = ["lease", "--images", "x", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    with pytest.raises(SystemExit, match="models cannot be made"):
        kit.main()
    assert json.loads((tmp_path / "out" / "lease.json").read_text())["one"] == 5


def test_what_is_measured_is_found_among_what_libraries_say(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = lease(kit, tmp_path)
    said = '[W1] a warning\n{"rows": 1}\nException ignored in: an end'
    monkeypatch.setattr(made, "run", lambda *words, limit: (0, said))
    assert kit.measured("ceilings")(made) == {"rows": 1}
    monkeypatch.setattr(made, "run", lambda *words, limit: (0, "nothing"))
    assert kit.measured("ceilings")(made) == {"failed": 0, "said": ["nothing"]}


def test_what_was_measured_alone_stays_where_processes_fail_beside_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The size of the comparison is chosen by it; a GPU may be for one process alone."""
    spec = importlib.util.spec_from_file_location("measures", KIT.with_name("lease_measures.py"))
    assert spec and spec.loader
    measures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measures)
    words = [sys.executable, "-c", "raise SystemExit(1)"]
    started = subprocess.Popen
    monkeypatch.setattr(measures.subprocess, "Popen", lambda _, **more: started(words, **more))
    found = measures.throughput(torch.device("cpu"), True)
    assert [row["precision"] for row in found["steps"]] == ["fp32", "bf16"]
    assert found["processes beside each other, images/s"] == {2: None}


def test_the_benchmark_of_a_lease_is_that_of_cifar10_on_files_without_influence() -> None:
    plugins = registry.find("methods")
    own = reading.validate(reading.read(reading.locate("cifar10-jpeg-fast")))
    other = reading.validate(reading.read(reading.locate("cifar10-fast")))
    rows = [set(resolve(one, plugins, None)[0].methods) for one in (own, other)]
    assert rows[1] - rows[0] == {"influence"} and rows[0] < rows[1]
    assert (own.recipe, own.seeds, own.model) == (other.recipe, other.seeds, other.model)
    assert (own.data.name, own.data.path) == ("folder", "cifar10-jpeg")
    assert "cifar10-jpeg" in own.title


def photographs(root: Path) -> None:
    """Write JPEG files of ten classes to train/ and to test/."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 14), ("test", 7)):
        for label in range(10):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 120, (32, 32, 3)) + 13 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")


def test_images_come_as_a_folder_or_in_an_archive(kit: ModuleType, tmp_path: Path) -> None:
    photographs(tmp_path / "photographs")
    archive = tmp_path / "images.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for part in ("train", "test"):
            file.add(tmp_path / "photographs" / part, part)
    found = []
    for number, given in enumerate((tmp_path / "photographs", archive)):
        folder = tmp_path / str(number)
        folder.mkdir()
        made: Any = lease(kit, folder)
        made.asked.images = given
        kit.images(made)
        place = folder / "work" / "data" / "cifar10-jpeg"
        found.append(sorted(str(path.relative_to(place)) for path in place.rglob("*.jpg")))
    assert found[0] == found[1] and len(found[0]) == 210


@pytest.mark.slow
def test_a_rehearsal_ends_with_a_report_of_what_it_brought(inside: Cli, tmp_path: Path) -> None:
    photographs(tmp_path / "photographs")
    work, out = tmp_path / "lease", tmp_path / "out"
    words: list[str | Path] = [
        sys.executable,
        KIT,
        "--tiny",
        "--device",
        "cpu",
        "--jobs",
        "2",
        "--commit",
        "c0ffee",
    ]
    words += ["--images", tmp_path / "photographs", "--work", work, "--out", out]

    def call(minutes: float) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*words, "--minutes", str(minutes)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = call(0.8)
    assert "doctor:" in first and "no time is left for it" in first
    second = call(10)
    assert "doctor:" not in second and "six methods:" in second, "it goes on, and repeats nothing"
    notes = json.loads((out / "lease.json").read_text())
    assert notes["form"]["form"] == "shortest" and len(notes["fidelity"]["rows"]) == 2
    packs = sorted(path for path in out.iterdir() if path.suffix == ".zip")
    assert packs and notes["left for the next call"] == []

    taken = inside("results", "import", *packs)
    assert taken.code == 0 and "copied" in taken.out
    assert inside("report", "cifar10-jpeg-fast").code == 0
    page = (tmp_path / "reports" / "cifar10-jpeg-fast" / "index.html").read_text()
    assert "cifar10-jpeg" in page and "FT" in page
    record = next((tmp_path / "results").rglob("runs/ft-*/record.json")).read_text()
    assert '"c0ffee"' in record, "records of a copy say its commit"


@pytest.mark.slow
def test_results_of_a_lease_fit_into_what_can_be_brought_and_go_on_elsewhere(
    kit: ModuleType, tmp_path: Path
) -> None:
    """61 runs of 60,000 samples, their numbers made up: those of a net that has learnt."""
    setup = ub.benchmark(kit.BENCHMARK)
    methods = kit.STAGES["six methods"].split(",")
    request = Request(setup, tmp_path, tmp_path / "here", methods, assignments=kit.FORMS["L"])
    planned = prepare(request)
    nodes = [node for node in planned.plan.nodes.values() if not node.label.endswith("(shared)")]
    store = Store(tmp_path / "here" / kit.BENCHMARK)
    store.prepare()
    asked.remember(store, planned.benchmark, asked.facts_of(planned.benchmark, planned.plugins))
    draw = np.random.default_rng(0)
    labels, rows = draw.integers(0, 10, 60_000), np.arange(60_000)

    def write(path: Path) -> None:
        path.write_bytes(bytes(1000))

    for node in nodes[:61]:
        logits = draw.normal(0, 1.5, (60_000, 10)).astype(np.float32)
        logits[rows, labels] += draw.normal(9, 4, 60_000).astype(np.float32)
        read = signals(logits, labels, draw.random(60_000) < 0.75)
        record, _, _ = left_by(node.spec)
        record |= {"train": 50_000, "test": 10_000, "classes": 10}
        kept = {} if node.spec.kind == "reference" else {"logits": compact(logits)}
        split = {"forget": np.arange(5000), "earlier": np.arange(0)} if node.spec.split else None
        weights = write if node.keep_weights else None
        store.save(node.spec, record, read, kept, split, weights)

    file = tmp_path / "packs" / "cifar10-jpeg.zip"
    file.parent.mkdir()
    written = ub.pack(kit.BENCHMARK, file, part_size=kit.PART, results=tmp_path / "here")
    sizes = [path.stat().st_size for path in written.paths]
    assert (written.runs, written.left_out) == (61, [])
    assert len(sizes) <= 8 and max(sizes) <= 16 * 2**20, sizes

    ub.unpack(*written.paths, results=tmp_path / "there")
    there = Store(tmp_path / "there" / kit.BENCHMARK)
    for node in (nodes[0], nodes[40], nodes[60]):
        runs = [one.runs()[node.spec.id] for one in (store, there)]
        assert len({(run / "signals.npz").read_bytes() for run in runs}) == 1
    state = progress(planned.plan, there, set())
    again = set(state.weightless)  # originals, and what audits begin with: weights are not packed
    assert again and all(planned.plan.nodes[run].keep_weights for run in again)
    assert set(state.done) | again == {node.spec.id for node in nodes[:61]}
    assert len(state.open) == len(planned.plan.nodes) - 61 + len(again)
