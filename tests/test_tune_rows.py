"""Which rows are tuned: each for itself, unless two would be searched alike."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.test_tune import SMALL
from unlearnbench import registry
from unlearnbench.errors import UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.tuning import outcome
from unlearnbench.tuning.candidates import Candidate, Trial, candidates
from unlearnbench.tuning.ranges import unsearched
from unlearnbench.tuning.trials import GAP, Tuned

MASKED = (
    SMALL
    + """
[methods.amun]
lr = 0.018
[methods.amun-closest]
method = "amun"
search = "closest"
lr = 0.018
[methods.amun-salun]
method = "amun"
keep = 0.5
lr = 0.018
"""
)


def listed(wanted: list[str], **kept: dict[str, float]) -> list[Candidate]:
    """List what is tuned of the masked benchmark. kept: rows' settings given by --set."""
    plugins = registry.find("methods")
    raw = {"name": "masked"} | tomllib.loads(MASKED)
    rows = Benchmark.model_validate(raw).methods
    left = unsearched(rows, plugins)
    left |= {label: left.get(label, {}) | own for label, own in kept.items()}
    return candidates(Benchmark.model_validate(raw | {"methods": left}), rows, plugins, wanted)[0]


def test_every_row_is_tuned_for_itself_and_a_masked_one_with_its_mask() -> None:
    amun, closest, masked = listed(["amun", "amun-closest", "amun-salun"])
    assert list(amun.ranges) == ["lr", "decay_every"], "without a mask there is none to search"
    assert (closest.name, closest.method) == ("amun-closest", "amun")
    assert closest.fixed == {"search": "closest"} and closest.ranges == amun.ranges
    assert list(masked.ranges) == ["lr", "decay_every", "keep"] and masked.method == "amun"
    assert masked.defaults["keep"] == 0.5 and masked.defaults["lr"] == 0.01
    assert masked.name == "amun-salun" and not masked.followers and not masked.fixed
    (salun,) = listed(["salun"])
    assert list(salun.ranges) == ["lr", "keep"]


def test_where_the_search_would_be_the_same_there_is_one() -> None:
    (amun,) = listed(["amun-adaptive"])
    assert amun.name == "amun" and amun.followers == {"amun-adaptive": {}}
    adaptive, amun = listed(["amun-adaptive", "amun"], amun={"epochs": 5})
    assert adaptive.name == "amun-adaptive" and not adaptive.fixed and not adaptive.followers
    assert amun.fixed == {"epochs": 5} and not amun.followers


def test_a_mask_under_set_stays_and_is_not_searched() -> None:
    (masked,) = listed(["amun-salun"], **{"amun-salun": {"keep": 0.3}})
    assert masked.name == "amun-salun" and masked.fixed == {"keep": 0.3}
    assert list(masked.ranges) == ["lr", "decay_every"]


def ranged(*changes: str) -> list[Candidate]:
    """List what is tuned of AMUN's rows, with search ranges given by --set."""
    plugins, raw = registry.find("methods"), {"name": "masked"} | tomllib.loads(MASKED)
    rows = Benchmark.model_validate(raw).methods
    raw |= {"methods": unsearched(rows, plugins)}
    reading.change(raw, changes, plugins)
    wanted = ["amun", "amun-adaptive", "amun-salun"]
    return candidates(reading.validate(raw), rows, plugins, wanted)[0]


def test_a_file_says_where_its_rows_are_searched() -> None:
    """Where the class's default is not, the search begins with the value of the file."""
    amun, masked = ranged("tuning.ranges.amun.lr=[0.012,0.12]")
    for one in (amun, masked):  # a row without ranges of its own has those of its method's row
        assert (one.ranges["lr"].low, one.ranges["lr"].high) == (0.012, 0.12)
        assert one.defaults["lr"] == 0.018 and one.ranges["decay_every"].high == 10
    assert [*amun.followers] == ["amun-adaptive"], "it is searched as amun is"
    assert masked.ranges["keep"].low == 0.1, "its method's default, no mask, is outside as before"
    amun, masked = ranged("tuning.ranges.amun-salun.keep=[0.3,0.7]")
    assert amun.ranges["lr"].low == 1e-3 and masked.defaults == {
        "lr": 0.01,
        "decay_every": 1,
        "keep": 0.5,
    }
    assert (masked.ranges["keep"].low, masked.ranges["keep"].high) == (0.3, 0.7)
    given = {"tuning": {"ranges": {"amun": {"lr": [0.01, 3.0]}}}}
    benchmark = reading.validate({"name": "masked"} | tomllib.loads(MASKED) | given)
    tuned = Tuned("tune", 1, [1001], benchmark, [amun], GAP)
    written = tomllib.loads(outcome.chosen_toml(tuned, Path("trials.csv")))
    assert written["tuning"]["ranges"] == {"amun": {"lr": [0.01, 3.0]}}, "to paste and tune again"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("amum.lr=[0.1,1]", "Unknown row of .tuning.ranges.: 'amum'"),
        ("amun.epochs=[1,9]", "Unknown setting with a search range: 'epochs'"),
        ("amun.lr=[1,0.1]", r"\[tuning.ranges.amun\] has lr = \[1, 0.1\]"),
        ("amun.lr=[0,0.1]", "amun.lr = 0: "),
        ("amun.decay_every=[1.5,9]", "amun.decay_every = 1.5: "),
        ("amun.lr=0.1", "tuning.ranges.amun.lr"),
    ],
)
def test_a_range_that_cannot_be_searched_is_named(change: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ranged(f"tuning.ranges.{change}")


def test_asking_for_a_row_of_an_unknown_method_names_it() -> None:
    with pytest.raises(UserError, match="Unknown method 'amum'"):
        listed(["amum"])


def test_what_is_chosen_for_a_masked_row_names_its_method() -> None:
    benchmark = reading.validate({"name": "masked"} | tomllib.loads(MASKED))
    (masked,) = listed(["amun-salun"])
    settings = {"lr": 0.02, "decay_every": 3, "keep": 0.4}
    masked.trials.append(Trial(masked.name, 0, settings, {1001: 2.0}))
    tuned = Tuned("tune", 1, [1001], benchmark, [masked], GAP)
    written = tomllib.loads(outcome.chosen_toml(tuned, Path("trials.csv")))
    assert written["methods"] == {"amun-salun": {"method": "amun"} | settings}
    assert masked.trials[0].label == "amun-salun.00"


def test_by_default_those_are_tuned_that_the_benchmark_runs() -> None:
    raw = {"name": "few"} | tomllib.loads(SMALL) | {"others": False, "on_request": ["rl"]}
    raw["methods"] = {"ft": {}, "rl": {}, "ga": {}}
    benchmark, plugins = Benchmark.model_validate(raw), registry.find("methods")

    def tuned(wanted: list[str] | None) -> list[str]:
        found, _ = candidates(benchmark, benchmark.methods, plugins, wanted)
        return [one.name for one in found]

    assert tuned(None) == ["ft", "ga"] and tuned(["rl"]) == ["rl"]
    assert {"ft", "rl", "ga", "ssd"} <= {*tuned(["all"])}


def test_a_row_under_the_name_of_another_method_keeps_its_own() -> None:
    rows = Benchmark.model_validate(
        {"name": "swapped"} | tomllib.loads(SMALL) | {"methods": {"ft": {"method": "rl"}, "rl": {}}}
    )
    (rl,), _ = candidates(rows, rows.methods, registry.find("methods"), ["ft"])
    assert rl.name == "rl" and rl.followers == {"ft": {"method": "rl"}}
