"""Whatever is typed or written into a file: a plan, or one clear line, and nothing is made."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import tomli_w
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.conftest import Cli
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.errors import UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.checking import tables_of
from unlearnbench.planning.expansion import Planned

SMALL: dict[str, Any] = {
    "title": "Small",
    "model": "small-cnn",
    "controls": False,
    "others": False,
    "data": {"name": "digits", "train": 60, "test": 60},
    "recipe": {"epochs": 1},
    "forget": {"fractions": [0.1]},
    "seeds": {"originals": [1], "forget": [1], "runs": [1]},
    "references": {"count": 2},
    "methods": {"ft": {"epochs": 1}},
}
LONG = settings(
    max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
SHORT = settings(LONG, max_examples=100, derandomize=True)


WORDS = [
    "",
    "ft",
    "all",
    "random",
    "class",
    "zip",
    "product",
    "loss",
    "rmia",
    "digits",
    "a/b",
    "..",
]
WORDS += ["original", "\0", "\ud800", "\x1b[31m", "nan", "1", "x\ny", "é", "x" * 300]
NUMBERS = [-1, 0, 1, 2, 3, 7, 2**31, 2**32, 2**63 - 1, 2**63, 10**32, -(10**32)]
SCALARS = (
    st.sampled_from(WORDS)
    | st.sampled_from(NUMBERS)
    | st.floats()
    | st.booleans()
    | st.text(max_size=5)
    | st.sampled_from([datetime.date(2026, 1, 1), datetime.time(12), datetime.datetime(2026, 1, 1)])
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inside, max_size=2)
    ),
    max_leaves=5,
)
Path_ = tuple[str, ...]
Put = st.SearchStrategy[tuple[Path_, Any]]


def fitting(kind: Any) -> st.SearchStrategy[Any]:
    """Draw values of a key's type, most of them possible."""
    inside = [fitting(one) for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) in (list, tuple):
        return st.lists(inside[0], min_size=1, max_size=3)
    if inside and get_origin(kind) is not dict:
        return inside[0] if get_origin(kind) is Annotated else st.one_of(inside)
    plain = {int: st.integers(0, 6), float: st.floats(0, 1), bool: st.booleans()}
    return plain.get(kind, st.sampled_from(["ft", "digits", "small-cnn", "loss", "ft_auc"]))


def keys(model: type[BaseModel], above: Path_ = ()) -> Iterator[Put]:
    """Yield for each key of a table, and of the tables in it, what draws a value for it."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield st.tuples(st.just(path), VALUES)
        for inside in tables_of(field.annotation):
            yield from keys(inside, path)
        if not list(tables_of(field.annotation)):
            yield st.tuples(st.just(path), fitting(field.annotation))


OTHERS = [("based_on",), ("methods", "ft", "lr"), ("ft", "epochs"), ("salun", "keep")]
PUTS: Put = st.one_of(
    *keys(Benchmark),
    st.tuples(st.sampled_from(OTHERS), VALUES | st.floats(0, 1)),
    st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple), VALUES),
)


def plan(path: Path, assignments: list[str], seeds: int | None = None) -> Planned | None:
    """Plan what is asked; None where it was refused in one line."""
    try:
        asked = benchmark(path, seeds=seeds)
        planned = prepare(Request(asked, path.parent, path.parent, assignments=assignments))
    except UserError as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1
        str(error).encode("ascii", "backslashreplace")
        return None
    # What is noted beside results, and read by whoever comes next.
    text = reading.as_toml(planned.benchmark)
    text.encode()
    assert reading.as_toml(reading.validate(tomllib.loads(text))) == text
    event("planned")
    return planned


def placed(raw: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    """Return a copy with a value at a path, in place of whatever was there."""
    first, rest = path[0], path[1:]
    below = raw.get(first)
    return raw | {
        first: placed(below if isinstance(below, dict) else {}, rest, value) if rest else value
    }


def file_of_any_shape(folder: Path, data: st.DataObject) -> None:
    raw = SMALL
    for _ in range(data.draw(st.integers(1, 2))):
        raw = placed(raw, *data.draw(PUTS))
    path = folder / "any.toml"
    path.write_bytes(tomli_w.dumps(raw).encode("utf-8", "surrogatepass"))
    plan(path, [])


def assignment_of_any_shape(folder: Path, data: st.DataObject) -> None:
    path = folder / "small.toml"
    path.write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    key, value = data.draw(PUTS)
    inline = tomli_w.dumps({"x": [0, value]}).partition("0,")[2].rpartition(",")[0]
    text = data.draw(st.just(inline) | st.just(str(value)) | st.text(max_size=8))
    seeds = data.draw(st.sampled_from([None, 1, 2]))
    plan(path, [f"{'.'.join(key)}={text}"], seeds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("input")


@SHORT
@given(data=st.data())
def test_a_file_of_any_shape_is_planned_or_refused(folder: Path, data: st.DataObject) -> None:
    file_of_any_shape(folder, data)


@SHORT
@given(data=st.data())
def test_an_assignment_of_any_shape_is_planned_or_refused(
    folder: Path, data: st.DataObject
) -> None:
    assignment_of_any_shape(folder, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_files_of_more_shapes(folder: Path, data: st.DataObject) -> None:
    file_of_any_shape(folder, data)


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_assignments_of_more_shapes(folder: Path, data: st.DataObject) -> None:
    assignment_of_any_shape(folder, data)


REFUSED = {
    "title.x=1": "--set title.x=1: title: Input should be a valid string.",
    "recipe.trades.foo=1": "Unknown key in --set recipe.trades.foo=1: 'foo'.",
    "recipe.epocs=1": "Did you mean 'epochs'?",
    "seeds=5": "--set seeds=5: seeds is a table, of originals, forget and runs.",
    "methods=5": "methods: it must be a table, not 5.",
    "methods.ft=5": "methods.ft: it must be a table, not 5.",
    "plugins=[5]": "Name their files with --plugin.",
    "based_on=5": "Cannot read --set based_on=5.",
    "seeds.runs=[-1]": "seeds.runs.0: Input should be greater than or equal to 0.",
    "seeds.runs=[4294967296]": "seeds.runs.0: Input should be less than or equal to 4294967295.",
    f"seeds.runs=[{10**32}]": "seeds.runs.0 is a number of more than 64 bits.",
    f"recipe.epochs={'9' * 5000}": "recipe.epochs: Unable to parse input string as an integer",
    "recipe.lr=nan": "recipe.lr is not a number (NaN).",
    "recipe.lr=inf": "recipe.lr: Input should be a finite number.",
    "ft.lr=nan": "methods.ft.lr is not a number (NaN).",
    f"ft.lr={'[' * 3000}{']' * 3000}": "it is not TOML",
    f"ft.lr={'[' * 20}{']' * 20}": "nested more than 16 deep",
    'ft.x={"a":1}': "it is not TOML. Write a table as {a = 1, b = 'two'}",
    'title="a\\u0000b"': "title = 'a\\x00b' has characters that cannot be printed.",
    "title=": "title: String should have at least 1 character",
    "name=..": "'..' cannot name folders",
    "name=a/b": "'a/b' cannot name folders",
    "recipe.pretrained=5": "recipe.pretrained: it must be a table, not 5.",
    "recipe.pretrained.file=5": "recipe.pretrained.file: Input should be a valid string.",
    "methods.original.method=ft": "'original' cannot be the name of a row",
    "methods.do-nothing.method=ft": "'do-nothing' cannot be the name of a row",
    "methods.all.method=ft": "'all' cannot be the name of a row",
    'methods={""={method="ft"}}': "'' cannot be the label of a row",
    "references.count=1000000": "more than 250,000 cannot be planned.",
    "given.trained_retrains=1000000": "more than 250,000 cannot be planned.",
    # What only the data tell.
    "data.validation=5000": "too few samples for 60 train",
    "data.size=2": "too small for the model small-cnn",
    'forget={kind="class",fractions=[1.0],requests=11}': "11 requests of a class each are too many",
    'forget={kind="class",fractions=[1.0],requests=10}': "Request 10 of 10 leaves no sample of 60.",
    'forget={kind="class",fractions=[1.0],target=12}': "There is no class 12 in the training set.",
}


def test_what_cannot_be_planned_is_refused_before_anything_is_made(
    inside: Cli, tmp_path: Path
) -> None:
    (tmp_path / "small.toml").write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    for assignment, message in REFUSED.items():
        done = inside("run", "small.toml", "--seeds", "1", "--set", assignment)
        assert done.code == 2 and done.err.count("\n") == 1, (assignment, done)
        assert message in done.err, (assignment, done.err)
        assert not list(tmp_path.glob("results/**/record.json")), assignment
    assert not list(tmp_path.glob("results/*/benchmark.toml"))


BROKEN = {
    b"based_on = 5": "based_on must be a name, or a list of names.",
    b"plugins = [5]": "plugins.0: Input should be a valid string.",
    b"methods = 5": "methods: it must be a table, not 5.",
    b"recipe.epochs = 'x'": "recipe.epochs: Input should be a valid integer",
    b"title = '\xff'": "Cannot read",
    b"a = " + b"[" * 3000: "nested too deep",
    b"a = " + b"9" * 5000: "Exceeds the limit",
    b"\0": "is not valid TOML",
    b"title = 'A'": "these keys are missing: data, model, forget, seeds.",
}


def test_a_broken_file_is_named_with_its_key(inside: Cli, tmp_path: Path) -> None:
    below = tmp_path / "below.toml"
    (tmp_path / "above.toml").write_text('based_on = "below.toml"\n', encoding="utf-8")
    for content, message in BROKEN.items():
        below.write_bytes(content)
        done = inside("run", "above.toml")
        assert done.code == 2 and done.err.count("\n") == 1, (content[:20], done)
        assert message in done.err and (
            "below.toml" in done.err or "benchmark above" in done.err
        ), done.err
    assert not (tmp_path / "results").exists()


NONE = '''
"""A method."""
from unlearnbench import Method, param

class Odd(Method):
    """Do nothing."""
    paper = "https://example.org"
    x: {} = param({}, help="a value")
    def unlearn(self, model, task):
        return model
'''


@pytest.mark.parametrize(
    ("kind", "default", "message"),
    [
        ("float | None", "None", ""),
        ("dict | None", "None", ""),
        ("float", "float('inf')", ""),
        ("float", "None", "odd.x = None: Input should be a valid number."),
        ("list", "[None]", "cannot be kept in a file, which has nothing for None."),
        ("float", "float('nan')", "odd: x is not a number (NaN)."),
        ("int", "10**40", "odd: x is a number of more than 64 bits."),
        ("object", "object()", "odd has settings that no file can hold"),
    ],
)
def test_a_hyperparameter_of_any_default_is_planned_or_refused(
    inside: Cli, tmp_path: Path, kind: str, default: str, message: str
) -> None:
    (tmp_path / "small.toml").write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    (tmp_path / "odd.py").write_text(NONE.format(kind, default), encoding="utf-8")
    done = inside("run", "small.toml", "--methods", "odd", "--plugin", "odd.py", "--dry-run")
    assert (done.code, done.err.count("\n")) == ((2, 1) if message else (0, 0)), done
    assert message in done.err


def test_plugins_are_seen_from_the_file_that_names_them(inside: Cli, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "odd.py").write_text(NONE.format("int", "1"), encoding="utf-8")
    own = SMALL | {"plugins": ["odd.py"], "methods": {"odd": {}}}
    (tmp_path / "deep" / "small.toml").write_text(tomli_w.dumps(own), encoding="utf-8")
    (tmp_path / "above.toml").write_text('based_on = "deep/small.toml"\n', encoding="utf-8")
    for file in ("deep/small.toml", "above.toml"):
        done = inside("run", file, "--dry-run")
        assert done.code == 0 and " odd " in done.out, done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--seeds", str(10**11)], "repetitions are too many. Take 10000 at most."),
        (["tune", "--seeds", str(10**11)], "seeds are too many. Take 10000 at most."),
        (["run", "--jobs-per-device", "²"], "--jobs-per-device takes a number from 1 to 256"),
        (["run", "--jobs-per-device", str(10**9)], "--jobs-per-device takes a number from 1"),
    ],
)
def test_too_many_of_anything_are_one_line(
    inside: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    done = inside(*words, "digits")
    assert done.code == 2 and done.err.count("\n") == 1 and message in done.err, done
    assert not list(tmp_path.iterdir())
