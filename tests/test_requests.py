"""Requests in a row and both accesses, end to end on real digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Cli
from unlearnbench.planning.plan import Spec
from unlearnbench.storage.store import Store


@pytest.fixture(scope="module")
def settings() -> list[str]:
    pairs = ["forget.requests=2", "forget.fractions=[0.05]", 'access=["full","forget-only"]']
    pairs += ["seeds.retrains=1", "references.count=2", "amun.epochs=2", "amun-adaptive.epochs=2"]
    pairs += ["curves=true"]
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.slow
def test_requests_in_a_row_under_both_accesses(
    cli: Cli, inside: Cli, tiny: Path, tmp_path: Path, settings: list[str]
) -> None:
    words = ["run", tiny, "--seeds", "1", "--methods", "ft,amun,amun-adaptive", *settings]
    done = cli(*words)
    assert done.code == 0, done.out + done.err
    assert "ft is skipped under forget-only access: needs the retain set" in done.out
    rows = [line.split()[1] for line in done.out.splitlines() if line.startswith("ft  ")]
    assert rows.count("skipped") == 2, "once for each request"

    store = Store(tmp_path / "results" / "tiny")
    records = [json.loads(path.read_text()) for path in store.folder.glob("runs/*/record.json")]
    specs = [Spec.model_validate(r["spec"]) for r in records if r["spec"]["kind"] == "unlearn"]
    runs = {(str(s.method), str(s.access), s.split.request if s.split else 0): s.id for s in specs}

    def margin(label: str, access: str, request: int) -> np.ndarray:
        made: np.ndarray = store.signals(runs[label, access, request])["margin"]
        return made

    adaptive = {s.access: s for s in specs if s.method == "amun-adaptive"}
    for access in ("full", "forget-only"):
        assert ("amun-adaptive", access, 1) not in runs, "the first request is AMUN's"
        assert adaptive[access].start == runs["amun", access, 1]
        second = margin("amun", access, 2), margin("amun-adaptive", access, 2)
        assert not np.array_equal(*second), "from the second on they part"
        assert not np.array_equal(margin("amun", access, 1), second[0])
    assert not np.array_equal(margin("amun", "full", 1), margin("amun", "forget-only", 1))
    assert ("retrain", "forget-only", 1) not in runs, "the yardstick is one for both"
    splits = [np.load(path) for path in (store.folder / "splits").iterdir()]
    assert sorted(len(split["earlier"]) for split in splits) == [0, 6]
    assert {len(split["forget"]) for split in splits} == {6}

    noted = {r["spec"]["method"]: r["trace"][-1] for r in records if r["trace"]}
    assert 0 <= noted["amun"]["test_accuracy"] <= 100 and "forget_accuracy" in noted["ft"]
    assert inside("report", "tiny").code == 0
    report = tmp_path / "reports" / "tiny"
    assert len(list(report.glob("figures/after-epochs-*.png"))) == 2, "the last request of each"
    assert len(list(report.glob("figures/after-requests-*.png"))) == 2, "once an access"
    summary = pd.read_csv(report / "tables" / "summary.csv")
    together = summary[summary["metric"].str.startswith("all_")]
    assert set(together["request"]) == {2}, "the first request has none before it"


@pytest.mark.slow
def test_class_wise_forgetting_runs_and_is_reported(
    cli: Cli, inside: Cli, tmp_path: Path, tiny: Path
) -> None:
    words = ["--set", 'forget.kind="class"', "--set", "forget.fractions=[1.0]"]
    words += ["--set", "references.count=4"]
    done = cli("run", tiny, "--seeds", "2", "--methods", "ft", *words)
    assert done.code == 0 and "100 % of a class forgotten, full access" in done.out
    assert inside("report", "tiny").code == 0, "though classes differ in size"
    assert (tmp_path / "reports" / "tiny" / "figures" / "memorisation-full-100-r1.png").exists()
