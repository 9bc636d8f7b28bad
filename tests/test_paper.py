"""Whether runs confirm papers' claims: frames made by hand, of which the answer is known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq

from tests.hand import benchmark, by_hand
from unlearnbench import papers as package
from unlearnbench.evaluation.findings import Findings
from unlearnbench.papers import (
    Claim,
    against_all,
    amun,
    at_most_detectable,
    beside_zero,
    detectable,
    spread_known,
)
from unlearnbench.planning import benchmark as benchmark_file
from unlearnbench.planning.reading import validate
from unlearnbench.registry import discover
from unlearnbench.reporting.tables.papers import claims_tables

SEEDS = (1, 2, 3, 4, 5)
NOISE = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
ABLATION = {"adv": "adv", "rs": "adv-rs", "rl": "adv-rl"}


def findings(
    values: dict[str, dict[str, float]],
    methods: dict[str, dict[str, Any]],
    *,
    seeds: tuple[int, ...] = SEEDS,
    access: str = "full",
    requests: int = 1,
) -> Findings:
    """Make runs whose metrics are the given means, and noise that is each label's own."""
    rows = []
    for place, (label, means) in enumerate(values.items()):
        for request in range(1, requests + 1):
            for number, seed in enumerate(seeds):
                noise = np.roll(NOISE, place)[number]
                rows.append(
                    {"label": label, "access": access, "fraction": 0.1, "request": request}
                    | {"forget_seed": seed, "run": f"{label}{seed}"}
                    | {name: mean + noise for name, mean in means.items()}
                )
    forget = benchmark().forget.model_copy(update={"requests": requests})
    raw = benchmark().model_dump(mode="json") | {"methods": methods, "forget": forget.model_dump()}
    return Findings(validate(raw), pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame())


def claims(made: Findings) -> list[Claim]:
    return list(amun.claims(made))


def gaps(amun: float, ft: float, rl: float) -> dict[str, dict[str, float]]:
    return {"retrain": {"avg_gap": 1.0}, "amun": {"avg_gap": amun}} | {
        "ft": {"avg_gap": ft},
        "rl": {"avg_gap": rl},
        "amun-adaptive": {"avg_gap": 0.1},
    }


METHODS = {name: {"method": name} for name in ("amun", "ft", "rl", "amun-adaptive")}


@pytest.mark.parametrize(
    ("amun", "ft", "rl", "rival", "verdict"),
    [
        (1.0, 3.0, 2.0, "rl", "confirmed"),
        (1.0, 3.0, 1.1, "rl", "inconclusive"),
        (2.0, 3.0, 1.0, "rl", "contradicted"),
    ],
)
def test_the_smallest_gap_is_that_against_the_nearest_rival(
    amun: float, ft: float, rl: float, rival: str, verdict: str
) -> None:
    (found,) = claims(findings(gaps(amun, ft, rl), METHODS))
    assert (found.rival, found.ending) == (rival, verdict), "amun-adaptive is no rival of amun"
    assert found.low < found.value < found.high and found.value == pytest.approx(amun - rl)
    assert found.claim == "AMUN has the smallest average gap with the retain set"


def test_the_rival_shown_is_where_the_interval_reaches_farthest() -> None:
    made = findings(gaps(1.0, 2.0, 1.9), METHODS)
    made.runs.loc[made.runs["label"] == "ft", "avg_gap"] += 9 * NOISE
    (found,) = claims(made)
    assert (found.rival, found.rivals, found.ending) == ("ft", 2, "inconclusive")


def test_rivals_are_the_papers_methods_whatever_is_said_of_them() -> None:
    """Not those that came later, nor AMUN's own variants; a flag does not save from a rival."""
    methods: dict[str, dict[str, Any]] = dict(METHODS)
    methods |= {"sfron": {"method": "sfron"}, "masked": {"method": "amun", "keep": 0.5}}
    values = gaps(1.0, 3.0, 0.5) | {name: {"avg_gap": 0.1} for name in ("sfron", "masked")}
    made = findings(values, methods)
    attacks = by_hand().attacks
    flags = {"my_method": "amun", "leaky": "ft", "streisand": "rl"}
    attacks = attacks[attacks["label"].isin(flags)]
    made.attacks = attacks.assign(label=attacks["label"].map(flags))
    found = [one for one in claims(made) if "smallest" in one.claim]
    assert [(one.rival, one.rivals, one.ending) for one in found] == [("rl", 2, "contradicted")]


def test_the_nearest_auc_is_by_distance_to_retrains() -> None:
    """One that is far below retrain's is as bad as one that is far above; only with D_R."""
    values = {k: {"ft_auc_gap": v} for k, v in {"amun": 1.0, "ft": -3.0, "rl": 4.0}.items()}
    (found,) = claims(findings(values, METHODS))
    assert not claims(findings(values, METHODS, access="forget-only"))
    assert (found.rival, found.ending) == ("ft", "confirmed") and "nearest" in found.claim
    assert found.value == pytest.approx(-2.0, abs=0.1)


def test_gaps_with_mis_are_of_the_four_columns() -> None:
    terms = ("forget_accuracy", "retain_accuracy", "test_accuracy", "mis")
    values = {
        label: {f"{term}_gap": sign * gap for term, sign in zip(terms, (1, -1, 1, -1), strict=True)}
        for label, gap in {"amun": 2.0, "ft": 6.0, "rl": 5.0}.items()
    }
    (found,) = [one for one in claims(findings(values, METHODS)) if "MIS" in one.claim]
    assert found.rival == "rl" and found.value == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.3, 0.7, "confirmed"),
        (0.1, 0.7, "contradicted"),
        (-0.5, 1.5, "inconclusive"),
        (0.5, 1.5, "contradicted"),
        (-9.0, -5.0, "confirmed"),
    ],
)
def test_no_more_is_found_than_in_retrain_within_a_point(
    low: float, high: float, verdict: str
) -> None:
    assert beside_zero(low, high, "lower", amun.POINT, 3) == verdict
    assert beside_zero(low, high, "lower", amun.POINT, 2) == "inconclusive"


def test_examples_of_another_model_or_a_weaker_search_are_worse() -> None:
    """Whatever rate was tuned for each; a row that differs in more is not compared."""
    plain = {"method": "amun", "lr": 0.1, "source": "self", "search": "paper"}
    methods = {
        "amun": plain,
        "transferred": plain | {"source": "other", "lr": 0.2},
        "one-step": plain | {"search": "one-step"},
        "both": plain | {"source": "other", "search": "one-step"},
        "closest": plain | {"search": "closest"},
    }
    values = {"amun": 2.0, "transferred": 4.0, "one-step": 1.0, "both": 9.0, "closest": 9.0}
    made = findings({k: {"avg_gap": v} for k, v in values.items()}, methods)
    assert [(one.measure.split()[3], one.ending) for one in claims(made)] == [
        ("transferred", "confirmed"),
        ("one-step", "contradicted"),
    ]


def test_the_paper_claims_nothing_of_classes() -> None:
    made = findings(gaps(1.0, 3.0, 2.0), METHODS)
    forget = {"kind": "class", "target": 1, "fractions": [1.0]}
    raw = made.benchmark.model_dump(mode="json") | {"forget": forget, "swap": False}
    assert claims(replace(made, benchmark=validate(raw))) == []


@pytest.mark.parametrize(("count", "within"), [(3, 0.06), (5, 0.02), (20, 0.001)])
def test_what_is_detectable_is_found_4_times_in_5(count: int, within: float) -> None:
    """The power of a t-test, by the noncentral t distribution."""
    values = np.arange(float(count))
    error = values.std(ddof=1) / np.sqrt(count)
    critical = stats.t.ppf(0.975, count - 1)
    exact = brentq(lambda d: stats.nct.sf(critical, count - 1, d) - 0.8, 0, 30) * error
    assert detectable(values) == pytest.approx(exact, rel=within)
    interval = stats.t.interval(0.95, count - 1, 0, error)
    assert exact < at_most_detectable(*interval) < 1.15 * exact
    assert detectable(values[:1]) == np.inf


def test_what_it_takes_is_of_all_rivals() -> None:
    """To confirm, each must be beaten at 5 %; to contradict, one that wins at 5 % / their number.

    The true spread of three values is known to be from half to six times theirs.
    """
    rivals = {"steady": np.array([0.9, 1.0, 1.1]), "varying": np.array([0.0, 1.0, 2.0])}
    found = against_all("c", "w", "m", rivals, "lower")
    assert found.to_confirm == detectable(rivals["varying"])
    assert found.to_contradict == detectable(rivals["steady"], 0.025)
    low, high = spread_known(3)
    inside = stats.chi2.cdf([2 / low**2, 2 / high**2], 2)
    assert inside == pytest.approx([0.975, 0.025]) and (low, high) == pytest.approx(
        (0.52, 6.29), 0.01
    )


def test_two_forget_sets_decide_nothing() -> None:
    (found,) = claims(findings(gaps(1.0, 9.0, 9.0), METHODS, seeds=(1, 2)))
    assert found.ending == "inconclusive"


@pytest.mark.parametrize(("rs", "verdict"), [(90.0, "confirmed"), (99.0, "contradicted")])
def test_only_adversarial_pairs_keep_test_accuracy(rs: float, verdict: str) -> None:
    """Rows are compared that differ in the pairs alone, in whatever order they stand."""
    methods = {
        label: {"method": "amun", "pairs": kind, "with_forget": False}
        for label, kind in ABLATION.items()
    }
    methods["adv-fast"] = methods["adv"] | {"lr": 9.0}
    values = {"adv": 95.0, "rs": rs, "rl": 80.0, "adv-fast": 10.0}
    made = findings({label: {"test_accuracy": mean} for label, mean in values.items()}, methods)
    (found,) = claims(made)
    assert (found.rival, found.ending) == ("rs", verdict) and "of adv minus" in found.measure
    assert found.value == pytest.approx(95.0 - rs) and "without the forget set" in found.where


@pytest.mark.parametrize(
    ("access", "masked", "verdict"),
    [
        ("forget-only", 1.0, "confirmed"),
        ("forget-only", 2.0, "inconclusive"),
        ("forget-only", 3.0, "contradicted"),
        ("full", 2.0, "confirmed"),
        ("full", 0.5, "contradicted"),
    ],
)
def test_the_mask_helps_only_without_the_retain_set(
    access: str, masked: float, verdict: str
) -> None:
    methods = {
        "amun": {"method": "amun", "keep": 1.0, "lr": 0.1},
        "amun-salun": {"method": "amun", "keep": 0.5, "lr": 0.2},
        "other": {"method": "amun", "keep": 0.5, "lr": 0.1, "epochs": 5},
    }
    values = {"retrain": 1.0, "amun": 2.0, "amun-salun": masked, "other": 9.0}
    made = findings({k: {"avg_gap": v} for k, v in values.items()}, methods, access=access)
    found = [one for one in claims(made) if "mask" in one.claim]
    assert [one.ending for one in found] == [verdict], "a row that differs in more is not compared"


def test_rows_that_have_not_run_yet_are_claimed_nothing_of() -> None:
    methods = {"amun": {"method": "amun", "keep": 1.0}, "masked": {"method": "amun", "keep": 0.5}}
    methods |= {name: {"method": "amun", "pairs": kind} for name, kind in ABLATION.items()}
    methods["ft"] = {"method": "ft"}
    values = {"retrain": 1.0, "amun": 2.0, "ft": 2.0}
    started = findings({label: {"avg_gap": gap} for label, gap in values.items()}, methods)
    elsewhere = findings({"masked": {"avg_gap": 1.0}}, methods, seeds=(6, 7, 8))
    started.runs = pd.concat([started.runs, elsewhere.runs])
    found = claims(started)
    assert [(one.claim[:8], one.rival) for one in found] == [("AMUN has", "ft")]
    (table,) = claims_tables({"one": started})
    assert "nan" not in table.to_markdown()


@pytest.mark.parametrize(("adaptive", "verdict"), [(56.0, "confirmed"), (44.0, "contradicted")])
def test_adaptive_over_requests(adaptive: float, verdict: str) -> None:
    values = {
        name: {"fr_auc": fr, "ft_auc": 50.0}
        for name, fr in (("amun-adaptive", adaptive), ("amun", 50.0), ("ft", 40.0), ("npo", 70.0))
    }
    (found,) = claims(findings(values, METHODS, requests=3))
    assert found.ending == verdict and found.rival == "amun"
    assert found.rivals == 2, "the paper does not compare with NPO"


PAPER = '''
"""A paper of one claim."""

from collections.abc import Iterator

from unlearnbench.evaluation.findings import Findings
from unlearnbench.papers import Claim

TITLE = "What another paper claims"
NOTE = "Nothing more."


def claims(findings: Findings) -> Iterator[Claim]:
    """Claim something in vain."""
    yield Claim("It holds", "10 %", "gap", "ft", -1.234, -2.0, -0.5, 0.94, 2.0, "confirmed")
'''


def test_a_paper_is_one_file_and_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And claims are a table of each paper, over all benchmarks."""
    (tmp_path / "other.py").write_text(PAPER)
    numbers = (benchmark_file.PAPERS / "amun.csv").read_text().splitlines()[1:3]
    (tmp_path / "other.csv").write_text("\n".join(["# Other (2026)", *numbers]))
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(benchmark_file, "PAPERS", tmp_path)
    found = findings(gaps(1.0, 3.0, 2.0), METHODS)
    of_amun, table = claims_tables({"a": found, "b": found})
    assert (of_amun.title, table.title) == (amun.TITLE, "What another paper claims")
    assert [row[1] for row in table.cells()] == ["a: 10 %", "b: 10 %"]
    assert table.cells()[0][-3:] == ["-1.2 [-2.0, -0.5]", "0.9 / 2.0", "confirmed"]
    assert table.frame["value"].tolist() == [-1.234, -1.234]
    assert table.name == "claims-other" and table.caption.endswith("Nothing more.")
    rows = benchmark_file.looked_up(["other: Table 1"])
    assert isinstance(rows, list)
    (row,) = rows
    assert row.source == "Other (2026), Table 1" and row.method == "retrain"
    sys.modules.pop("unlearnbench.papers.other")


def test_a_benchmark_of_which_nothing_is_claimed_has_no_table() -> None:
    assert list(discover(package.__name__)) == ["amun"]
    assert claims_tables({"a": findings({"ft": {"avg_gap": 1.0}}, {})}) == []


def test_conditions_that_are_left_out_are_those_that_claims_are_about() -> None:
    tested, other = findings(gaps(1.0, 3.0, 2.0), METHODS), by_hand()
    void = by_hand({"my_method": "amun", "leaky": "ft"})
    for one in (other, void):
        one.attacks.loc[one.attacks["label"] == "original", "power"] = False
    (table,) = claims_tables({"tested": tested, "other": other})
    assert "Left out" not in table.caption, "it has no row of the paper"
    (table,) = claims_tables({"tested": tested, "other": other, "void": void})
    assert table.caption.endswith(
        "Left out, since controls failed: void, 10 % forgotten, full access (original)."
    )
