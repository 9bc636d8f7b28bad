"""Benchmarks and the graphs they expand to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import allowed
from unlearnbench import registry
from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.splits import Split
from unlearnbench.errors import UserError
from unlearnbench.execution import Workplace
from unlearnbench.execution.material import Material
from unlearnbench.outline import settings_class
from unlearnbench.planning import expansion, reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.joining import added_up, differing
from unlearnbench.planning.plan import Plan, split_id
from unlearnbench.planning.rows import resolve

METHODS = registry.find("methods")
IDS = {
    "original": "8af7c4f4a75b",
    "reference": "0fc8471db616",
    "retrain": "3e4829a900b3",
    "ft": "7f530a2d0683",
}
"""Of stored results: with other ids, users would have to run everything again."""


def raw(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "try",
        "title": "Try",
        "model": "small-cnn",
        "data": {"name": "digits", "train": 100, "test": 100},
        "forget": {"fractions": [0.1]},
        "seeds": {"originals": [1, 2], "forget": [1, 2], "runs": [1, 2], "retrains": 2},
        "references": {"count": 4},
        "controls": False,
    }
    return base | changes


def expand(wanted: list[str] | None = None, **changes: Any) -> tuple[Benchmark, Plan]:
    benchmark, _ = resolve(reading.validate(raw(**changes)), METHODS, wanted)
    expansion.require_parts(benchmark)
    return benchmark, expansion.expand(benchmark, METHODS).plan


def count(plan: Plan, label: str) -> int:
    return sum(node.label == label for node in plan.nodes.values())


def test_shared_nodes_are_built_once() -> None:
    _, plan = expand(["ft", "amun"])
    assert {label: count(plan, label) for label in ("original", "reference", "retrain", "ft")} == {
        "original": 2,
        "reference": 4,
        "retrain": 4,
        "ft": 2,
    }
    assert [cell.label for cell in plan.cells][:2] == ["original", "original"]
    assert plan.cells[2].label == "retrain"


def test_product_of_seeds_shares_retrains_between_originals() -> None:
    seeds = {"originals": [1, 10], "forget": [1, 10], "runs": [1, 10], "retrains": 3}
    _, plan = expand(["ft"], seeds=seeds | {"pairing": "product"})
    assert count(plan, "ft") == 8 and count(plan, "retrain") == 2 * 3
    assert sum(cell.label == "original" for cell in plan.cells) == 4


def test_ids_are_stable_and_depend_on_what_matters() -> None:
    ids = set(expand(["ft"])[1].nodes)
    assert ids == set(expand(["ft"])[1].nodes)
    assert len(ids - set(expand(["ft", "amun"])[1].nodes)) == 0
    changed = set(expand(["ft"], methods={"ft": {"lr": 0.5}})[1].nodes)
    assert len(ids - changed) == 2, "only the two runs of ft"
    assert not ids & set(expand(["ft"], recipe={"epochs": 7})[1].nodes)


def test_ids_of_what_was_made_before_are_still_the_same() -> None:
    _, plan = expand(["ft"], seeds={"originals": [1], "forget": [1], "runs": [1]})
    ids = {node.label: run for run, node in plan.nodes.items()}
    assert ids == IDS


def test_more_references_leave_those_there_are_and_none_is_one_of_version_0_1() -> None:
    _, few = expand(["ft"])
    _, more = expand(["ft"], references={"count": 8})
    assert few.references == more.references[:4]
    before = {few.nodes[run].spec.model_copy(update={"bank": 4}).id for run in few.references}
    assert "6b298b92a01e" in before and not before & set(few.nodes)


def test_only_rows_of_the_file_are_run_where_it_says_so() -> None:
    benchmark, _ = expand(None, methods={"rl": {}}, others=False)
    assert list(benchmark.methods) == ["retrain", "rl"]
    assert len(expand(None, methods={"rl": {}})[0].methods) > 5


def test_some_methods_run_only_on_request() -> None:
    asked: dict[str, Any] = {"methods": {"rl-again": {"method": "rl"}}, "on_request": ["ga", "ft"]}
    usual = set(expand(None, **asked)[0].methods)
    assert usual >= {"rl-again", "rl", "salun"} and not usual & {"ga", "ft"}
    assert set(expand(["ga"], **asked)[0].methods) == {"retrain", "ga"}
    every = set(expand(["all"], others=False, **asked)[0].methods)
    assert every == usual | {"ga", "ft"}
    asked["on_request"].append("rl-again")
    assert set(expand(None, **asked)[0].methods) == usual - {"rl-again"}, "rows as well"
    assert set(expand(["all"], **asked)[0].methods) == every


def test_the_row_that_others_are_compared_with_is_one_of_them() -> None:
    assert expand(None, methods={"rl": {}}, against="rl")[0].against == "rl"
    with pytest.raises(UserError, match="Unknown row to compare against: 'rk'"):
        expand(None, methods={"rl": {}}, against="rk")
    assert expand(["ft"], methods={"rl": {}}, against="rl")[0].against == "rl", "not asked for now"


def test_a_setting_under_a_label_is_a_row_of_its_own() -> None:
    methods = {"amun": {}, "amun-salun": {"method": "amun", "keep": 0.5}}
    benchmark, plan = expand(["amun", "amun-salun"], methods=methods)
    assert count(plan, "amun") == count(plan, "amun-salun") == 2
    assert benchmark.methods["amun-salun"].settings["keep"] == 0.5


def test_the_last_of_three_retrains_is_held_out() -> None:
    seeds = {"originals": [1], "forget": [1], "runs": [1]}
    _, plan = expand(["ft"], seeds=seeds | {"retrains": 3})
    labels = [cell.label for cell in plan.cells]
    assert labels == ["original", "retrain", "retrain", "held-out retrain", "ft"]
    assert count(plan, "retrain") == 3
    _, plan = expand(["ft"], seeds=seeds | {"retrains": 2})
    assert "held-out retrain" not in {cell.label for cell in plan.cells}


def test_controls_are_rows_that_see_everything() -> None:
    _, plan = expand(["ft"], controls=True, access=["forget-only"])
    controls = ("do-nothing", "destroyed", "planted-leak")
    assert [count(plan, name) for name in controls] == [2, 2, 2]
    accesses = {n.spec.access for n in plan.nodes.values() if n.label in controls}
    assert accesses == {"full"}
    assert set(plan.skipped) == {("ft", "forget-only")}


def test_a_leak_is_planted_on_three_forget_sets() -> None:
    seeds = {"originals": [1, 2, 3, 4], "forget": [1, 2, 3, 4], "runs": [1, 2, 3, 4]}
    _, plan = expand(["ft"], controls=True, seeds=seeds)
    assert [count(plan, name) for name in ("do-nothing", "planted-leak")] == [4, 3]


def test_swapped_runs_need_one_more_original_and_no_more_retrains() -> None:
    _, plain = expand(["ft"])
    _, plan = expand(["ft"], swap=True)
    assert len(plan.nodes) - len(plain.nodes) == 2 + 2, "an original and a run a repetition"
    for cell, twin in plan.swapped.items():
        assert (cell.run == twin.run) == (cell.label == "retrain")
        assert cell.split != twin.split
    assert list(plan.nodes)[: len(plain.nodes)] == list(plain.nodes), "they come last"


def test_worlds_have_an_original_and_a_run_of_each_audited_row() -> None:
    _, plain = expand(["ft", "rl"])
    _, plan = expand(["ft", "rl"], ulira={"shadows": 4, "methods": ["rl"]})
    assert len(plan.nodes) - len(plain.nodes) == 4 * 3, "original, retrain and rl"
    assert {cell.label for cell in plan.shadows} == {"original", "retrain", "rl"}
    runs = {cell.run for cell in plan.shadows if cell.label == "rl"}
    assert len({plan.nodes[run].spec.original for run in runs}) == len(runs) == 4
    assert len({plan.nodes[run].spec.seed for run in runs}) == 4


def test_worlds_audit_such_samples_as_are_forgotten() -> None:
    forget = {"kind": "class", "fractions": [1.0], "target": 3}
    _, plan = expand(["rl"], ulira={"shadows": 4}, forget=forget)
    split = plan.nodes[plan.shadows[0].run].spec.split
    assert split is not None
    assert (split.kind, split.audited, split.target, split.requests) == ("shadow", "class", 3, 4)
    reread = Split.model_validate_json(split.model_dump_json())
    assert split_id(DataSpec(name="digits"), reread) == split_id(DataSpec(name="digits"), split)
    _, untargeted = expand(["rl"], ulira={"shadows": 4}, forget=forget | {"target": None})
    ids = [{cell.split for cell in made.shadows} for made in (plan, untargeted)]
    assert not ids[0] & ids[1], "no target is not class 0"
    assert ids[0] != {cell.split for cell in expand(["rl"], ulira={"shadows": 4})[1].shadows}


def test_a_method_cannot_have_a_controls_name(tmp_path: Path) -> None:
    path = tmp_path / "destroyed.py"
    path.write_text("class Own(Method): ...")
    with pytest.raises(UserError, match=r"'destroyed' is the name of a control"):
        registry.runnable(registry.find("methods", [path]).values())


def test_requests_in_a_row_chain_runs_and_keep_their_weights() -> None:
    seeds = {"originals": [1], "forget": [1], "runs": [1]}
    _, plan = expand(["amun"], forget={"fractions": [0.02], "requests": 3}, seeds=seeds)
    runs = [node for node in plan.nodes.values() if node.label == "amun"]
    assert [node.keep_weights for node in runs] == [True, True, False]
    assert runs[1].spec.start == runs[0].spec.id and runs[1].spec.original == runs[0].spec.original
    assert set(runs[2].needs) == {runs[1].spec.id, runs[0].spec.original, runs[2].spec.shared}
    assert [cell.request for cell in plan.cells if cell.label == "original"] == [1, 2, 3]


TRANSFERRED = {"amun-transferred": {"method": "amun", "source": "other"}}


def test_a_transferred_row_takes_the_next_original_there_is() -> None:
    _, plan = expand(["amun", "amun-transferred"], methods=TRANSFERRED)
    assert [count(plan, label) for label in ("original", "original (other)")] == [2, 0]
    specs = {n.spec.seed: n for n in plan.nodes.values() if n.label == "amun-transferred"}
    assert specs[1].spec.other == specs[2].spec.original == specs[1].needs[1]
    assert specs[2].spec.other == specs[1].spec.original
    assert {n.spec.other for n in plan.nodes.values() if n.label == "amun"} == {None}


def test_a_transferred_row_adds_an_original_where_there_is_one_only() -> None:
    seeds = {"originals": [7], "forget": [1], "runs": [1]}
    _, plan = expand(["amun-transferred"], methods=TRANSFERRED, seeds=seeds)
    (other,) = [node for node in plan.nodes.values() if node.label == "original (other)"]
    assert other.keep_weights and other.spec.seed == 8 and other.spec.kind == "original"
    assert sum(cell.label == "original" for cell in plan.cells) == 1, "it is in no table"


def test_a_transferred_row_has_another_original_in_every_world() -> None:
    ulira = {"shadows": 4, "methods": ["amun-transferred"]}
    _, plan = expand(["amun-transferred"], methods=TRANSFERRED, ulira=ulira, swap=True)
    assert count(plan, "original (other)") == 4 + 2, (
        "in each world, and with each forget set swapped"
    )
    for node in plan.nodes.values():
        if node.spec.other:
            original, other = (
                plan.nodes[str(i)].spec for i in (node.spec.original, node.spec.other)
            )
            assert original.split == other.split and original.seed != other.seed


def test_forget_only_skips_what_needs_the_retain_set_but_keeps_the_yardstick() -> None:
    _, plan = expand(["ft", "l1-sparse", "amun"], access=["forget-only"])
    assert set(plan.skipped) == {("ft", "forget-only"), ("l1-sparse", "forget-only")}
    accesses = {n.label: n.spec.access for n in plan.nodes.values() if n.spec.kind == "unlearn"}
    assert accesses == {"retrain": "full", "amun": "forget-only"}
    _, both = expand(["amun"], access=["full", "forget-only"])
    assert count(both, "amun") == 4 and count(both, "retrain") == 4, "retrains are shared"


def test_needs_come_before_what_waits_for_them() -> None:
    _, plan = expand(None)
    order = list(plan.nodes)
    for run, node in plan.nodes.items():
        assert all(order.index(need) < order.index(run) for need in node.needs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": {"epoch": 3}}, "Unknown key in benchmark try: 'epoch'. Did you mean 'epochs'?"),
        ({"titel": "x"}, "Unknown key in benchmark try: 'titel'. Did you mean 'title'?"),
        ({"forget": {"fractions": [1.5]}}, "forget: fraction 1.5 is outside (0, 1)."),
        (
            {"forget": {"kind": "most-memorised", "fractions": [0.25], "requests": 2}},
            "forget: 2 x 0.25 is drawn from twice as many samples, which is all of them: not"
            " most-memorised; take less than 0.5.",
        ),
        ({"references": {"count": 3}}, "references.count"),
        ({"model": "resnet88"}, "Unknown model 'resnet88'. Did you mean 'resnet18'?"),
        ({"data": {"name": "digit"}}, "Unknown dataset 'digit'. Did you mean 'digits'?"),
        ({"methods": {"ft": {"lrr": 1}}}, "hyperparameter of ft: 'lrr'. Did you mean 'lr'?"),
        ({"methods": {"ft": {"lr": -1}}}, "ft.lr = -1: Input should be greater than 0."),
        (
            {"methods": {"ft": {"optimizer": "adam", "momentum": 0.5}}},
            "ft.momentum = 0.5: it would have no effect, as only the optimizer sgd has it.",
        ),
        ({"gap_terms": ["ft_auk"]}, "Unknown metric 'ft_auk'. Did you mean 'ft_auc'?"),
        ({"attacks": ["rmja"]}, "Unknown attack 'rmja'. Did you mean 'rmia'?"),
        ({"headline": "rmja"}, "Unknown attack 'rmja'. Did you mean 'rmia'?"),
        ({"headline": "svc"}, "does not score all samples, so there is no FR AUC: set it"),
        ({"references": {"count": 0}}, "references.count to 2 or more, or headline to loss."),
        ({"limits": {"marginz": {}}}, "'marginz'. Did you mean 'margins'?"),
        (
            {"limits": {"margins": {"tpr-rmio": 2}, "because": "Known."}},
            "Unknown audit of limits.margins: 'tpr-rmio'. Did you mean 'tpr-rmia'?",
        ),
        ({"limits": {"margins": {"rmia": 5.0}}}, "limits: margins needs because beside it: a sen"),
        ({"ulira": {"shadows": 6}}, "ulira.shadows"),
        ({"ulira": {"shadows": 4, "methods": ["fd"]}}, "Unknown method 'fd'. Did you mean 'ft'?"),
        (
            {"swap": True, "forget": {"fractions": [0.1], "requests": 2}},
            "swap and ulira need forget.requests = 1",
        ),
        (
            {
                "ulira": {"shadows": 4},
                "forget": {"kind": "class", "fractions": [1.0], "requests": 2},
            },
            "swap and ulira need forget.requests = 1",
        ),
        (
            {"swap": True, "forget": {"kind": "class", "fractions": [1.0]}},
            'swap needs forget.kind = "random"',
        ),
        ({"seeds": {"originals": [1], "forget": [1, 2], "runs": [1]}}, "equally long"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        expand(["ft"], **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["ssd", "fisher", "influence"])
def test_settings_of_steps_are_refused_where_none_are_taken(name: str) -> None:
    problem = f"{name}.weight_decay = 0.1: it would have no effect, as this method takes no steps."
    with pytest.raises(UserError, match=problem):
        expand([name], methods={name: {"weight_decay": 0.1}})


def test_what_a_method_declares_itself_is_never_refused() -> None:
    of_its_own = {"ssd": {"batch_size": 128}, "boundary-expand": {"optimizer": "adam"}}
    benchmark, _ = expand([*of_its_own], methods=of_its_own)
    assert benchmark.methods["boundary-expand"].settings["momentum"] == 0.9
    expand([*of_its_own], methods={k: v.settings for k, v in benchmark.methods.items()})


def test_limits_say_what_they_hold_for_and_how_they_were_set() -> None:
    share = "33 % of the original's own gap under"
    assert reading.validate(raw()).limits.said == f"{share} each audit"
    declared = {"margins": {"loss": 4.0}, "because": "Set before any run."}
    said = reading.validate(raw(limits=declared)).limits.said
    assert said == f"4 points of Loss; {share} every other audit"
    of_before = reading.validate(raw(limits={"equivalence": 8.0})).limits
    assert of_before.margins == {"rmia": 8.0} and "0.1.0" in of_before.because


def test_set_changes_settings() -> None:
    changed = raw()
    reading.change(
        changed,
        ["salun.keep=0.3", "recipe.epochs=5", 'access=["full"]', "ga.batch_norm=eval"],
        METHODS,
    )
    assert changed["methods"] == {"salun": {"keep": 0.3}, "ga": {"batch_norm": "eval"}}
    assert changed["recipe"]["epochs"] == 5 and changed["access"] == ["full"]
    with pytest.raises(UserError, match="Did you mean 'salun'"):
        reading.change(raw(), ["salum.keep=0.3"], METHODS)
    with pytest.raises(UserError, match=r"Write it with its table or row: recipe.epochs=5"):
        reading.change(raw(), ["keep"], METHODS)
    for wrong in ('ft.x={"a": 1}', "access=['full'", "ft.x={a: 1}"):
        with pytest.raises(UserError, match=r"it is not TOML. Write a table as {a = 1, b = 'two'}"):
            reading.change(raw(), [wrong], METHODS)
    reading.change(changed, ["ft.x={a = 1}"], METHODS)
    assert changed["methods"]["ft"] == {"x": {"a": 1}}


def test_two_settings_of_one_method_are_two_rows() -> None:
    changed = raw()
    reading.change(changed, ["fast.method=ft", "fast.lr=0.3"], METHODS)
    benchmark, _ = resolve(reading.validate(changed), METHODS, ["ft", "fast"])
    rows = benchmark.methods
    assert (rows["fast"].method, rows["fast"].settings["lr"]) == ("ft", 0.3)
    assert rows["ft"].settings["lr"] != 0.3
    with pytest.raises(UserError, match=r"Unknown row or table: 'slow'"):
        reading.change(changed, ["slow.lr=0.3"], METHODS)


def test_repetitions_are_the_first_seeds_counted_on() -> None:
    changed = raw(seeds={"originals": [1, 10, 100], "forget": [1, 10], "runs": [1]})
    reading.repeat(changed, 3)
    assert changed["seeds"]["forget"] == [1, 10, 11] and changed["seeds"]["runs"] == [1, 2, 3]


def test_what_is_asked_of_one_folder_is_added_up() -> None:
    first, plan = expand(["ft"], access=["full"])
    more = {"seeds": seeds_to(3), "forget": {"fractions": [0.2]}, "references": {"count": 2}}
    second, asked = expand(["amun"], access=["forget-only"], controls=True, **more)
    merged, apart = added_up(second, [first])
    assert not apart and list(merged.methods) == ["retrain", "ft", "amun"]
    assert merged.access == ["full", "forget-only"] and merged.forget.fractions == [0.1, 0.2]
    assert merged.seeds.forget == [1, 2, 3] and merged.references.count == 4 and merged.controls
    whole = expansion.expand(merged, METHODS).plan
    assert whole.nodes.keys() >= plan.nodes.keys() | asked.nodes.keys(), "no run is lost"
    again, _ = added_up(first, [merged])
    assert expansion.expand(again, METHODS).plan.nodes.keys() == whole.nodes.keys()


def seeds_to(last: int) -> dict[str, Any]:
    return {key: list(range(1, last + 1)) for key in ("originals", "forget", "runs")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (seeds_to(2), seeds_to(5)),
        ({**seeds_to(2), "pairing": "product"}, {**seeds_to(3), "pairing": "product"}),
        ({**seeds_to(2), "pairing": "product"}, seeds_to(3)),
        (seeds_to(2), {"originals": [7, 7], "forget": [1, 8], "runs": [3, 3]}),
        ({**seeds_to(2), "retrains": 3}, {**seeds_to(1), "retrains": 1}),
    ],
)
def test_seeds_of_both_are_those_of_each_and_no_others(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    (first, _), (second, _) = expand(["ft"], seeds=one), expand(["ft"], seeds=other)
    merged, _ = added_up(second, [first])
    each = [set(expansion.repetitions(each.seeds)) for each in (first, second)]
    assert set(expansion.repetitions(merged.seeds)) == each[0] | each[1]
    assert merged.seeds.retrains == max(first.seeds.retrains, second.seeds.retrains)


def test_audits_and_shadow_worlds_of_both_are_made() -> None:
    relearning = {"relearning": {"sets": 1}}
    first, _ = expand(["ft"], model_audits=relearning, ulira={"shadows": 4, "methods": ["ft"]})
    second, _ = expand(["rl"], model_audits={"relearning": {"sets": 2}, "probe": {}})
    merged, apart = added_up(second, [first])
    assert not apart and list(merged.model_audits) == ["relearning", "probe"]
    assert merged.model_audits["relearning"].sets == 2 and merged.ulira == first.ulira
    third, _ = expand(["rl"], ulira={"shadows": 4, "methods": ["rl"]})
    assert added_up(third, [first])[0].ulira.methods == ["ft", "rl"]
    other, _ = expand(["rl"], model_audits={"relearning": {"epochs": 9}})
    assert differing(other, first) == {"model_audits.relearning.epochs": (9, 5)}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"recipe": {"epochs": 9}}, "recipe.epochs"),
        ({"model": "resnet8"}, "model"),
        ({"data": {"name": "digits", "train": 90, "test": 100}}, "data.train"),
        ({"forget": {"fractions": [0.1], "requests": 2}}, "forget.requests"),
        ({"references": {"count": 4, "seed": 5}}, "references.seed"),
        ({"ulira": {"shadows": 8}}, "ulira.shadows"),
    ],
)
def test_what_cannot_stand_in_one_table_is_kept_apart(changed: dict[str, Any], key: str) -> None:
    worlds = {"ulira": {"shadows": 4}} if "ulira" in changed else {}
    first, _ = expand(["ft", "rl"], **worlds)
    second, _ = expand(["amun"], **changed)
    merged, apart = added_up(second, [first])
    assert (merged, apart) == (second, [first]) and list(differing(second, first)) == [key]
    back, other = added_up(expand(["ft"], **worlds)[0], [merged, *apart])
    assert list(back.methods) == ["retrain", "ft", "rl"] and other == [second]


def test_a_row_of_other_settings_is_kept_apart_alone() -> None:
    first, _ = expand(["ft", "rl"])
    second, _ = expand(["ft"], methods={"ft": {"lr": 0.5}})
    merged, (apart,) = added_up(second, [first])
    assert list(merged.methods) == ["retrain", "ft", "rl"]
    assert merged.methods["ft"] == second.methods["ft"]
    assert apart.methods == {"ft": first.methods["ft"]}
    back, (other,) = added_up(expand(["ft"])[0], [merged, apart])
    assert back.methods == first.methods and other.methods == {"ft": second.methods["ft"]}


def test_settings_are_read_without_importing_the_method(tmp_path: Path) -> None:
    path = tmp_path / "heavy.py"
    path.write_text(
        "import no_such_module\nfrom unlearnbench import Method, param\n"
        "class Heavy(Method):\n    '''Heavy.'''\n    lr: float = param(0.5, help='rate')\n"
        "    def unlearn(self, model: no_such_module.X, task) -> None: ...\n"
    )
    plugin = registry.find("methods", [path])["heavy"]
    assert settings_class(plugin).model_fields["lr"].default == 0.5
    with pytest.raises(UserError, match=r"heavy.py does not import: ModuleNotFoundError"):
        registry.method_class(plugin)


def test_a_name_claimed_twice_names_both(tmp_path: Path) -> None:
    path = tmp_path / "amun.py"
    path.write_text("class Own(Method): ...")
    with pytest.raises(UserError, match=r"methods/amun.py and .*amun.py"):
        registry.find("methods", [path])


@pytest.mark.slow
def test_a_hundred_thousand_runs_are_planned_in_seconds() -> None:
    many = list(range(2500))
    seeds = {"originals": many, "forget": many, "runs": many, "retrains": 5}
    raw_ = raw(seeds=seeds, references={"count": 1000}, controls=True)
    methods = ["amun", "amun-adaptive", "ft", "ga", "l1-sparse", "rl", "salun"]
    benchmark, _ = resolve(reading.validate(raw_), METHODS, methods)
    times = []
    for _ in range(3):
        start = time.process_time()  # other tests run beside this one
        plan = expansion.expand(benchmark, METHODS).plan
        times.append(time.process_time() - start)
        assert len(plan.nodes) == 41_000 - 2_497, "of 2,500 planted leaks three are made"
    # 5 s on the machine that the limit was set on; shared ones take up to half as much again.
    assert min(times) * 100_000 / len(plan.nodes) < allowed(8)


def test_what_is_made_of_different_forget_sets_shares_no_draw(tmp_path: Path) -> None:
    """As retrains that begin with the same weights would: their scatter would seem too small."""
    asked = {"originals": [1], "forget": [1, 2], "runs": [1], "retrains": 2, "pairing": "product"}
    _, plan = expand(["ft"], seeds=asked)
    seeds = {}
    for cell in plan.cells:
        spec = plan.nodes[cell.run].spec
        if spec.kind == "unlearn":
            material = Material(spec, Workplace(tmp_path), torch.device("cpu"))
            assert material.indices is not None
            weights = dict[str, torch.Tensor](material.begun(1).state_dict())
            task = material.task(material.indices, {str(spec.original): weights}.__getitem__)
            seeds[cell.label, *cell.seeds[-2:]] = task.seed
    retrains = [seed for (label, *_), seed in seeds.items() if label == "retrain"]
    assert len(set(retrains)) == len(retrains) == 4
    # Of one forget set and one seed, a method and retraining draw alike.
    assert (
        seeds["ft", 1, 1] == seeds["retrain", 1, 1] != seeds["ft", 2, 1] == seeds["retrain", 2, 1]
    )
