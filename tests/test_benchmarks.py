"""Every benchmark that ships: planned without its data, and run end to end at reduced size."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import Cli
from unlearnbench import registry
from unlearnbench.evaluation.collect import collect
from unlearnbench.execution import Workplace
from unlearnbench.execution.execute import execute
from unlearnbench.outline import settings_class
from unlearnbench.planning import expansion, reading
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.planning.rows import resolve, titles, untuned
from unlearnbench.reporting.tables.results import main_table
from unlearnbench.scheduling.worker import save
from unlearnbench.storage.store import Store
from unlearnbench.tuning.ranges import ranges

NAMES = sorted(reading.shipped_benchmarks())
SIDES = {
    "digits": 8,
    "fashion-mnist": 28,
    "cifar10": 16,
    "cifar100": 16,
    "folder": 32,
    "tiny-imagenet": 32,
}
"""Of the images that stand for a data set: small ones, which its nets take."""


def images(root: Path, side: int) -> None:
    """Write three images of each of ten classes to train/ and to test/."""
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in range(10):
            folder = root / part / str(label)
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = draw.integers(0, 156, (side, side, 3)) + 10 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


MODELS = {reading.read(reading.locate(name))["model"]: name for name in NAMES}
"""By model the one benchmark that is run with it here; others that name it have a smaller one,
but for those of digits, whose models are small."""


def reduced(name: str) -> dict[str, Any]:
    """Return a benchmark with one repetition, one epoch, thirty images and the shortest search."""
    raw = reading.read(reading.locate(name))
    if MODELS[raw["model"]] != name and raw["data"]["name"] != "digits":
        raw["model"] = "resnet8"
    side = SIDES[raw["data"]["name"]]
    if raw["data"]["name"] != "digits":
        raw["data"] |= {"name": "folder", "path": None}
    raw["data"] |= {"train": 30, "test": 30, "validation": 0}
    raw["recipe"] = raw.get("recipe", {}) | {"epochs": 1, "batch_size": 16, "lr": 1e-3}
    if "trades" in raw["recipe"]:
        raw["recipe"]["trades"] |= {"steps": 1}
    reading.repeat(raw, 1)
    raw["seeds"]["retrains"] = 2
    raw["forget"]["fractions"] = raw["forget"]["fractions"][-1:]
    raw["controls"] = False
    raw["references"] = {"count": 2}
    if raw.get("ulira", {}).get("shadows"):
        raw["ulira"] |= {"shadows": 4}
    plugins = registry.find("methods")
    for label, row in raw["methods"].items():
        fields = settings_class(plugins[row.get("method", label)]).model_fields
        row |= {"epochs": 1} if "epochs" in fields else {}
        if "steps" in fields:  # of a search
            row |= {"radius": side, "steps": 5}  # next to all of [0, 1]
    if "relearning" in raw.get("model_audits", {}):
        raw["model_audits"]["relearning"] |= {"epochs": 1}
    return raw


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_runs_end_to_end_at_reduced_size(name: str, tmp_path: Path) -> None:
    images(tmp_path / "data", SIDES[reading.read(reading.locate(name))["data"]["name"]])
    plugins = registry.find("methods")
    raw = reduced(name)
    benchmark, _ = resolve(reading.validate(raw), plugins, list(raw["methods"]))
    planned = expansion.expand(benchmark, plugins)
    plan = planned.plan
    store = Store(tmp_path / "results")
    store.prepare()

    def weights(run: str) -> Mapping[str, Tensor]:
        return load_file(store.model_path(run))

    workplace = Workplace(tmp_path / "data")
    for node in plan.nodes.values():
        save(store, node, execute(node.spec, "cpu", workplace, weights), "cpu")
    store.refresh()
    found = collect(planned, store)
    assert not found.broken and not found.failures
    assert set(found.runs["label"]) == {cell.label for cell in plan.cells}
    shown = [main_table(condition) for condition in found.conditions]
    fractions = len(benchmark.forget.fractions) * benchmark.forget.requests
    assert len(shown) == len(benchmark.access) * fractions
    assert np.isfinite(found.runs["avg_gap"]).all()


@pytest.mark.parametrize("name", ["tiny-imagenet", "cifar10-attacks-fast"])
def test_what_it_would_make_is_said_without_the_data(inside: Cli, name: str) -> None:
    done = inside("run", name, "--dry-run")
    assert done.code == 0 and f"{name}: " in done.out
    assert "retrain" in done.out and "amun" in done.out


def test_benchmark_files_are_valid_and_write_out_every_default() -> None:
    methods = registry.find("methods")
    for name, path in reading.shipped_benchmarks().items():
        benchmark, broken = resolve(reading.validate(reading.read(path)), methods, None)
        assert not broken and benchmark.name == name
        assert expansion.expand(benchmark, methods).plan.nodes
        text = reading.as_toml(benchmark)
        assert reading.validate(tomllib.loads(text)) == benchmark
        assert benchmark.limits.because, f"{name} does not say how its limits were set"
        tuning, rows = benchmark.tuning, reading.read(path)["methods"]
        assert tuning.words, f"{name} does not say how its settings were chosen"
        borrowed = {label for labels in tuning.borrowed.values() for label in labels}
        assert borrowed <= rows.keys()
        if "taken over" in str(tuning.words) and "amun's" not in str(tuning.words):
            bare = {label for label, row in rows.items() if not row.keys() - {"method"}}
            assert borrowed == rows.keys() - bare, f"{name}: every row that was taken over"


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_are_taken_over_are_those_of_their_source(name: str) -> None:
    raw = reading.read(reading.locate(name))
    methods = registry.find("methods")
    for words, labels in reading.validate(raw).tuning.borrowed.items():
        named = re.match(r"([\w-]+)(?:'s? row (\S+))?", words)
        if named is None or named[1] not in NAMES:  # a paper, or another's code
            continue
        source, row = named.groups()
        there = reading.read(reading.locate(source))["methods"]
        for label in labels:
            own, taken = raw["methods"][label], there[row or label]
            spans = ranges(settings_class(methods[own.get("method", label)]))
            assert {key: own.get(key) for key in spans} == {key: taken.get(key) for key in spans}


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_planned_under_both_accesses_or_says_why_not(name: str) -> None:
    methods, accesses = registry.find("methods"), ["full", "forget-only"]
    raw = reading.read(reading.locate(name)) | {"access": accesses}
    reading.repeat(raw, 1)
    benchmark, broken = resolve(reading.validate(raw), methods, ["all"])
    rows = benchmark.methods
    assert not broken and methods.keys() == {row.method for row in rows.values()}
    plan = expansion.expand(benchmark, methods).plan
    blind = [
        label
        for label, row in rows.items()
        if settings_class(methods[row.method]).needs_retain and label != RETRAIN
    ]
    why = "needs the retain set, which is not given"
    assert plan.skipped == {(label, "forget-only"): why for label in blind}
    planned = {(cell.label, cell.access) for cell in plan.cells if cell.label in rows}
    assert planned == set(product(rows, accesses)) - plan.skipped.keys()


SEARCHED = {"digits", "fashion-mnist", "cifar10-cpu", "cifar10-cpu-forget-only"}
"""Data sets on which settings were searched, and a benchmark of a folder's images."""


def test_every_row_of_data_where_nothing_was_searched_is_marked() -> None:
    methods = registry.find("methods")
    for name, path in reading.shipped_benchmarks().items():
        benchmark, _ = resolve(reading.validate(reading.read(path)), methods, None)
        if SEARCHED & {benchmark.data.name, name} or "ablation" in name:  # it has the paper's own
            continue
        marked = {*untuned(benchmark, methods), *chain(*benchmark.tuning.borrowed.values())}
        with_ranges = {
            label
            for label, row in benchmark.methods.items()
            if ranges(settings_class(methods[row.method]))
        }
        assert marked & benchmark.methods.keys() == with_ranges, name


def test_a_row_is_untuned_that_nobody_chose_settings_for() -> None:
    methods = registry.find("methods")

    def of(rows: dict[str, Any], **tuning: Any) -> list[str]:
        raw = reading.read(reading.locate("digits")) | {"methods": rows, "tuning": tuning}
        benchmark, _ = resolve(reading.validate(raw), methods, list(rows))
        return untuned(benchmark, methods)

    rows: dict[str, Any] = {"ft": {"epochs": 3}, "ga": {"lr": 0.5}, "fast": {"method": "ft"}}
    assert of(rows) == ["ft", "fast"], "epochs are not searched; retrain has nothing to search"
    assert of(rows, searched=["ft"]) == ["fast"]
    assert of(rows, borrowed={"elsewhere": ["fast"]}) == ["ft"]
    assert of({"amun": {}, "masked": {"method": "amun", "keep": 0.5}}) == ["amun"]


def test_a_row_is_shown_under_the_names_of_the_methods_in_its_label() -> None:
    methods = registry.find("methods")
    benchmark, _ = resolve(reading.validate(reading.read(reading.locate("digits"))), methods, None)
    shown = titles(benchmark, methods)
    assert shown["neggrad-plus"] == "NegGrad+" and shown["amun-closest"] == "AMUN-closest"
    assert shown["amun-salun"] == "AMUN-SalUn" and shown["amun-adaptive"] == "AMUN-adaptive"
