"""Benchmark files on top of others, and the numbers of papers that they refer to."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hand import GROUP, by_hand
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark, Published, looked_up
from unlearnbench.registry import shipped
from unlearnbench.reporting.tables import TABLES

BASE = """
title = "Base"
model = "small-cnn"
[data]
name = "digits"
train = 100
[forget]
fractions = [0.1]
[seeds]
originals = [1]
forget = [1]
runs = [1]
[methods.ft]
lr = 0.1
[methods.rl]
lr = 0.2
"""


def written(folder: Path, **texts: str) -> Path:
    """Write files and return the last."""
    for name, text in texts.items():
        path = folder / f"{name}.toml"
        path.write_text(text)
    return path


def test_a_file_says_only_what_differs_from_those_it_is_based_on(tmp_path: Path) -> None:
    half = "name = 'other'\nbased_on = 'base.toml'\n[forget]\nfractions = [0.5]\nrequests = 1\n"
    short = "[recipe]\nepochs = 3\n[data]\ntrain = 50\n"
    own = "title = 'Own'\nbased_on = ['half.toml', 'short.toml']\n[methods.ga]\nlr = 0.3\n"
    path = written(tmp_path, base=BASE, half=half, short=short, own=own)
    benchmark = reading.validate(reading.read(path))
    assert (benchmark.name, benchmark.title, benchmark.model) == ("own", "Own", "small-cnn")
    assert benchmark.forget.fractions == [0.5] and benchmark.recipe.epochs == 3
    assert benchmark.data.train == 50 and benchmark.data.name == "digits", "key by key"
    rows = {label: row.settings for label, row in benchmark.methods.items()}
    assert rows == {"ga": {"lr": 0.3}}, "rows stand whole"
    assert list(reading.validate(reading.read(tmp_path / "half.toml")).methods) == ["ft", "rl"]


def test_a_benchmark_that_ships_may_be_built_on(tmp_path: Path) -> None:
    path = written(tmp_path, own="title = 'Own'\nbased_on = 'digits'\n[data]\ntrain = 90\n")
    benchmark = reading.validate(reading.read(path))
    assert benchmark.name == "own" and benchmark.data.train == 90
    assert benchmark.methods == reading.validate(reading.read(reading.locate("digits"))).methods


def test_a_file_that_several_are_based_on_is_read_once_and_below_them(tmp_path: Path) -> None:
    """So the time it takes does not double with each level."""
    for level in range(12):
        based = [f"{level + 1}.toml", f"./{level + 1}.toml", f"../{tmp_path.name}/{level + 1}.toml"]
        written(tmp_path, **{str(level): f"based_on = {based}\nseeds.runs = [{level}]"})
    written(tmp_path, **{"12": "title = 'Lowest'"})
    chain = reading.chain(tmp_path / "0.toml")
    assert [path.stem for path in chain] == [str(level) for level in range(13)]
    upper = "based_on = 'low.toml'\n[recipe]\nepochs = 2\n"
    low = "[recipe]\nepochs = 1\nlr = 0.5\n"
    own = "based_on = ['upper.toml', 'beside.toml']"
    path = written(tmp_path, low=low, upper=upper, beside="based_on = 'low.toml'", own=own)
    assert reading.read(path)["recipe"] == {"epochs": 2, "lr": 0.5}


def test_too_many_levels_and_circles_of_several_files_are_named(tmp_path: Path) -> None:
    deep = {str(level): f"based_on = '{level + 1}.toml'" for level in range(17)}
    written(tmp_path, **deep, **{"17": ""})
    assert len(reading.chain(tmp_path / "1.toml")) == 17
    with pytest.raises(UserError, match="is based on files of more than 16 levels"):
        reading.chain(tmp_path / "0.toml")
    written(tmp_path, **{"2": f"based_on = '../{tmp_path.name}/1.toml'"})
    with pytest.raises(UserError, match=r"1\.toml is based on itself"):
        reading.chain(tmp_path / "1.toml")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("based_on = 'digitz'", "benchmark for own.toml to be based on 'digitz'. Did you mean"),
        ("based_on = 'own.toml'", "own.toml is based on itself"),
        ("based_on = 'digits'\npublished = ['amum: Table 1']", "Unknown paper 'amum'. Did you"),
        ("based_on = 'digits'\npublished = ['amun: Table 91']", "of amun 'Table 91'. Did you"),
        ("based_on = 'digits'\npublished = ['amun']", "Unknown table of amun ''."),
        ("based_on = 'digits'\npublished = 3", "published"),
        (f"{'a.' * 17}a = 1", "own.toml has a key of too many parts"),
        ("#" * 2**20 + "\n", "own.toml is larger than 1 MB"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, own: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        reading.validate(reading.read(written(tmp_path, own=own)))
    assert message in str(caught.value)


def test_a_reference_stands_for_the_rows_of_a_table() -> None:
    rows = looked_up(["amun: Table 7"])
    assert isinstance(rows, list) and len(rows) == 4
    first = rows[0]
    assert isinstance(first, Published)
    assert (first.source, first.on) == ("AMUN (arXiv 2503.00917), Table 7", "cifar10, resnet18")
    assert (first.method, first.access, first.fraction) == ("retrain", "full", 0.1)
    assert first.values["retain_accuracy"] == [94.22, 0.21]


def shipped_files() -> dict[str, Benchmark]:
    known = reading.shipped_benchmarks()
    return {name: reading.validate(reading.read(path)) for name, path in known.items()}


def test_published_numbers_say_which_data_and_net_they_are_of() -> None:
    """Every table of the paper stands beside these in some benchmark file."""
    lines = (shipped("papers") / "amun.csv").read_text().splitlines()[1:]
    of = {(row["where"], row["dataset"], row["model"]) for row in csv.DictReader(lines)}
    asked = [
        (entry.source.rpartition(", ")[2], entry.on, f"{one.data.name}, {one.model}")
        for one in shipped_files().values()
        for entry in one.published
    ]
    assert {(where, *on.split(", ")) for where, on, _ in asked} == of
    assert {(where, *own.split(", ")) for where, on, own in asked if on == own} == of


def beside(rows: list[dict[str, Any]]) -> tuple[str, dict[str, list[str]], list[str]]:
    made = by_hand()
    published = [Published(source="P, Table 1", fraction=0.1, **row) for row in rows]
    asked = made.benchmark.model_copy(update={"published": published})
    table = TABLES["published"](Condition(replace(made, benchmark=asked), *GROUP))
    assert table is not None
    return table.caption, {row[0]: row[1:] for row in table.cells()}, table.headings


def test_published_gaps_are_worked_out_from_published_columns() -> None:
    terms = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc")
    retrain = {name: [value] for name, value in zip(terms, (92.09, 100, 91.85, 50.01), strict=True)}
    amun = {name: [value] for name, value in zip(terms, (93.5, 99.71, 92.39, 49.99), strict=True)}
    caption, rows, columns = beside(
        [
            {"method": "retrain", "values": retrain, "on": "cifar10, resnet18"},
            {"method": "my_method", "values": amun | {"avg_gap": [0.33, 0.03]}},
            {"method": "leaky", "values": {"ft_auc": [48.7, 0.5], "avg_gap": [1.57, 0.12]}},
        ]
    )
    column = columns.index("Avg gap ↓ (published)") - 1
    assert [rows[label][column] for label in ("retrain", "my_method", "leaky")] == [
        *("–", "0.57", "1.57 (printed)"),
    ]
    assert "recomputed from the published columns" in caption
    assert "Published: P, Table 1 (cifar10, resnet18); P, Table 1." in caption


def test_where_tables_differ_the_first_named_counts() -> None:
    _, rows, columns = beside(
        [
            {"method": "leaky", "values": {"forget_accuracy": [95.54]}},
            {"method": "leaky", "values": {"forget_accuracy": [99.22], "mis": [10.94]}},
        ]
    )
    shown = dict(zip(columns[1:], rows["leaky"], strict=True))
    assert shown["Forget acc % (published)"] == "95.54" and shown["MIS % (published)"] == "10.94"
