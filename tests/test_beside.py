"""Commands beside one another on one results folder undo nothing of each other's work."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.test_scheduler import left_by, node
from unlearnbench.errors import UserError
from unlearnbench.planning.plan import Spec
from unlearnbench.storage import leases as leases_module
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


class Clock:
    """Stand for the clock of leases: no time passes but while one sleeps, when things happen."""

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        self.now, self.happens = 0.0, happens

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.happens()


@pytest.mark.parametrize("left", ["emptied by a power cut", "of another version"])
def test_what_the_dead_have_left_is_held_after_a_minute(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other, lease = Leases(tmp_path), Leases(tmp_path), tmp_path / "asked"
    assert other.take("asked")
    marker = lease.read_text().replace(f"host={socket.gethostname()}", "host=elsewhere")
    other.drop("asked")
    lease.write_text("" if left.startswith("emptied") else marker.replace("60.0", "30.0"))
    clock = Clock()
    monkeypatch.setattr(leases_module, "time", clock)
    monkeypatch.setattr(leases_module, "LOOK", 1.0)
    with mine.hold("asked"), mine.hold("asked"):
        assert 60 <= clock.now <= 62
    assert not lease.exists(), "held twice, and dropped twice"
    assert len(mine.reclaimed()) == 1


def test_a_living_process_of_another_version_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other, lease = Leases(tmp_path), Leases(tmp_path), tmp_path / "asked"
    assert other.take("asked")
    clock = Clock(lambda: lease.touch())
    monkeypatch.setattr(leases_module, "time", clock)
    monkeypatch.setattr(leases_module, "LOOK", 1.0)
    monkeypatch.setattr(leases_module, "LEASE", 30.0)
    with pytest.raises(UserError, match=r"remove .*asked"), mine.hold("asked"):
        pass
    assert 60 <= clock.now <= 62
    clock.happens = lambda: other.drop("asked")
    with mine.hold("asked"):
        assert clock.now <= 63
