"""What several runs need is made once, and each of them is charged with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Cli
from tests.test_plan import count, expand
from unlearnbench import registry
from unlearnbench.errors import UserError
from unlearnbench.execution.contract import Examination
from unlearnbench.execution.material import shared_by
from unlearnbench.execution.trying import examine
from unlearnbench.planning.plan import Plan, Spec, same_runs
from unlearnbench.scheduling.worker import charge
from unlearnbench.storage.store import Store

ROWS: dict[str, Any] = {
    "amun": {},
    "amun-salun": {"method": "amun", "keep": 0.5},
    "amun-closest": {"method": "amun", "search": "closest"},
    "amun-adaptive": {},
}


def shared_with(plan: Plan, label: str) -> list[str]:
    """Return the labels of the rows whose first run shares its work with the first of a row."""
    first = {cell.label: plan.nodes[cell.run].spec.shared for cell in reversed(plan.cells)}
    return [other for other, shared in first.items() if shared == first[label] and other != label]


def test_rows_that_agree_in_the_search_share_it() -> None:
    _, plan = expand(list(ROWS), methods=ROWS, access=["full", "forget-only"])
    assert count(plan, "amun (shared)") == 2 * 2, "seeds by searches, whatever the access"
    assert set(shared_with(plan, "amun")) == {"amun-salun", "amun-adaptive"}
    order = list(plan.nodes)
    for node in plan.nodes.values():
        assert all(order.index(need) < order.index(node.spec.id) for need in node.needs)
        if node.spec.shared:
            shared = plan.nodes[node.spec.shared]
            assert shared.keep_weights and shared.spec.kind == "shared"
            assert node.spec.shared in node.needs and shared.needs == (node.spec.original,)
            assert set(shared.spec.settings) == {"radius", "steps", "search", "source"}


def test_runs_of_other_seeds_share_the_work_of_one_original_and_forget_set() -> None:
    seeds = {"originals": [1], "forget": [1], "runs": [5, 6, 7], "retrains": 1}
    _, plan = expand(["amun"], seeds=seeds | {"pairing": "product"})
    assert count(plan, "amun") == 3 and count(plan, "amun (shared)") == 1


def test_what_needs_another_original_shares_what_was_made_of_it() -> None:
    methods = {"amun": {}, "amun-other": {"method": "amun", "source": "other"}}
    _, plan = expand(list(methods), methods=methods)
    others = {n.spec.other for n in plan.nodes.values() if n.spec.kind == "shared"}
    assert count(plan, "amun (shared)") == 4 and None in others and len(others) == 3


def test_a_first_request_is_that_of_the_twin_under_the_same_settings_only() -> None:
    forget = {"fractions": [0.1], "requests": 2}
    _, plan = expand(["amun", "amun-adaptive"], forget=forget)
    runs = {
        (cell.label, cell.request, cell.seeds): plan.nodes[cell.run].spec for cell in plan.cells
    }
    seeds = (1, 1, 1)
    first, second = (runs["amun-adaptive", request, seeds] for request in (1, 2))
    assert first == runs["amun", 1, seeds] and second.start == first.id
    assert second.method == "amun-adaptive" and second.shared is None, "it searches again"
    _, apart = expand(["amun", "amun-adaptive"], methods={"amun-adaptive": {"lr": 0.5}})
    assert not {cell.run for cell in apart.cells if cell.label == "amun"} & {
        cell.run for cell in apart.cells if cell.label == "amun-adaptive"
    }


def test_rows_with_the_very_same_runs_are_named_once() -> None:
    _, plan = expand(list(ROWS), methods=ROWS)
    pairs = [(cell.label, cell.run) for cell in plan.cells]
    assert same_runs(pairs) == {"amun-adaptive": "amun"}
    assert same_runs([("a", "1"), ("b", "1"), ("b", "2"), ("a", "2"), ("c", "1")]) == {"b": "a"}


TWIN = '''
from unlearnbench import Method, param

class Odd(Method):
    """Claim to be another."""
    paper = "https://example.org"
    twin = "{twin}"
    lr: float = param(0.1, help="learning rate")
    {more}
    def unlearn(self, model, task):
        return model
'''


@pytest.mark.parametrize(
    ("twin", "more", "problem"),
    [
        ("nothing", "", "Unknown method 'nothing'"),
        ("ft", "beta: float = param(1.0, help='a number')", "hyperparameter of odd: 'beta'"),
    ],
)
def test_a_twin_must_be_there_and_have_the_settings(
    tmp_path: Path, twin: str, more: str, problem: str
) -> None:
    (tmp_path / "odd.py").write_text(TWIN.format(twin=twin, more=more))
    with pytest.raises(UserError, match=problem):
        expand_with(tmp_path / "odd.py")


def test_a_method_is_told_that_it_does_not_equal_its_twin(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(TWIN.format(twin="ft", more=""))
    told = [problem for _, problem in examine(tmp_path / "odd.py") if problem]
    assert len(told) == 1 and told[0].startswith("its weights and those of ft differ in ")


def expand_with(file: Path) -> Plan:
    from tests.test_plan import raw
    from unlearnbench.planning import expansion, reading
    from unlearnbench.planning.rows import resolve

    plugins = registry.find("methods", [file])
    benchmark, _ = resolve(reading.validate(raw()), plugins, [file.stem])
    return expansion.expand(benchmark, plugins).plan


SHARING = '''
import torch
from unlearnbench import Method, param

class Sharing(Method):
    """Share a number."""
    paper = "https://example.org"
    shared_settings = ("much",)
    much: float = param(0.1, help="how much")
    other: float = param(0.2, help="something else")

    def unlearn(self, model, task):
        shared = task.shared or self.shared_work(task)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += shared["number"]
        return model

    def shared_work(self, task):
        {body}
'''


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return {'number': torch.tensor(self.much)}", None),
        ("return {'number': torch.tensor(self.other)}", "no attribute 'other'"),
        ("return {'number': torch.tensor(len(task.retain or ()) + 0.5)}", "with and without"),
        ("return [torch.tensor(self.much)]", "did not return a dictionary of tensors"),
    ],
)
def test_shared_work_is_held_to_the_contract(
    tmp_path: Path, body: str, problem: str | None
) -> None:
    (tmp_path / "sharing.py").write_text(SHARING.replace("{body}", body))
    told = dict(examine(tmp_path / "sharing.py"))
    rule = told["Give the same weights with its shared work done before, if it has any"]
    assert rule is None if problem is None else problem in str(rule)


def test_a_search_made_before_gives_the_same_weights() -> None:
    amun = registry.method_class(registry.find("methods")["amun"])
    method = registry.build(amun, "amun", {"epochs": 1, "search": "one-step", "pairs": "adv-rs"})
    examination = Examination(method)
    made = shared_by(method, examination.task(8, retain=False))
    stored = {name: tensor.contiguous() for name, tensor in made.items()}
    given = examination.unlearn(replace(examination.task(8), shared=stored))
    alone = examination.unlearn(examination.task(8))
    assert all(torch.equal(alone[name], given[name]) for name in alone)
    moved = {name: tensor.flip(0) for name, tensor in stored.items()}
    other = examination.unlearn(replace(examination.task(8), shared=moved))
    assert not all(torch.equal(alone[name], other[name]) for name in alone), "it is used"


def test_costs_of_shared_work_are_charged_and_kept_apart() -> None:
    made = {
        "seconds": {"total": 5.0, "adversarial search": 4.0},
        "gradients": 700,
        "notes": {"adversarial search": {"samples": 3}},
        "peak memory MB": 90,
    }
    record: dict[str, Any] = {
        "seconds": {"total": 2.0, "saliency mask": 1.0},
        "gradients": 30,
        "notes": {"own": 1},
        "peak memory MB": 50,
    }
    charge(record, "abc", made)
    assert record["shared"] == {"run": "abc", "seconds": 5.0, "gradients": 700}
    assert record["seconds"] == {"total": 7.0, "adversarial search": 4.0, "saliency mask": 1.0}
    assert record["gradients"] == 730 and record["peak memory MB"] == 90
    assert record["notes"] == {"adversarial search": {"samples": 3}, "own": 1}
    assert made["seconds"] == {"total": 5.0, "adversarial search": 4.0}


@pytest.fixture(scope="module")
def settings() -> list[str]:
    pairs = ["references.count=2", "seeds.retrains=1", "amun.epochs=1", "amun-adaptive.epochs=1"]
    pairs += ['methods.amun-salun={method="amun",keep=0.5,epochs=1}']
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.slow
def test_a_search_is_stored_charged_and_made_again_where_it_is_lost(
    cli: Cli, tiny: Path, tmp_path: Path, settings: list[str]
) -> None:
    rows = "amun,amun-salun,amun-adaptive"
    words = ["run", tiny, "--seeds", "1", "--methods", rows, *settings]
    done = cli(*words)
    assert done.code == 0, done.out + done.err
    assert "AMUN-adaptive: the same runs as AMUN." in " ".join(done.out.split()), done.out
    store = Store(tmp_path / "results" / "tiny")
    folders = store.folder.glob("runs/*/record.json")
    records = {spec.id: record for record in map(read, folders) if (spec := spec_of(record))}
    specs = {run: spec_of(record) for run, record in records.items()}
    (search,) = (run for run, spec in specs.items() if spec.kind == "shared")
    runs = [run for run, spec in specs.items() if spec.shared == search]
    assert len(runs) == 2, "amun-adaptive's is amun's"
    assert store.runs()[search].name.startswith("amun-shared-s1f1r1-")
    cost = records[search]
    for run in runs:
        record = records[run]
        own = record["seconds"]["total"] - cost["seconds"]["total"]
        assert record["shared"]["seconds"] == cost["seconds"]["total"] and own > 0
        assert record["gradients"] > cost["gradients"] == record["shared"]["gradients"] > 0
        assert record["notes"]["adversarial search"] == cost["notes"]["adversarial search"]

    found = load_file(store.model_path(search))
    assert found["images"].shape == (len(found["labels"]), 1, 8, 8)
    assert not list(store.runs()[search].glob("*.npz")), "it has neither signals nor logits"

    margins = {run: store.signals(run, "margin")["margin"] for run in runs}
    store.model_path(search).unlink()
    (store.runs()[runs[0]] / "record.json").unlink()
    again = cli(*words)
    assert again.code == 0 and "2 to make" in again.out, again.out + again.err
    assert np.array_equal(store.signals(runs[0], "margin")["margin"], margins[runs[0]])


def read(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(path.read_text())
    return made


def spec_of(record: dict[str, Any]) -> Spec:
    return Spec.model_validate(record["spec"])
