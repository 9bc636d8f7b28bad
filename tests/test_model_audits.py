"""Audits that need the models themselves: planned, made and taken up again as any run is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.test_plan import METHODS, raw
from unlearnbench import registry
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.data.splits import Indices
from unlearnbench.errors import MethodError, UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.execution import Workplace
from unlearnbench.execution.execute import execute
from unlearnbench.execution.material import Material
from unlearnbench.planning import expansion, reading
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN, Cell, Plan
from unlearnbench.planning.rows import resolve
from unlearnbench.scheduling.progress import progress
from unlearnbench.scheduling.scheduler import Agenda
from unlearnbench.scheduling.worker import save
from unlearnbench.storage import housekeeping
from unlearnbench.storage.store import Store
from unlearnbench.toolkit.recorder import Recorder

AUDITS = registry.find("model_audits")
THREE = {"originals": [1, 2, 3], "forget": [1, 2, 3], "runs": [1, 2, 3], "retrains": 3}


def planned(wanted: list[str], **changes: Any) -> Planned:
    benchmark, _ = resolve(reading.validate(raw(**changes)), METHODS, wanted)
    return expansion.expand(benchmark, METHODS)


def test_every_row_is_audited_on_the_first_forget_sets() -> None:
    asked = planned(["ft"], seeds=THREE, controls=True, model_audits={"relearning": {"sets": 2}})
    plan = asked.plan
    cells = plan.audited["relearning"]
    rows = {ORIGINAL: 2, RETRAIN: 4, HELD_OUT: 2, "ft": 2, "destroyed": 2}
    rows |= {"do-nothing": 2, "planted-leak": 2}
    assert {label: sum(cell.label == label for cell in cells) for label in rows} == rows
    assert len(cells) == sum(rows.values()) and {cell.seeds[-2] for cell in cells} == {1, 2}
    seen = {(cell.label, cell.seeds): cell for cell in plan.cells}
    for cell in cells:
        spec, audited = plan.nodes[cell.run].spec, seen[cell.label, cell.seeds]
        assert (spec.kind, spec.audit, spec.start) == ("audit", "relearning", audited.run)
        assert spec.split_id == cell.split == audited.split and spec.other is None
        assert plan.nodes[cell.run].needs == (audited.run,)
        assert plan.nodes[cell.run].label == f"{plan.nodes[audited.run].label} (relearning)"
    assert asked.benchmark.model_audits["relearning"].settings == {"epochs": 5, "lr": 0.01}


def test_audits_change_no_other_node_but_for_weights_of_what_is_audited() -> None:
    plain = planned(["ft"], seeds=THREE).plan
    plan = planned(["ft"], seeds=THREE, model_audits={"relearning": {"sets": 1}}).plan
    others = {run: node for run, node in plan.nodes.items() if node.spec.kind != "audit"}
    assert list(others) == list(plain.nodes) and list(plan.nodes)[: len(others)] == list(others)
    audited = {plan.nodes[cell.run].spec.start for cell in plan.audited["relearning"]}
    assert {run for run, node in others.items() if node.keep_weights} == audited | {
        run for run, node in plain.nodes.items() if node.keep_weights
    }
    assert not plain.audited and len(audited) == 1 + 3 + 1, "original, three retrains, ft"


def test_one_run_is_audited_once_whatever_the_access() -> None:
    access = ["full", "forget-only"]
    plan = planned(["ga"], access=access, model_audits={"relearning": {"sets": 1}}).plan
    by_label: dict[str, set[str]] = {}
    for cell in plan.audited["relearning"]:
        by_label.setdefault(cell.label, set()).add(cell.run)
    assert {label: len(runs) for label, runs in by_label.items()} == {
        ORIGINAL: 1,
        RETRAIN: 2,
        "ga": 2,
    }


def test_only_the_last_of_several_requests_is_audited() -> None:
    forget = {"fractions": [0.02], "requests": 3}
    plan = planned(["ft"], forget=forget, model_audits={"relearning": {}}).plan
    assert {cell.request for cell in plan.audited["relearning"]} == {3}
    last = {cell.split for cell in plan.cells if cell.request == 3}
    assert {plan.nodes[cell.run].spec.split_id for cell in plan.audited["relearning"]} == last


def test_what_is_compared_with_a_retrain_is_never_compared_with_itself() -> None:
    plan = planned(["ft"], seeds=THREE, model_audits={"probe": {"sets": 1}}).plan
    retrains = [cell.run for cell in plan.cells if cell.label == RETRAIN and cell.seeds[-2] == 1]
    for cell in plan.audited["probe"]:
        spec = plan.nodes[cell.run].spec
        assert spec.other == (retrains[1] if spec.start == retrains[0] else retrains[0])
    alone = {"originals": [1], "forget": [1], "runs": [1]}
    plan = planned(["ft"], seeds=alone, model_audits={"probe": {}}).plan
    others = {cell.label: plan.nodes[cell.run].spec.other for cell in plan.audited["probe"]}
    assert others[RETRAIN] is None and others["ft"] is not None


@pytest.mark.parametrize(
    ("audits", "told"),
    [
        ({"relearnign": {}}, "audit of models: 'relearnign'.*relearning"),
        ({"relearning": {"epoch": 3}}, "hyperparameter of relearning: 'epoch'.*epochs"),
        ({"relearning": {"lr": 0}}, "relearning.lr = 0"),
        ({"relearning": {"sets": 0}}, "model_audits.relearning.sets"),
    ],
)
def test_what_is_wrong_with_an_audit_is_told(audits: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=f"(?s){told}"):
        planned(["ft"], model_audits=audits)


def test_a_benchmark_that_is_written_out_is_read_back_with_its_audits() -> None:
    asked = planned(["ft"], model_audits={"relearning": {"sets": 2, "lr": 0.05}})
    text = reading.as_toml(asked.benchmark)
    assert "[model_audits.relearning]\nsets = 2\nepochs = 5\nlr = 0.05" in text
    changed = raw(model_audits={"relearning": {}})
    reading.change(changed, ["model_audits.relearning.epochs=2"], METHODS)
    assert reading.validate(changed).model_audits["relearning"].settings == {"epochs": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planned, Store]:
    """Make everything of a benchmark with all audits, in this process."""
    asked = planned(
        ["rl", "amun"],
        data={"name": "digits", "train": 200, "test": 200},
        recipe={"epochs": 30, "batch_size": 32, "lr": 0.1},
        forget={"fractions": [0.1], "kind": "most-memorised"},
        seeds={"originals": [1, 2], "forget": [1, 2], "runs": [1, 2], "retrains": 2},
        references={"count": 2},
        methods={"rl": {"epochs": 5, "lr": 0.003}, "amun": {"epochs": 2, "search": "closest"}},
        model_audits={name: {"sets": 1} for name in AUDITS},
    )
    store = Store(tmp_path_factory.mktemp("audited") / "try")
    store.prepare()
    for node in asked.plan.nodes.values():
        make(asked, store, node.spec.id)
    store.refresh()
    return asked, store


def make(asked: Planned, store: Store, run: str) -> None:
    def weights(needed: str) -> Mapping[str, Tensor]:
        return load_file(store.model_path(needed))

    node = asked.plan.nodes[run]
    store.refresh()
    place = Workplace(store.folder)
    save(store, node, execute(node.spec, "cpu", place, weights, None, store.record), "cpu")


def accuracy(store: Store, cell: Cell) -> float:
    """Return the forget accuracy in percent."""
    forget = store.split(cell.split)["forget"]
    return 100 * float(store.signals(cell.run, "correct")["correct"][forget].mean())


def before_and_after(made: tuple[Planned, Store], name: str, label: str) -> list[list[float]]:
    (asked, store), found = made, []
    for cell in asked.plan.audited[name]:
        if cell.label == label:
            start = asked.plan.nodes[cell.run].spec.start
            seen = next(one for one in asked.plan.cells if one.run == start)
            seen = Cell(**vars(seen) | {"split": cell.split})
            found.append([accuracy(store, seen), accuracy(store, cell)])
    return found


@pytest.mark.slow
def test_relearning_brings_back_what_was_hidden_only(made: tuple[Planned, Store]) -> None:
    ((before, after),) = before_and_after(made, "relearning", ORIGINAL)
    assert before >= 95 and after >= 95
    ((before, after),) = before_and_after(made, "relearning", "rl")
    assert before < 90 and after >= 95
    for before, after in before_and_after(made, "relearning", RETRAIN):
        assert abs(after - before) <= 10 and after < 90


@pytest.mark.slow
def test_a_probe_of_a_retrain_is_about_as_good_as_its_own_layer(
    made: tuple[Planned, Store],
) -> None:
    asked, store = made
    tested = slice(200, 400)
    for cell in asked.plan.audited["probe"]:
        if cell.label == RETRAIN:
            own = store.signals(str(asked.plan.nodes[cell.run].spec.start), "correct")["correct"]
            probe = store.signals(cell.run, "correct")["correct"]
            assert abs(probe[tested].mean() - own[tested].mean()) <= 0.05
            notes = store.record(cell.run)["notes"]
            assert 0.3 < notes["cka_test"] < 1 and 0.3 < notes["cka_forget"] < 1


@pytest.mark.slow
def test_amun_is_looked_at_where_its_own_search_ended(made: tuple[Planned, Store]) -> None:
    asked, store = made
    (cell,) = [one for one in asked.plan.audited["perturbed"] if one.label == "amun"]
    start = str(asked.plan.nodes[cell.run].spec.start)
    search = store.record(start)["notes"]["adversarial search"]
    assert len(search["distances"]) == search["samples"] == 20
    mean = store.record(cell.run)["notes"]["perturbed"]["mean radius"]
    assert mean == pytest.approx(search["mean l2 distance"], rel=1e-3)


@pytest.mark.slow
def test_what_an_audit_leaves_is_what_a_run_leaves(made: tuple[Planned, Store]) -> None:
    asked, store = made
    for cell in [cell for cells in asked.plan.audited.values() for cell in cells]:
        record = store.record(cell.run)
        assert set(record["files"]) == {"signals.npz", "logits.npz", "split"}
        assert record["seconds"]["total"] > 0 and record["source"]
        assert store.logits(cell.run).shape == (400, 10)
        forget = store.split(cell.split)["forget"]
        assert not store.signals(cell.run, "member")["member"][forget].any()
    kept = {path.stem for path in store.folder.glob("models/*")}
    wanted = {run for run, node in asked.plan.nodes.items() if node.keep_weights}
    assert kept == wanted
    assert not housekeeping.leftovers(store, [asked.plan])
    found = collect(asked, store)
    assert not found.broken and not found.stale and found.open == 0


@pytest.mark.slow
def test_an_audit_that_is_lost_is_made_again_and_nothing_else(made: tuple[Planned, Store]) -> None:
    asked, store = made
    run = asked.plan.audited["relearning"][-1].run
    assert progress(asked.plan, store, set()).open == []
    before = store.logits(run)
    folder = store.runs()[run]
    (folder / "record.json").unlink()
    assert progress(asked.plan, store, set()).open == [run]
    make(asked, store, run)
    assert progress(asked.plan, store, set()).open == []
    assert np.array_equal(store.logits(run), before)


@pytest.mark.slow
def test_a_run_without_weights_is_made_again_to_be_audited(made: tuple[Planned, Store]) -> None:
    """As one that was made before the benchmark had an audit."""
    asked, store = made
    more = planned(
        ["rl", "amun"],
        **asked.benchmark.model_dump(
            include={"data", "recipe", "forget", "references", "seeds", "methods"}
        ),
        model_audits={"relearning": {"sets": 2}},
    )
    left = progress(more.plan, store, set()).open
    labels = sorted(more.plan.nodes[run].label for run in left)
    runs = ["amun", "retrain", "retrain", "rl"]
    assert labels == sorted([*runs, "original (relearning)", *(f"{r} (relearning)" for r in runs)])


@pytest.mark.slow
def test_audits_of_what_is_stale_are_stale(made: tuple[Planned, Store], tmp_path: Path) -> None:
    asked, store = made
    other = tmp_path / "rl.py"
    other.write_text(asked.plugins["rl"].source() + "\n# changed\n")
    changed = Planned(
        asked.benchmark, asked.plan, asked.plugins | {"rl": registry.Plugin("rl", other)}
    )
    assert sorted(stale_runs(changed, store).values()) == sorted(
        ["the method", "the method", *["the rl"] * len(AUDITS)]
    )


@pytest.mark.slow
def test_a_run_that_failed_blocks_its_own_audits_only(made: tuple[Planned, Store]) -> None:
    plan: Plan = made[0].plan
    run = next(cell.run for cell in plan.cells if cell.label == "rl")
    blocked = Agenda(dict(plan.nodes), set(), lambda node: 1.0).lost(run)
    assert sorted(node.label for node, _ in blocked) == sorted(f"rl ({name})" for name in AUDITS)


@pytest.mark.slow
def test_an_audit_that_returns_something_else_is_told(made: tuple[Planned, Store]) -> None:
    class Broken(ModelAudit):
        def logits(self, model: nn.Module, case: Case) -> Tensor:
            return torch.zeros(3, 10)

    asked, store = made
    spec = asked.plan.nodes[asked.plan.audited["relearning"][0].run].spec
    material = Material(spec, Workplace(store.folder), torch.device("cpu"))
    indices = material.indices
    assert isinstance(indices, Indices)

    def weights(run: str) -> Mapping[str, Tensor]:
        return load_file(store.model_path(run))

    with pytest.raises(MethodError, match=r"relearning returned \[3, 10\], not \[400, 10\]"):
        material.audit(Broken(), indices, weights, store.record, Recorder())
