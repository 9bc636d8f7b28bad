"""Commands beside one another on one results folder undo nothing of each other's work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.test_scheduler import left_by, node
from unlearnbench.planning.plan import Spec
from unlearnbench.storage.housekeeping import merge_runs
from unlearnbench.storage.leases import Leases
from unlearnbench.storage.store import Store


def filled(folder: Path, *specs: Spec, margin: float = 0.0) -> Store:
    """Make a store of runs whose margins are all the same."""
    store = Store(folder)
    store.prepare()
    for spec in specs:
        record, signals, logits = left_by(spec)
        signals["margin"] = np.full(2, margin, np.float32)
        store.save(spec, record, signals, logits)
    return store


def margin(store: Store, spec: Spec) -> float:
    return float(Store(store.folder).signals(spec.id, "margin")["margin"][0])


def test_a_run_that_failed_here_and_is_merged_has_not_failed_any_more(tmp_path: Path) -> None:
    spec = node(1, 0.0).spec
    source, here = filled(tmp_path / "other" / "x", spec), filled(tmp_path / "x")
    here.fail(spec, "no memory\n")
    assert merge_runs(source.folder, here) == (1, [])
    assert here.done(spec.id) and here.error(spec.id) is None
    record = here.run_folder(spec) / "record.json"
    assert record.read_bytes() == (source.run_folder(spec) / "record.json").read_bytes()


def test_a_run_that_is_finished_here_meanwhile_is_not_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, take = node(1, 0.0).spec, Leases.take
    source, here = filled(tmp_path / "other" / "x", spec, margin=7.0), Store(tmp_path / "x")

    def late(leases: Leases, run: str) -> bool:
        monkeypatch.setattr(Leases, "take", take)
        filled(here.folder, spec)
        return leases.take(run)

    here.prepare()
    monkeypatch.setattr(Leases, "take", late)
    assert merge_runs(source.folder, here) == (0, [])
    assert margin(here, spec) == 0.0 and not list((here.folder / "leases").iterdir())
