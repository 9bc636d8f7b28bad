"""Folders side by side, ranks over benchmarks, and reports of a run that goes on."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from tests.conftest import Cli
from tests.hand import by_hand
from unlearnbench.api import reports
from unlearnbench.api.results import Results
from unlearnbench.errors import UserError
from unlearnbench.reporting.several import (
    Difference,
    cliques,
    comparison,
    critical_difference,
    overview,
    paired,
    rank_map,
)
from unlearnbench.storage import leases


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_difference_has_the_published_constants(k: int, q: float) -> None:
    """Demsar, JMLR 7, 2006, table 5(a); his example of four methods on 14 data sets has 1.25."""
    assert critical_difference(k, 1) == pytest.approx(q * np.sqrt(k * (k + 1) / 6), rel=4e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_bars_join_what_cannot_be_told_apart() -> None:
    means = pd.Series({"a": 1.0, "b": 1.8, "c": 2.6, "d": 5.0})
    assert cliques(means, 1.0) == [(1.0, 1.8), (1.8, 2.6)]
    assert cliques(means, 2.0) == [(1.0, 2.6)], "no bar within another"
    assert cliques(means, 0.5) == []


def test_ranks_over_benchmarks() -> None:
    one, other = by_hand(), by_hand()
    ranks = rank_map({"x": one, "y": other})
    assert list(ranks.columns) == ["my_method", "leaky", "streisand"]
    assert ranks.to_numpy().tolist() == [[1, 2, 3]] * 2, "who over-forgets comes last"
    _, said, sections = overview({"x": one, "y": other})
    assert "differ if they are 2.3 apart or more" in said[-1] and sections == [], "of 3 methods"
    title, said, sections = overview({"x": one, "y": other, "z": by_hand()})
    assert title == "3 benchmarks: x, y, z" and "3 settings are few" in said[2]
    assert [figure.name for figure in sections[0].figures] == ["rank-map", "critical-difference"]


def test_paired_difference_is_that_of_a_paired_t_test() -> None:
    draw = np.random.default_rng(0)
    seeds = {"label": "a", "original_seed": 1, "run_seed": 1, "forget_seed": range(6)}
    one = pd.DataFrame(seeds).assign(run="x", ft_auc=draw.normal(50, 3, 6))
    other = one.assign(run="y", ft_auc=one["ft_auc"] + draw.normal(1, 1, 6))
    found = paired(one, other, "ft_auc")
    assert found is not None
    test = ttest_rel(other["ft_auc"], one["ft_auc"]).confidence_interval()
    interval = (found.difference - found.half, found.difference + found.half)
    assert interval == pytest.approx((test.low, test.high))
    assert found.pairs == 6 and not found.same
    assert paired(one, other.assign(forget_seed=range(10, 16)), "ft_auc") is None
    assert paired(one, one, "ft_auc") == Difference(0.0, 0.0, 6, True)


def test_runs_on_one_forget_set_are_paired_once() -> None:
    """Seeds that draw one set, as of few classes do, have the first one's number."""
    one = pd.DataFrame({"forget_seed": [1, 1, 2, 2], "ft_auc": [50.0, 52.0, 60.0, 62.0]})
    one = one.assign(label="a", original_seed=np.nan, run_seed=1, run=list("abcd"))
    other = one.assign(ft_auc=one["ft_auc"] + [1, 3, 1, 3], run=list("efgh"))
    found = paired(one, other, "ft_auc")
    assert found is not None
    assert (found.pairs, found.difference, found.half) == (4, 2.0, 0.0)


def test_comparison_says_what_changed() -> None:
    one = by_hand()
    moved = one.runs.assign(test_accuracy=one.runs["test_accuracy"] + 1, run=one.runs["run"] + "x")
    details = {
        f"{r}x": d | {"environment": {"torch": "2.1", "cores": 2}} for r, d in one.details.items()
    }
    asked = one.benchmark.model_copy(update={"model": "resnet18"})
    other = replace(one, benchmark=asked, runs=moved, details=details)
    _, _, (changes, differences) = comparison({"old": one, "new": other})
    assert changes.tables[0].cells() == [
        ["model", "small-cnn", "resnet18"],
        ["environment: torch", "2.0", "2.1"],
    ]
    rows = {tuple(row[:2]): row[2:] for row in differences.tables[0].cells()}
    assert rows["my_method", "Test acc %"][2:] == ["+1.0 [+1.0, +1.0]", "4"]
    assert differences.figures[0].name == "differences-full-10-r1"
    _, _, (changes, differences) = comparison({"a": one, "b": by_hand()})
    assert "the same runs" in {row[4] for row in differences.tables[0].cells()}


@pytest.mark.slow
def test_report_compares_folders_by_path(inside: Cli, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results" / "tiny", tmp_path / "results" / "tiny")
    shutil.copytree(finished / "results" / "tiny", tmp_path / "old" / "tiny")
    done = inside("report", "--compare", "tiny", "old/tiny")
    assert done.code == 0, done.err
    text = (tmp_path / "reports" / "compare-results-tiny-old-tiny" / "report.md").read_text()
    assert "Nothing differs" in text and "the same runs" in text
    assert inside("report", "--compare", "tiny").code == 2
    again = inside("report", "--compare", "tiny", "results/tiny")
    assert again.code == 2 and "One folder was given twice" in again.err
    watched = inside("report", "--watch", "tiny")
    assert watched.code == 0 and "14 of 14 models: reports/tiny/index.html" in watched.out


def test_watching_goes_on_until_all_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = by_hand()
    states: Iterator[BaseException | int] = iter([UserError("nothing yet"), 2, 2, 0])
    written: list[tuple[int, int]] = []

    def load(folder: Path, **plugins: object) -> Results:
        state = next(states)
        if isinstance(state, BaseException):
            raise state
        return Results(replace(found, open=state, models=9), folder)

    def report(results: Results, folder: Path, refresh: int = 0) -> Path:
        written.append((results.findings.open, refresh))
        return folder / "index.html"

    monkeypatch.setattr(reports, "load", load)
    monkeypatch.setattr(Results, "report", report)
    monkeypatch.setattr(reports, "EVERY", 0)
    told: list[str] = []
    page = reports.watch("x", [], tmp_path, tmp_path, told.append)
    assert page == tmp_path / "x" / "index.html"
    assert written == [(2, 0), (0, 0)], "once a change, and at the end without a reload"
    assert told[0] == "Waiting: nothing yet" and told[1].startswith("7 of 9 models")

    states = iter([4, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        reports.watch("x", [], tmp_path, tmp_path, told.append)
    assert written[2:] == [(4, 0), (4, 0)], "who stops watching leaves a page that rests"

    monkeypatch.setattr(reports, "IDLE", 0.2)
    states = itertools.repeat(3)
    (tmp_path / "x" / "leases").mkdir(parents=True)
    (tmp_path / "x" / "leases" / ("0" * 12)).touch()
    monkeypatch.setattr(leases, "LEASE", 0.3)
    started = time.monotonic()
    reports.watch("x", [], tmp_path, tmp_path, told.append)
    assert 0.4 < time.monotonic() - started < 30, "a lease without an owner holds nobody for long"
    assert told[-1] == "No process is making the other 3: unlearnbench run x would."
    assert written[4:] == [(3, 0), (3, 0)]
