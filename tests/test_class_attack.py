"""The class attack: by hand, on leaks that are known, and on real runs, recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from torch import Tensor

from tests.peak import peak
from unlearnbench import registry
from unlearnbench.audits import neighbours
from unlearnbench.audits.attacks import ATTACKS, Samples, View, score
from unlearnbench.audits.roc import auc
from unlearnbench.evaluation.measure import Measurement
from unlearnbench.execution import Workplace
from unlearnbench.execution.execute import execute
from unlearnbench.planning import expansion, reading
from unlearnbench.planning.rows import resolve
from unlearnbench.scheduling.worker import save
from unlearnbench.storage.store import Store

RNG = np.random.default_rng


def forgotten_class(logits: np.ndarray | None) -> View:
    """Let class 2 of a pool of 400 + 400 be forgotten; labels go round."""
    label, index = np.arange(800) % 5, np.arange(800)
    forget, retain = (index[:400][(label[:400] == 2) == is_forgotten] for is_forgotten in (1, 0))
    signals = dict.fromkeys({one.signal for one in ATTACKS.values()}, np.zeros(800))
    return View(
        {**signals, "label": label}, Samples(forget, retain, index[400:], index[400:]), logits
    )


def test_attacks_are_possible_where_there_is_what_they_need() -> None:
    logits = np.zeros((800, 5))

    def possible(view: View) -> list[str]:
        return [name for name, one in ATTACKS.items() if one.possible(view, None)]

    assert possible(forgotten_class(None)) == ["loss", "svc"]
    assert possible(forgotten_class(logits)) == ["loss", "svc", "class"]
    two = forgotten_class(logits[:, :2])
    assert "class" not in possible(two), "one other class has all of the probability"
    untested = replace(two.samples, others=np.arange(400, 402))
    assert "class" not in possible(View(two.signals, untested, logits)), "nobody to compare with"


def test_class_attack_compares_with_the_forgotten_class_alone() -> None:
    view = forgotten_class(np.zeros((800, 5)))
    others = ATTACKS["class"].others(view)
    assert len(others) == 80 and (others >= 400).all() and (others % 5 == 2).all()
    signals = {**view.signals, "subclass": np.arange(800) % 10}
    subclass = View(signals, view.samples, view.logits)
    assert set(ATTACKS["class"].others(subclass) % 10) == {2, 7}
    assert len(ATTACKS["loss"].others(view)) == 400


def test_class_attack_by_hand() -> None:
    likely = np.log([[0.5, 0.3, 0.1, 0.1], [0.5, 0.3, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    found = neighbours.scores(likely, np.array([0, 1, 3]))
    assert found == pytest.approx(-np.log([0.3 / 0.5, 0.5 / 0.7, 1 / 3]))
    assert neighbours.scores(likely + 7, np.array([0, 1, 3])) == pytest.approx(found)
    own = likely + np.array([[5, 0, 0, 0], [0, -9, 0, 0], [0, 0, 0, 2]])
    assert neighbours.scores(own, np.array([0, 1, 3])) == pytest.approx(found), "own logit is out"
    certain = np.array([[0.0, 90.0, -90.0]], dtype=np.float16)
    assert neighbours.scores(certain, np.array([0])) == pytest.approx(0)


def test_class_attack_sees_a_leak_and_nothing_in_a_model_that_has_not_seen_the_class() -> None:
    draw = RNG(17)

    def found(logits: np.ndarray) -> float:
        view = forgotten_class(logits)
        scores = score("class", view, None)
        return auc(scores[view.samples.forget], scores[ATTACKS["class"].others(view)])

    blind = draw.normal(size=(800, 5))
    nearest = blind.copy()
    nearest[np.arange(800) % 5 == 2, 3] += 3  # all samples of the class look like those of another
    assert np.mean([found(draw.normal(size=(800, 5))) for _ in range(60)]) == pytest.approx(
        50, abs=2
    )
    assert found(nearest) == pytest.approx(50, abs=9)
    spread = nearest.copy()
    spread[forgotten_class(None).samples.forget] = 0.0  # these were taught random labels
    assert found(spread) == 100
    assert found(np.where(spread == 0, nearest * 9, nearest)) < 30, "taught one label too well"
    assert found(np.zeros((800, 5))) == 50, "ties"


def made(folder: Path, **changes: Any) -> tuple[Measurement, Store]:
    """Make a benchmark of seconds that forgets a class."""
    raw: dict[str, Any] = {
        "name": "try",
        "title": "Try",
        "model": "small-cnn",
        "data": {"name": "digits", "train": 100, "test": 100} | changes.pop("data", {}),
        "recipe": {"epochs": 2, "batch_size": 32},
        "forget": {"kind": "class", "fractions": [1.0], "target": 1} | changes,
        "seeds": {"originals": [1], "forget": [1], "runs": [1]},
        "references": {"count": 2},
        "controls": False,
    }
    plugins = registry.find("methods")
    benchmark, _ = resolve(reading.validate(raw), plugins, ["rl"])
    plan = expansion.expand(benchmark, plugins).plan
    store = Store(folder)
    store.prepare()

    def weights(run: str) -> Mapping[str, Tensor]:
        return load_file(store.model_path(run))

    for node in plan.nodes.values():
        save(store, node, execute(node.spec, "cpu", Workplace(folder), weights), "cpu")
    store.refresh()
    return Measurement(plan, store, benchmark.attacks), store


def recomputed(store: Store, run: str, forget: np.ndarray, others: np.ndarray) -> float:
    """Work the AUC out in plain numpy, from one stored row of logits after the other."""
    logits, label = store.logits(run).astype(np.float64), store.signals(run)["label"]
    scores = {}
    for sample in np.concatenate((forget, others)):
        left = np.exp(np.delete(logits[sample], label[sample]))
        scores[sample] = -np.log(left.max() / left.sum())
    wins = [(scores[f] > scores[o]) + (scores[f] == scores[o]) / 2 for f in forget for o in others]
    return 100 * float(np.mean(wins))


@pytest.mark.parametrize(
    ("changes", "group"),
    [
        ({}, "label"),
        ({"kind": "subclass", "data": {"superclasses": [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]}}, ""),
    ],
    ids=["class", "subclass"],
)
def test_real_runs_are_attacked_on_what_is_stored_of_them(
    changes: dict[str, Any], group: str, tmp_path: Path
) -> None:
    measurement, store = made(tmp_path, **changes)
    measured = measurement.run()
    assert not measured.broken and {cell.label for cell in measured.cells} > {"rl", "retrain"}
    for cell, evaluation in measured.cells.items():
        signals, forget = store.signals(cell.run), store.split(cell.split)["forget"]
        of = signals[group or "subclass"]
        assert set(of[forget]) == {1} and set(np.flatnonzero(of[:100] == 1)) == set(forget)
        others = 100 + np.flatnonzero(of[100:] == 1)
        part = evaluation.attacks["class"].part
        assert np.array_equal(part.others, others)
        assert part.value == pytest.approx(recomputed(store, cell.run, forget, others))


def test_it_is_not_made_where_no_class_is_forgotten(tmp_path: Path) -> None:
    measurement, store = made(tmp_path, kind="random", fractions=[0.2], target=None)
    measured = measurement.run()
    assert {"loss", "rmia"} < set(measured.cells[measurement.plan.cells[0]].attacks)
    assert all("class" not in found.attacks for found in measured.cells.values())
    assert "subclass" not in store.signals(measurement.plan.cells[0].run)


def test_scores_take_no_memory_for_all_logits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = RNG(0).normal(size=(2000, 500)).astype(np.float16)
    labels = np.arange(2000) % 500
    whole = neighbours.scores(logits, labels)
    monkeypatch.setattr("unlearnbench.blocks.BLOCK", 2**14)
    assert peak(lambda: neighbours.scores(logits, labels)) < logits.nbytes
    assert neighbours.scores(logits, labels).tobytes() == whole.tobytes()
