"""A deletion request: samples named by number or by file, found, forgotten, and written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unlearnbench as ub
from tests.conftest import Cli
from unlearnbench.api.request import Request, prepare
from unlearnbench.api.samples import look_over
from unlearnbench.data.lists import list_digest, positions, read_list, repeats_said
from unlearnbench.data.prepare import Data, DataSpec, Pool, Source, draw_samples
from unlearnbench.errors import DataError, UserError
from unlearnbench.planning import reading


class Named(Source):
    """Twelve training and four test images, each a file; two folders have a 1.png."""

    def load(self) -> Pool:
        images = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones(
            (1, 1, 4, 4), np.uint8
        )
        labels = np.arange(16) % 2
        names = [f"train/{'ab'[i % 2]}/{i // 2}.png" for i in range(12)]
        names += [f"test/{'ab'[i % 2]}/{i}.png" for i in range(4)]
        train, test = (images[:12], labels[:12]), (images[12:], labels[12:])
        return Pool(train, test, (names[:12], names[12:]))


def named(**settings: int) -> Data:
    return draw_samples(Named(Path()), DataSpec(name="named", **settings))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# asked for by mail\n7\n\n3\n7\n"),
        ("list.csv", "id,why\n7,moved\n3,left\n7,again\n"),
        ("bare.csv", "7\n3\n"),
        ("bom.csv", "\ufeffID\n7\n3\n"),
        ("semicolons.csv", "why;id\n1,5 days;7\nleft;3\n"),
        ("tabs.csv", 'why\t"id"\nmoved\t7\nleft\t3\n'),
        ("list", "7\n3\n"),
    ],
)
def test_a_list_is_read_however_it_is_written(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert tuple(dict.fromkeys(read_list(tmp_path / name))) == ("7", "3")


def test_an_array_of_numbers_or_of_names_is_a_list(tmp_path: Path) -> None:
    np.save(tmp_path / "numbers.npy", np.array([7, 3]))
    np.save(tmp_path / "names.npy", np.array(["a/1.png", "b/0.png"]))
    assert read_list(tmp_path / "numbers.npy") == ("7", "3")
    assert read_list(tmp_path / "names.npy") == ("a/1.png", "b/0.png")
    assert list_digest(["7", "3"]) == list_digest(["3", "7", "3"]) != list_digest(["3"])


@pytest.mark.parametrize("given", [[7, 3], np.array([7, 3]), range(3, 8, 4), {7, 3}, ["7", "3"]])
def test_a_list_may_be_given_by_its_entries(tmp_path: Path, given: Any) -> None:
    (tmp_path / "list.txt").write_text("7\n3\n")
    digits = ub.benchmark("digits")
    asked = [digits.forgetting(one) for one in (tmp_path / "list.txt", given)]
    of_file, of_entries = (Request(one, Path("data"), tmp_path, ["ft"]) for one in asked)
    planned = prepare(of_entries)
    assert planned.plan.nodes.keys() == prepare(of_file).plan.nodes.keys()
    assert of_entries.asked.lists.keys() == of_file.asked.lists.keys()
    assert planned.benchmark.forget.said(1.0) == "Samples in the given list forgotten"
    later = asked[1].set("recipe.epochs", 1).repeated(2)
    assert later.benchmark.forget.kind == "list" and "list = [" in repr(later)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "'int' object is not iterable"),
        ([0.5], r"it holds float64 \[1\], not whole numbers or names"),
        (np.array([True, False]), r"it holds bool \[2\]"),
        ([], "The given list names no sample"),
    ],
)
def test_entries_that_are_none_are_told(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ub.benchmark("digits").forgetting(given)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "There is no list"),
        ("empty.txt", b"# nothing\n", "names no sample"),
        ("wide.csv", b"x,y\n1,2\n", "none of its columns is called id"),
        ("bytes.txt", b"\xff\xfe\x00", "Cannot read the list"),
        ("torn.npy", b"\x93NUMPY", "Cannot read the list"),
        (
            "list.json",
            b"[7]",
            r"has a format that is not supported\. A list is \.txt .* \.csv .* \.npy",
        ),
    ],
)
def test_a_list_that_cannot_be_read_is_told(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_list(tmp_path / name)


def test_an_array_of_pickles_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(UserError, match="Cannot read the list"):
        read_list(tmp_path / "evil.npy")


def test_samples_are_found_by_number_and_by_any_name_that_is_theirs_alone() -> None:
    data = named()
    assert positions(["5", "0"], data).tolist() == [0, 5]
    for name in ("train/b/2.png", "b/2.png", "./train/b/2.png", "train\\b\\2.png"):
        assert positions([name], data).tolist() == [5], name
    several = r"1 of 2 samples cannot be used: 2\.png names 2 files: write a/2\.png"
    with pytest.raises(DataError, match=several):
        positions(["2.png", "a/1.png"], data)  # of both classes there is a 2.png


def test_numbers_are_those_of_the_data_set_whichever_samples_are_drawn() -> None:
    data = named(train=6)
    number = int(data.ids[2])
    assert positions([str(number)], data).tolist() == [2]
    left_out = next(i for i in range(12) if i not in data.ids[:6])
    with pytest.raises(DataError, match=f"{left_out} is not among the 6 training samples drawn"):
        positions([str(left_out)], data)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("2.png", "names 2 files: write a/2.png, or the one that is meant"),
        ("test/a/0.png", "is a test sample"),
        ("test:0", "is a test sample"),
        ("x.png", "is not a file of the training set"),
        ("-1", "is not a sample number: training samples are 0 to 11"),
        ("12", "is not a sample number: training samples are 0 to 11"),
    ],
)
def test_why_a_sample_cannot_be_forgotten_is_said(entry: str, why: str) -> None:
    with pytest.raises(DataError) as told:
        positions([entry], named())
    assert str(told.value) == f"A listed sample cannot be used: {entry} {why}."


def test_of_many_that_are_lost_a_few_are_named() -> None:
    with pytest.raises(
        DataError, match=r"^8 of 9 samples cannot be used: x0\.png .*; and 3 more\.$"
    ):
        positions(["a/0.png", *(f"x{number}.png" for number in range(8))], named())


def test_repeats_are_dropped_and_said() -> None:
    entries = ["a/0.png", "a/1.png", "train/a/0.png", "a/1.png"]
    found = positions(entries, named())
    assert found.tolist() == [0, 2]
    said = "removed.csv names samples more than once: 2 repeats dropped."
    assert repeats_said("removed.csv", entries, found) == said
    assert not repeats_said("removed.csv", entries[:2], found)


@pytest.mark.slow
def test_a_benchmark_with_a_list_forgets_just_that(tmp_path: Path, cli: Cli) -> None:
    setup = ub.benchmark("digits").benchmark
    data = draw_samples(_source(setup.data), setup.data)
    wanted = sorted(data.ids[[4, 8, 15, 16, 23, 42]].tolist())
    request = tmp_path / "request.csv"
    pd.DataFrame({"id": wanted}).to_csv(request, index=False)
    small = ["recipe.epochs=1", "references.count=2", "model_audits={}", "controls=false"]
    words = ["run", "digits", "--methods", "ft", "--seeds", "2", "--forget", request]
    ran = cli(*words, *(word for one in small for word in ("--set", one)))
    assert ran.code == 0, ran.err
    results = ub.load(tmp_path / "results/digits")
    condition = results.condition()
    assert condition.heading == "Samples in request.csv forgotten, full access"
    for file in Path(results.folder, "splits").glob("*.npz"):
        forgotten = np.load(file)["forget"]
        told = results.samples.set_index("position").loc[forgotten]
        assert sorted(told["id"]) == wanted
    made = list(results.folder.glob("runs/retrain-*"))
    assert len(made) == setup.seeds.retrains, "one forget set is retrained without once"
    assert results.runs["forget_seed"].nunique() == 1


def test_repeats_are_told_before_anything_is_made(tmp_path: Path) -> None:
    setup = ub.benchmark("digits")
    number = draw_samples(_source(setup.benchmark.data), setup.benchmark.data).ids[0]
    (tmp_path / "twice.txt").write_text(f"{number}\n{number}\n")
    asked = setup.forgetting(tmp_path / "twice.txt")
    request = Request(asked, Path("data"), tmp_path, ["ft"])
    seen = look_over(request, prepare(request).benchmark)
    assert "twice.txt names samples more than once: 1 repeat dropped." in seen.odd


def _source(spec: DataSpec) -> Source:
    from unlearnbench import registry

    return registry.source(spec, Path("data"))


def test_a_list_in_a_file_lies_where_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("3\n")
    (tmp_path / "own.toml").write_text('based_on = "digits"\n[forget]\nlist = "mine.txt"\n')
    raw = reading.read(tmp_path / "own.toml")
    benchmark = reading.validate(raw)
    assert benchmark.forget.list == str(tmp_path / "mine.txt")
    assert benchmark.forget.kind == "list" and benchmark.forget.fractions == [1.0]
    assert len(set(benchmark.seeds.forget)) == 1
    with pytest.raises(UserError, match="ulira"):
        reading.validate(raw | {"ulira": {"shadows": 4}})
