"""Controls, swapped runs, U-LiRA and held-out non-members, end to end on real digits."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import command
from unlearnbench import registry
from unlearnbench.evaluation.measure import Measurement
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.metrics import distances
from unlearnbench.metrics.metric import METRICS, OfModels
from unlearnbench.planning.expansion import expand
from unlearnbench.planning.reading import read, validate
from unlearnbench.scheduling.progress import progress
from unlearnbench.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def audited(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    settings = ["controls=true", "swap=true", "ulira.shadows=4", "data.held_out=80"]
    settings += ["seeds.retrains=3", "seeds.originals=[1]", "seeds.forget=[1]", "seeds.runs=[1]"]
    words = [word for setting in settings for word in ("--set", setting)]
    for line in (["run", tiny, "--methods", "ft", *words], ["report", "tiny"]):
        done = subprocess.run(command(*line), cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
    return folder


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "reports" / "tiny" / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_controls_come_out_as_they_must(audited: Path) -> None:
    found = {row["method"]: row for row in rows(audited, "attacks") if row["attack"] == "rmia"}
    assert found["do-nothing"]["flags"] == "no-op"
    assert found["destroyed"]["flags"] == "utility lost"
    assert found["ft"]["verdict"] == "inconclusive", "one forget set decides nothing"
    assert float(found["planted-leak"]["auc"]) > float(found["original"]["auc"])
    assert "held-out retrain" in found
    page = (audited / "reports" / "tiny" / "report.md").read_text()
    assert "| do-nothing | flagged 'no-op' | as expected |" in page
    assert "fewer than three forget sets" in page


def test_swapped_auc_of_retrain_is_half_by_construction(audited: Path) -> None:
    values = {row["label"]: float(row["swap_auc"]) for row in rows(audited, "runs")}
    assert values["retrain"] == values["held-out retrain"] == pytest.approx(50.0)
    assert values["original"] == values["do-nothing"] != 50.0


def test_shadow_worlds_are_attacked(audited: Path) -> None:
    found = {row["method"]: row for row in rows(audited, "attacks") if row["attack"] == "u-lira"}
    assert set(found) == {"original", "retrain", "ft", "do-nothing", "destroyed", "planted-leak"}
    assert {row["n"] for row in found.values()} == {"4"}
    assert found["do-nothing"]["auc"] == found["original"]["auc"]
    text = (audited / "reports" / "tiny" / "attacks.md").read_text()
    assert (
        "U-LiRA: shadow models passed through the same method" in text and "4 shadow worlds" in text
    )


def test_attacks_compare_with_samples_held_out_of_the_training_set(audited: Path) -> None:
    folder = next((audited / "results" / "tiny" / "runs").glob("ft-s1f1r1-*"))
    record = json.loads((folder / "record.json").read_text())
    assert (record["train"], record["test"]) == (120, 120)
    with np.load(folder / "signals.npz") as signals:
        assert len(signals["margin"]) == 320 and not signals["member"][120:].any()
    assert (
        "samples held out from the training set"
        in (audited / "reports" / "tiny" / "reading.md").read_text()
    )


def test_metrics_of_many_models_are_of_their_part_and_of_halves_of_the_retrains(
    audited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(audited / "results" / "tiny")
    benchmark = validate(read(store.folder / "benchmark.toml"))
    plan = expand(benchmark, registry.find("methods")).plan
    needed = ("klom", "klom_p95_retain", "klom_p95_test")
    without = Measurement(plan, store, ["loss"]).run()
    assert not any(set(needed) & set(found.values) for found in without.cells.values())
    for name in needed:
        metric = METRICS[name]
        assert isinstance(metric, OfModels) and metric.least == 100
        monkeypatch.setitem(METRICS, name, replace(metric, least=1))
    cells = {
        cell: found.values for cell, found in Measurement(plan, store, ["loss"]).run().cells.items()
    }
    margin = {cell: store.signals(cell.run)["margin"][None] for cell in cells}
    retrains = [cell for cell in cells if cell.label == "retrain"]
    assert len(retrains) == 2
    for cell, values in cells.items():
        rows, ideal = margin[cell], np.concatenate([margin[one] for one in retrains])
        if cell.label == "retrain":
            rows, ideal = margin[retrains[0]], margin[retrains[1]]
        forget = store.split(cell.split)["forget"]
        retain = np.setdiff1d(np.arange(120), forget)
        parts = {"klom": forget, "klom_p95_retain": retain, "klom_p95_test": np.arange(120, 240)}
        for name, part in parts.items():
            found = distances.klom(rows[:, part], ideal[:, part])
            known = found.mean() if name == "klom" else np.percentile(found, 95)
            assert values[name] == pytest.approx(known), (cell.label, name)


def test_report_is_made_without_torch_and_in_seconds(audited: Path) -> None:
    (audited / "results" / "tiny" / "metrics.json").unlink()
    code = (
        "import sys, time\nfrom unlearnbench.cli.app import app\nstart = time.perf_counter()\n"
        "try: app(['report', 'tiny'])\nexcept SystemExit: pass\n"
        "assert time.perf_counter() - start < 60\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=audited, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_whose_signals_are_broken_is_left_out_and_named(audited: Path) -> None:
    store = Store(audited / "results" / "tiny")
    benchmark = validate(read(store.folder / "benchmark.toml"))
    plan = expand(benchmark, registry.find("methods")).plan
    (cell,) = [cell for cell in plan.cells if cell.label == "ft"]
    spec, record = plan.nodes[cell.run].spec, store.record(cell.run)
    signals, logits = store.signals(cell.run), {"logits": store.logits(cell.run)}
    bad = signals | {"margin": np.full_like(signals["margin"], np.nan)}
    del record["files"]
    try:
        store.save(spec, record, bad, logits)
        measured = Measurement(plan, store, benchmark.attacks).run()
    finally:
        store.save(spec, record, signals, logits)
    assert measured.broken == {cell: "its margin is not finite"}
    assert cell not in measured.cells and len(measured.cells) == len(plan.cells) - 1


def test_a_run_of_other_data_is_left_out_and_named(audited: Path) -> None:
    store = Store(audited / "results" / "tiny")
    benchmark = validate(read(store.folder / "benchmark.toml"))
    planned = expand(benchmark, registry.find("methods"))
    assert stale_runs(planned, store) == {}
    (cell,) = [cell for cell in planned.plan.cells if cell.label == "ft"]
    spec, record = planned.plan.nodes[cell.run].spec, store.record(cell.run)
    signals, logits = store.signals(cell.run), {"logits": store.logits(cell.run)}
    del record["files"]
    other = {"data": "0" * 16, "data source": "0" * 16}
    try:
        store.save(spec, record | other, signals, logits)
        measured = Measurement(planned.plan, store, benchmark.attacks).run()
        stale = stale_runs(planned, store)
        damaged = progress(planned.plan, store, set()).damaged
    finally:
        store.save(spec, record, signals, logits)
    assert measured.broken == {
        cell: "it was made of other data than the rest (unlearnbench run makes it again)"
    }
    assert stale == {cell.run: "the data set digits"}
    assert damaged == {cell.run: "it was made of other data than the rest"}


def test_a_run_of_a_net_whose_file_has_changed_is_stale(audited: Path) -> None:
    store = Store(audited / "results" / "tiny")
    planned = expand(validate(read(store.folder / "benchmark.toml")), registry.find("methods"))
    (cell,) = [cell for cell in planned.plan.cells if cell.label == "ft"]
    spec, record = planned.plan.nodes[cell.run].spec, store.record(cell.run)
    kept = store.signals(cell.run), {"logits": store.logits(cell.run)}
    del record["files"]
    source = record.pop("model source")
    try:
        store.save(spec, record | {"model source": "0" * 16}, *kept)
        changed = stale_runs(planned, store)
        store.save(spec, record, *kept)
        unknown = stale_runs(planned, store)
    finally:
        store.save(spec, record | {"model source": source}, *kept)
    assert changed == {cell.run: "the model small-cnn"}
    assert unknown == {}, "version 0.1 did not note it"
