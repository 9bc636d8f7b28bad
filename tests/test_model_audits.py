"""Audits that need the models themselves: planned, made and taken up again as any run is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from tests.test_plan import METHODS, raw
from unlearnbench import registry
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.data.splits import Indices
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect, stale_runs
from unlearnbench.execution import Workplace
from unlearnbench.execution.contract import (
    CLASSES,
    RECIPE,
    examples,
    global_random_states,
    small_cnn,
)
from unlearnbench.execution.execute import Material, execute
from unlearnbench.planning import expansion, reading
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN, Cell, Plan
from unlearnbench.planning.rows import resolve
from unlearnbench.scheduling.scheduler import Agenda, progress
from unlearnbench.scheduling.worker import save
from unlearnbench.storage import housekeeping
from unlearnbench.storage.store import Store
from unlearnbench.toolkit import Examples, outputs, train
from unlearnbench.toolkit.recorder import Recorder, recording

AUDITS = registry.find("model_audits")
THREE = {"originals": [1, 2, 3], "forget": [1, 2, 3], "runs": [1, 2, 3], "retrains": 3}


def module(name: str) -> ModuleType:
    return AUDITS[name].load()


def audit(name: str, **settings: object) -> ModelAudit:
    return registry.build(registry.audit_class(AUDITS[name]), name, settings)


def planned(wanted: list[str], **changes: Any) -> Planned:
    benchmark, _ = resolve(reading.validate(raw(**changes)), METHODS, wanted)
    return expansion.expand(benchmark, METHODS)


# Planning


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
    splits = [plan.nodes[cell.run].spec.split for cell in plan.audited["relearning"]]
    assert {split.request for split in splits if split} == {3}


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
        ({"relearnign": {}}, "audit of models 'relearnign'.*relearning"),
        ({"relearning": {"epoch": 3}}, "hyperparameter of relearning 'epoch'.*epochs"),
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


# The contract of an audit


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return train(small_cnn(0), examples(48), seed=0)


def case(**changes: Any) -> Case:
    everything = examples(48)
    given: dict[str, Any] = {
        "pool": everything,
        "retain": everything.select(torch.arange(8, 32)),
        "forget": torch.arange(8),
        "test": torch.arange(32, 48),
        "classes": CLASSES,
        "seed": 5,
        "record": {},
        "retrain": train(small_cnn(1), everything.select(torch.arange(8, 32)), seed=1).eval(),
    }
    return Case(**given | changes)


@pytest.mark.parametrize("name", AUDITS)
def test_contract(name: str, model: nn.Module) -> None:
    asked, looked_at = audit(name), case()
    kind = type(asked)
    assert kind.__doc__ and kind.title and kind.about.endswith(".")
    assert kind.paper.startswith("https://") and "Source:" in kind.__doc__
    retrain = looked_at.retrain
    assert retrain is not None
    before = copy.deepcopy((looked_at.pool.images, retrain.state_dict()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(987654321)
        states = global_random_states()
        first, second = (asked.logits(copy.deepcopy(model), looked_at) for _ in range(2))
        assert global_random_states() == states, "every draw comes from case.seed"
    assert torch.equal(first, second) and first.isfinite().all()
    assert first.shape == (48, CLASSES)
    assert torch.equal(before[0], looked_at.pool.images)
    for key, value in retrain.state_dict().items():
        assert torch.equal(before[1][key], value)


# The probe


def test_cka_is_one_up_to_rotation_scale_and_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    other = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    cka = module("probe").cka
    assert cka(one, one) == pytest.approx(1, abs=1e-12)
    assert cka(one, 3 * one @ turn + 7) == pytest.approx(1, abs=1e-12)
    assert cka(one, other) == pytest.approx(cka(one @ turn, other), abs=1e-12)
    assert cka(one, torch.ones(30, 4, dtype=torch.float64)) is None
    # As the paper defines it, by kernels of samples instead of features.
    h = np.eye(30) - 1 / 30
    k, m = (h @ x.numpy() @ x.numpy().T @ h for x in (one, other))
    hsic = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert cka(one, other) == pytest.approx(hsic, abs=1e-12)


def test_features_are_what_the_last_layer_is_given(model: nn.Module) -> None:
    pool = examples(48)
    features = module("probe").features(model, pool)
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        logits = last(features.float())
    assert torch.allclose(logits, outputs(model, pool), atol=1e-5)


def test_the_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(90, 5, generator=generator, dtype=torch.float64)
    labels = (features[:, 0] + torch.randn(90, generator=generator) > 0).long()
    labels += (features[:, 1] > 0.5).long()
    fitted = module("probe").Probe(penalty=0.01).fitted(features, labels, 3)
    other = LogisticRegression(C=1 / (0.01 * 90), fit_intercept=False, tol=1e-8, max_iter=1000)
    other.fit(features.numpy(), labels.numpy())
    assert np.allclose(fitted.numpy(), other.coef_.T, atol=1e-3)


def test_a_class_that_is_gone_is_never_the_probes_answer(model: nn.Module) -> None:
    everything = examples(48)
    kept = everything.select(everything.labels > 0)
    recorder = Recorder()
    with recording(recorder):
        logits = audit("probe").logits(model, case(retain=kept))
    assert logits.isfinite().all() and not (logits.argmax(1) == 0).any()
    assert recorder.notes["probe"]["converged"]
    assert 0 < recorder.notes["cka_forget"] <= 1 and 0 < recorder.notes["cka_test"] <= 1


# Perturbed samples


def test_points_are_uniform_in_the_ball() -> None:
    count, side, radius = 2000, 3, 0.2
    grey = torch.full((count, 1, side, side), 0.5)
    labels = torch.zeros(count, dtype=torch.int64)
    clean = Examples(grey, labels, labels.bool(), RECIPE)
    nearby = module("perturbed").nearby
    moved = nearby(clean, torch.full((count,), radius), 7).images - grey
    share = (moved.flatten(1).norm(dim=1) / radius) ** side**2
    assert kstest(share.numpy(), "uniform").pvalue > 0.01
    assert moved.mean((0, 1, 2, 3)).abs() < 4 * moved.std() / moved.numel() ** 0.5
    far = nearby(clean, torch.full((count,), 5.0), 7).images
    assert far.min() == 0 and far.max() == 1, "what leaves [0, 1] is cut off"


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, [0.7, 0.7, 0.7]),
        ({"adversarial search": {"distances": [0.1, None, 0.3]}}, [0.1, 0.7, 0.3]),
        ({"adversarial search": {"distances": [0.1, 0.3]}}, [0.7, 0.7, 0.7]),
    ],
)
def test_the_radius_is_the_distance_that_the_run_found(
    notes: dict[str, Any], expected: list[float]
) -> None:
    looked_at = case(forget=torch.arange(3), record={"notes": notes})
    radii = audit("perturbed", radius=0.7).radii(looked_at)  # type: ignore[attr-defined]
    assert radii.tolist() == pytest.approx(expected)


def test_only_outputs_on_forget_samples_are_others(model: nn.Module) -> None:
    recorder, looked_at = Recorder(), case()
    with recording(recorder):
        logits = audit("perturbed").logits(model, looked_at)
    plain = outputs(model, looked_at.pool)
    assert torch.equal(logits[8:], plain[8:])
    assert not (logits[:8] == plain[:8]).all(1).any()
    note = recorder.notes["perturbed"]
    assert note["mean radius"] == 0.5 and 0 <= note["retrain"]["confidence"] <= 1


# Made and stored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planned, Store]:
    """Make everything of a benchmark with all audits, in this process."""
    asked = planned(
        ["rl", "amun"],
        data={"name": "digits", "train": 200, "test": 200},
        recipe={"epochs": 15, "batch_size": 32, "lr": 0.1},
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


def test_relearning_brings_back_what_was_hidden_only(made: tuple[Planned, Store]) -> None:
    ((before, after),) = before_and_after(made, "relearning", ORIGINAL)
    assert before >= 95 and after >= 95
    ((before, after),) = before_and_after(made, "relearning", "rl")
    assert before < 90 and after >= 95
    for before, after in before_and_after(made, "relearning", RETRAIN):
        assert abs(after - before) <= 10 and after < 90


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


def test_amun_is_looked_at_where_its_own_search_ended(made: tuple[Planned, Store]) -> None:
    asked, store = made
    (cell,) = [one for one in asked.plan.audited["perturbed"] if one.label == "amun"]
    start = str(asked.plan.nodes[cell.run].spec.start)
    search = store.record(start)["notes"]["adversarial search"]
    assert len(search["distances"]) == search["samples"] == 20
    mean = store.record(cell.run)["notes"]["perturbed"]["mean radius"]
    assert mean == pytest.approx(search["mean l2 distance"], rel=1e-3)


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
    assert not housekeeping.superfluous(store, asked.plan)
    found = collect(asked, store)
    assert not found.broken and not found.stale and found.open == 0


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


def test_audits_of_what_is_stale_are_stale(made: tuple[Planned, Store], tmp_path: Path) -> None:
    asked, store = made
    other = tmp_path / "rl.py"
    other.write_text(asked.plugins["rl"].source() + "\n# changed\n")
    changed = Planned(
        asked.benchmark, asked.plan, asked.plugins | {"rl": registry.Plugin("rl", other)}
    )
    assert sorted(stale_runs(changed, store).values()) == sorted(
        ["rl", "rl", *(f"rl ({name})" for name in AUDITS)]
    )


def test_a_run_that_failed_blocks_its_own_audits_only(made: tuple[Planned, Store]) -> None:
    plan: Plan = made[0].plan
    run = next(cell.run for cell in plan.cells if cell.label == "rl")
    blocked = Agenda(dict(plan.nodes), set(), lambda node: 1.0).lost(run)
    assert sorted(node.label for node, _ in blocked) == sorted(f"rl ({name})" for name in AUDITS)


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

    with pytest.raises(Exception, match=r"relearning returned \[3, 10\], not \[400, 10\]"):
        material.audit(Broken(), indices, weights, store.record, Recorder())
