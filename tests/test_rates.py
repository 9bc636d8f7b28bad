"""How often intervals and words are wrong where eight audits look at rows whose truth is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from docs.builder import rates
from unlearnbench.audits.attacks import Attacked
from unlearnbench.audits.roc import Part, placements
from unlearnbench.verdicts.audit import Trials, Uncertain, overall
from unlearnbench.verdicts.inference import LEVEL, Joint
from unlearnbench.verdicts.pairs import against, compare_pairs
from unlearnbench.verdicts.verdict import judge_rows

ROOT = Path(__file__).parent.parent
LEFT = {"retrained": 0.0, "a third": 1 / 3, "half": 0.5, "all": 1.0}
UNLEAKED = "test-confidence"
"""The audit under which the original's gap is nought, so that there is no share of it."""


def slack(rounds: int) -> float:
    """Return what is added to a rate of just 5 % to exceed it once in a hundred times."""
    return float(2.4 * np.sqrt(LEVEL * (1 - LEVEL) / rounds))


@pytest.mark.parametrize("sets", [3, 5, 7])
@pytest.mark.parametrize(
    "models",
    [pytest.param(0.0, marks=pytest.mark.slow), 4.0, pytest.param(20.0, marks=pytest.mark.slow)],
)
def test_small_p_values_are_as_rare_as_they_say(sets: int, models: float) -> None:
    """Where models scatter more than samples do, few sets agree by chance; Holm asks for small p.

    models: their variance over that of the samples.
    """
    draw, rounds = np.random.default_rng(sets), 20_000
    runs = draw.normal(0, np.sqrt((1 + models) * sets), (rounds, sets))
    shared, p = draw.normal(0, 0.2, rounds), []
    for value, between in zip(runs.mean(1) + shared, runs.var(1, ddof=1) / sets, strict=True):
        of_forget, of_others, of_sets = (np.array([[one]]) for one in (1.0, 0.04, between))
        joint = Joint(np.array([value]), of_forget, of_others, of_sets, sets, sets)
        p.append(joint.along(1.0).p_zero)
    for level in (0.05, 0.001):
        rate = float(np.mean(np.array(p) < level))
        assert rate <= level + 3 * np.sqrt(level / rounds), level


@dataclass
class Seen:
    """Hold what came out of simulated benchmarks: words by row, p and shares by audit, rates."""

    rounds: int
    words: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    p: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    tpr: dict[str, list[Uncertain]] = field(default_factory=lambda: defaultdict(list))


def simulated(sets: int, scatter: float, rounds: int) -> Seen:
    draw, seen = np.random.default_rng(sets), Seen(rounds)
    for _ in range(rounds):
        trials = rates.benchmark(draw, rates.larger(sets), LEFT, scatter=scatter)
        rows = rates.judged(trials, [*LEFT])
        for label, found in rows.items():
            seen.words[label][overall(found, rates.RULE)] += 1
        for one in rows["held-out retrain"]:
            seen.p[one.audit].append(one.p)
        for label, left in LEFT.items():
            for one in rows[label]:
                if one.share and one.audit != UNLEAKED:
                    seen.held[one.audit].append(one.share.low <= left <= one.share.high)
        for label, rate in rates_at_one_percent(trials).items():
            seen.tpr[label].append(rate)
    return seen


def rates_at_one_percent(trials: dict[str, Trials]) -> dict[str, Uncertain]:
    attacked = {
        label: {
            seeds: Attacked(part, {0.01: trials["tpr-rmia"][label][seeds], 0.001: None}, np.nan)
            for seeds, part in trials["rmia"][label].items()
        }
        for label in ("original", "retrain")
    }
    found = {row.label: row.rates[0.01] for row in judge_rows(attacked, {})}
    return {label: rate for label, rate in found.items() if rate}


@pytest.mark.slow
@pytest.mark.parametrize(("sets", "scatter"), [(3, 0.4), (5, 0.1)])
def test_rates_where_models_scatter_and_tails_and_tenths_are_judged(
    sets: int, scatter: float
) -> None:
    rounds = 120
    seen = simulated(sets, scatter, rounds)
    limit = LEVEL + slack(rounds)
    for label in ("retrained", "held-out retrain"):
        assert seen.words[label]["different"] / rounds <= limit, label
    assert seen.words["a third"]["equivalent"] / rounds <= limit
    for label in ("half", "all", "original"):
        assert not seen.words[label]["equivalent"], label
    assert len(seen.p) == 8
    for audit, p in seen.p.items():
        assert np.mean(np.array(p) < LEVEL) <= limit, audit
    assert len(seen.held) == 7
    for audit, held in seen.held.items():
        assert np.mean(held) >= 1 - limit, audit
    for label, found in seen.tpr.items():
        truth = np.mean([rate.value for rate in found])
        covered = np.mean([rate.low <= truth <= rate.high for rate in found])
        assert covered >= 1 - limit, label


def test_published_rates_keep_the_promise() -> None:
    published, again = pd.read_csv(rates.PATH), "python -m docs.builder --rates"
    asked = [
        asdict(design) | {"row": kind, "benchmarks": rates.BENCHMARKS}
        for design in rates.designs()
        for kind in rates.ROWS
    ]
    made = published.rename(columns={"design": "name"})[[*asked[0]]].to_dict("records")
    assert made == asked, again
    assert published[[*rates.WORDS]].sum(axis=1).tolist() == pytest.approx([100] * len(published))
    retrained = published["row"] == "retrain again"
    assert published[retrained]["different"].max() <= 5
    assert published[~retrained]["equivalent"].max() <= 5


@pytest.mark.parametrize("name", [*rates.EFFECTS])
def test_as_much_leaks_in_the_simulation_as_in_what_is_published(name: str) -> None:
    published = pd.read_csv(ROOT / "results" / f"{name}@epyc-2" / "attacks.csv")
    of = (published["method"] == "original") & (published["attack"] == "rmia")
    simulated = pd.read_csv(rates.PATH).groupby("design")["leak"].first()
    assert simulated[name] == pytest.approx(published.loc[of, "gap"].item(), abs=1)


SHARES = {"a": -0.25, "b": -0.17, "c": 0.0, "d": 0.14, "e": 0.25, "f": 0.5}
"""Of a leak of about 21 points, on both sides of retrain, and two as far from it as each other."""


def on_both_sides(draw: np.random.Generator, sets: int, shares: Mapping[str, float]) -> Trials:
    """Draw one attack on rows of these shares; models share what makes samples easy."""
    m, n, trials = 60, 300, dict[str, dict[tuple[int, ...], Part]]()
    level = draw.normal(size=n)
    for s in range(sets):
        own = draw.normal(size=m)
        rows: list[tuple[str, tuple[int, ...], float]] = [
            ("retrain", (s, 0), 0.0),
            ("retrain", (s, 1), 0.0),
        ]
        rows += [(label, (s, s, s), share) for label, share in shares.items()]
        for label, seeds, share in rows:
            shift, noise = 0.8 * share + 0.05 * draw.normal(), 0.6 * draw.normal(size=m + n)
            placed = placements(own + noise[:m] + shift, level + noise[m:])
            part = Part(f"set {s}", np.arange(m) + m * s, np.arange(n), *placed)
            trials.setdefault(label, {})[seeds] = part
    return trials


@pytest.mark.slow
@pytest.mark.parametrize("sets", [3, 5, 10])
def test_nearer_is_falsely_said_as_rarely_as_promised(sets: int) -> None:
    """On either side of retrain, and as far on both: the family of all pairs together."""
    draw, rounds, wrong = np.random.default_rng(1), 120, 0
    for _ in range(rounds):
        pairs = compare_pairs(on_both_sides(draw, sets, SHARES), "retrain", list(SHARES))
        wrong += any(
            pair["p"] < LEVEL and abs(SHARES[pair["nearer"]]) >= abs(SHARES[pair["farther"]])
            for pair in pairs
        )
    assert wrong / rounds <= LEVEL + slack(rounds)


@pytest.mark.slow
def test_the_best_of_many_that_are_alike_is_rarely_said_to_be_nearer() -> None:
    """The best was chosen by the data: all pairs count, not those of the best alone."""
    draw, rounds, wrong = np.random.default_rng(2), 120, 0
    alike = {f"row {n}": 0.25 * (-1) ** n for n in range(16)}
    for _ in range(rounds):
        pairs = compare_pairs(on_both_sides(draw, 10, alike), "retrain", [*alike])
        farther = {pair["farther"] for pair in pairs}
        best = next(label for label in alike if label not in farther)
        wrong += any(row["p"] < LEVEL for row in against(pairs, best, named=False))
    assert wrong / rounds <= LEVEL + slack(rounds)
