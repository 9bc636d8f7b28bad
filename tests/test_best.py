"""Which row is best in a column, of all and of those that are shown."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from tests.hand import by_hand, made
from unlearnbench.reporting.tables.best import Contest, Mark, badness, by_runs


def marks_of(runs: pd.DataFrame, labels: list[str], key: str) -> dict[str, Mark]:
    far, p = by_runs(runs, labels, key)
    return Contest(key, far, p).marks()


def ranked(far: dict[str, float], p: float, *apart: str) -> Contest:
    """Return a contest in which pairs, as "ab", differ surely, and others have p."""
    pairs = {frozenset(pair): p for pair in combinations(far, 2)}
    return Contest("ft_auc", far, pairs | {frozenset(pair): 0.001 for pair in apart}, ranked=True)


def test_best_and_what_cannot_be_told_from_it() -> None:
    rows = []
    values = {
        "retrain": (0, 0, 0, 0),
        "a": (1, 1.2, 0.8, 1),
        "b": (1, 1, 1.4, 1),
        "c": (5, 6, 5, 6),
    }
    for label, gaps in values.items():
        for seed, gap in enumerate(gaps):
            rows.append({"label": label, "forget_seed": seed, "test_accuracy_gap": -gap})
    runs = pd.DataFrame(rows).assign(seconds=[1, 1, 1, 1] * 4)
    labels = ["a", "b", "c"]
    assert marks_of(runs, labels, "test_accuracy") == {"a": "best", "b": "tied"}
    assert marks_of(runs, labels, "seconds") == {}, "all the same"
    few = marks_of(runs[runs["forget_seed"] < 2], ["a", "c"], "test_accuracy")
    assert few == {}, "two forget sets decide nothing"
    assert marks_of(runs, ["a"], "test_accuracy") == {}


def test_rows_of_other_forget_sets_are_not_compared_against_their_means() -> None:
    """A is better on each set that both have; B failed on the four that are hard."""
    values = {"a": (1.0, 1.1, 0.9, 5.0, 5.2, 4.9, 5.1), "b": (2.0, 2.1, 1.95)}
    rows = [(label, *one) for label, gaps in values.items() for one in enumerate(gaps)]
    runs = pd.DataFrame(rows, columns=["label", "forget_seed", "avg_gap"])
    far, p = by_runs(runs, ["a", "b"], "avg_gap")
    assert far["b"] < far["a"] and p == {frozenset("ab"): 1.0}
    assert marks_of(runs, ["a", "b"], "avg_gap") == {}, "B was best, A surely worse"
    shared = runs[runs["forget_seed"] < 3]
    assert marks_of(shared, ["a", "b"], "avg_gap") == {"a": "best"}


def test_ranks_mark_what_no_other_is_surely_nearer_than() -> None:
    far = {"a": 2.0, "b": 1.5, "c": 9.0}
    assert ranked(far, 0.5, "ac", "bc").marks() == {"a": "tied", "b": "best"}
    assert ranked(far, 0.5).marks() == {}, "nothing is told apart"


def test_marks_are_of_what_is_shown() -> None:
    one = ranked({"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0}, 0.02, "ad", "bd", "cd")
    assert one.marks() == {"a": "best", "b": "tied", "c": "tied"}, "six pairs are too many for .02"
    assert one.marks(["a", "b"]) == {"a": "best"}, "one pair is not"
    assert one.marks(["b", "c", "d"]) == {"b": "best"} and one.marks(["a"]) == {}
    twin = Contest("x", {"a": 1.0, "b": 2.0}, {frozenset("ab"): 0.01}, same={"e": "a"})
    assert twin.marks() == {"a": "best", "e": "best"}
    barred = Contest("x", one.far, one.p, ranked=True, different=["a", "b"])
    assert barred.marks() == {"c": "best"}, "what is different from retrain is never marked"
    every = Contest("x", one.far, one.p, ranked=True, different=list(one.far))
    assert every.marks() == {}


def test_a_table_of_rows_that_all_are_there_is_marked() -> None:
    table = made("main", by_hand().conditions[0])
    assert table.contests and set(table.marks) == {
        (row, place)
        for place, contest in table.contests.items()
        for row, label in enumerate(table.labels)
        if label in contest.marks()
    }


def test_directions_are_those_of_metrics() -> None:
    runs = pd.DataFrame({"tow": [0.9], "privleak": [-3.0], "w1_test": [0.2], "swap_auc": [47.0]})
    far = {key: badness(runs, key) for key in map(str, runs)}
    assert {key: float(loss.iloc[0]) for key, loss in far.items() if loss is not None} == {
        "tow": -0.9,
        "privleak": 3.0,
        "w1_test": 0.2,
        "swap_auc": 3.0,
    }
    assert badness(runs, "ks_test") is None
