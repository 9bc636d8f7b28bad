"""Commands beside one another on one results folder undo nothing of each other's work."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unlearnbench as ub
from tests.racing import RACED
from tests.test_scheduler import left_by, node, plan_of
from unlearnbench.api import keeping, making, samples, session
from unlearnbench.api.adopting import adopt
from unlearnbench.api.listener import Listener
from unlearnbench.api.request import Request, prepare
from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.known import PluginFacts
from unlearnbench.planning.plan import Spec
from unlearnbench.scheduling.progress import progress
from unlearnbench.storage import asked, housekeeping, sealed
from unlearnbench.storage import leases as leases_module
from unlearnbench.storage.housekeeping import merge_runs
from unlearnbench.storage.inside import put_bytes
from unlearnbench.storage.leases import ASKED, Leases
from unlearnbench.storage.plugins import known_plugins
from unlearnbench.storage.store import Store

DIGEST = "0123456789abcdef"
"""Of the data that all runs here were made of."""


def filled(folder: Path, *specs: Spec, margin: float = 0.0) -> Store:
    """Make a store of runs whose margins are all the same."""
    store = Store(folder)
    store.prepare()
    for spec in specs:
        record, signals, logits = left_by(spec)
        record["data"] = DIGEST
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
    assert "60.0" in marker and "elsewhere" in marker
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
    clock = Clock()
    clock.happens = lambda: os.utime(lease, (clock.now, clock.now))
    monkeypatch.setattr(leases_module, "time", clock)
    monkeypatch.setattr(leases_module, "LOOK", 1.0)
    monkeypatch.setattr(leases_module, "LEASE", 30.0)
    with pytest.raises(UserError, match=r"remove .*asked"), mine.hold("asked"):
        pass
    assert 60 <= clock.now <= 62
    clock.happens = lambda: other.drop("asked")
    with mine.hold("asked"):
        assert clock.now <= 63


def requested(
    results: Path, epochs: int = 1, seed: int = 0, **more: Any
) -> tuple[Request, Planned, Store]:
    """Ask for a benchmark of three models, trained for so long."""
    setup = ub.benchmark(tomllib.loads(RACED)).set("recipe.epochs", epochs)
    setup = setup.set("data.seed", seed)
    request = Request(setup, results / "data", results, ["ft"], devices="cpu", **more)
    return request, prepare(request), Store(results / "raced")


def remembered(planned: Planned, store: Store) -> None:
    store.prepare()
    asked.remember(store, planned.benchmark, asked.facts_of(planned.benchmark, planned.plugins))


def removed(store: Store) -> list[Path]:
    """Return what would be removed of a folder."""
    return [path for paths in keeping.prunable(Store(store.folder)).values() for path in paths]


def test_what_another_process_is_making_is_not_removed(tmp_path: Path) -> None:
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    other = requested(tmp_path, epochs=2)[1].plan.nodes
    run = next(run for run, node in other.items() if node.spec.split is not None)
    folder = store.run_folder(other[run].spec)
    begun = [folder / "signals.npz", store.model_path(run), store.split_path("0123456789ab")]
    for path in begun:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    beside = Leases(store.folder / "leases")
    assert beside.take(run)
    lease = store.folder / "leases" / run
    marker = lease.read_text().replace(f"host={socket.gethostname()}", "host=elsewhere")
    assert removed(store) == []
    beside.drop(run)
    all_of_it = [folder, *begun[1:]]
    assert removed(store) == all_of_it
    lease.write_text(marker)
    assert removed(store) == []
    os.utime(lease, (1, 1))
    assert removed(store) == all_of_it


def test_a_run_that_another_process_is_making_stays_when_its_row_goes(tmp_path: Path) -> None:
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    (spec,) = (node.spec for node in planned.plan.nodes.values() if node.label == "ft")
    folder = store.run_folder(spec)
    folder.mkdir(parents=True)
    beside = Leases(store.folder / "leases")
    assert beside.take(spec.id)
    assert keeping.removable(Store(store.folder), ["ft"])[0] == {}
    beside.drop(spec.id)
    assert [*keeping.removable(Store(store.folder), ["ft"])[0].values()] == [[folder]]


def test_what_is_taken_over_is_asked_for_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    request, other, _ = requested(tmp_path, epochs=2, adopt=[Path("raced")])
    seen: list[int] = []

    def look(*rest: object) -> tuple[int, Counter[str]]:
        seen.extend(one.recipe.epochs for one in asked.every(Store(store.folder)))
        return 0, Counter()

    monkeypatch.setattr(housekeeping, "copy_models", look)
    list(adopt(request, other, store))
    assert seen == [1, 2], "and what was shown is shown, as nothing is sure yet"
    assert len(asked.remember(store, other.benchmark, {})) == 1
    assert [one.recipe.epochs for one in asked.every(store)] == [2, 1]


def test_a_device_that_is_not_there_is_said_before_models_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "raced" / "runs").mkdir(parents=True)
    request, planned, store = requested(tmp_path, adopt=[Path("raced")])
    request = replace(request, devices="cuda:99")
    with pytest.raises(UserError, match="There is no device 'cuda:99' here"):
        list(adopt(request, planned, store))


def test_the_first_model_of_a_budget_is_asked_for_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    request, full, _ = requested(tmp_path, epochs=2, budget=1.0)
    seen: list[int] = []

    def work_off(*rest: object) -> bool:
        seen.extend(one.recipe.epochs for one in asked.every(Store(store.folder)))
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "work_off", work_off)
    with pytest.raises(KeyboardInterrupt):
        session.within_budget(request, full, store, Listener())
    assert seen == [1, 2]


def facts_of_model(name: str) -> PluginFacts:
    return PluginFacts.model_validate({"files": {"models": {name: f"{name}.py"}}})


def test_facts_of_plugins_are_noted_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes while another writes waits for it, here in vain."""
    _, planned, store = requested(tmp_path)
    waited: list[bool] = []

    def between(path: Path, folder: Path, data: bytes) -> None:
        put_bytes(path, folder, data)
        if path.name == "plugins.json" and not waited:
            waited.append(not Leases(store.folder / "leases").take(ASKED))

    monkeypatch.setattr(sealed, "put_bytes", between)
    store.prepare()
    for name in ("one", "two"):
        asked.remember(store, planned.benchmark, {}, facts_of_model(name))
    assert waited == [True]
    assert known_plugins(store).files["models"].keys() == {"one", "two"}


def test_a_text_that_is_just_being_written_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copy and the text; whoever looks waits for the end."""
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    begun, looking = threading.Event(), threading.Event()

    def between(path: Path, folder: Path, data: bytes) -> None:
        put_bytes(path, folder, data)
        begun.set()
        assert looking.wait(60)

    def write() -> None:
        with asked.changing(Store(store.folder)):
            sealed.write_sealed(store.folder / "benchmark.toml", store.folder, "# another\n")

    take = Leases.take

    def looks(leases: Leases, run: str) -> bool:
        taken = take(leases, run)
        looking.set()
        return taken

    monkeypatch.setattr(sealed, "put_bytes", between)
    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)
    monkeypatch.setattr(Leases, "take", looks)
    try:
        asked.require_whole(Store(store.folder))
    finally:
        looking.set()
        writer.join()
    monkeypatch.setattr(sealed, "put_bytes", put_bytes)
    (store.folder / "benchmark.toml").write_text("# edited")
    with pytest.raises(UserError, match=r"benchmark\.toml is not what was written"):
        asked.require_whole(Store(store.folder))


def test_the_table_of_samples_is_of_the_data_that_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all is made already, which needs no data; without them there is none."""
    tables, told = [], Listener()
    table = tmp_path / "raced" / "samples.csv"
    drawn = [requested(tmp_path, seed=seed) for seed in (0, 1)]
    for request, planned, store in drawn:
        seen = samples.look_over(request, planned.benchmark)
        assert seen.data is not None
        for made in planned.plan.nodes.values():
            record, signals, logits = left_by(made.spec)
            record["data"] = seen.data.digest
            store.save(made.spec, record, signals, logits, weights=Path.touch)
        assert session.make(request, planned, store, told)
        seen.note(store)  # as if it had just been made
        tables.append(table.read_text())
    assert tables[0] != tables[1]
    for again in (0, 1, 0):
        assert session.make(*drawn[again], told)
        assert table.read_text() == tables[again]
    monkeypatch.setattr(samples, "look_over", lambda *rest, **more: samples.DataSeen())
    for again in (0, 1, 1):
        assert session.make(*drawn[again], told)
        assert table.exists() == (not again)
    monkeypatch.undo()
    assert session.make(*drawn[1], told) and table.read_text() == tables[1]


def test_a_draft_of_another_maker_of_the_same_run_is_left_alone(tmp_path: Path) -> None:
    """One that came back to life is still writing; one that was killed never ends."""
    spec = node(1, 0.0).spec
    folder = Store(tmp_path).run_folder(spec)
    folder.mkdir(parents=True)
    written, left = (folder / f"{DRAFT}{name * 32}-signals.npz" for name in "ab")
    for draft in (written, left):
        draft.write_text("half")
    os.utime(left, (1, 1))
    store = filled(tmp_path, spec)
    assert written.exists() and not left.exists()
    os.utime(written, (1, 1))
    assert housekeeping.leftovers(store, [plan_of(node(1, 0.0))]) == {
        "1 file left half written": [written]
    }


@pytest.mark.parametrize("at", [0, 1], ids=["it", "the next"])
def test_a_run_that_is_removed_while_others_look_is_missing_alone(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [node(seed, 0.0) for seed in (1, 2, 3)]
    runs = [one.spec.id for one in nodes]
    store = filled(tmp_path, *(one.spec for one in nodes))
    gone, exists = store.run_folder(nodes[0].spec), Store.exists

    def goes(known: Store, run: str) -> bool:
        found = exists(known, run)
        if run == runs[at] and gone.exists():
            shutil.rmtree(gone)
        return found

    monkeypatch.setattr(Store, "exists", goes)
    state = progress(plan_of(*nodes), store, set())
    assert (state.open, state.done) == ((runs[:1], runs[1:]) if at == 0 else ([], runs))
    assert state.data == DIGEST and not store.done(runs[0])
    assert store.damage(runs[0]) == "record.json is missing"


def test_a_run_that_is_removed_while_it_is_verified_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, planned, store = requested(tmp_path)
    remembered(planned, store)
    spec, damage = node(1, 0.0).spec, Store.damage
    filled(store.folder, spec)

    def goes(known: Store, run: str) -> str | None:
        shutil.rmtree(store.run_folder(spec), ignore_errors=True)
        return damage(known, run)

    monkeypatch.setattr(Store, "damage", goes)
    assert housekeeping.verify(Store(store.folder)) == {}
