"""A results folder that somebody made on purpose: it is named, costs its own run, and no more."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unlearnbench as ub
from tests.conftest import TINY, TWO, Cli
from tests.test_durability import contents
from unlearnbench import files
from unlearnbench.errors import UserError
from unlearnbench.files import seal, unseal
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import Spec
from unlearnbench.reporting.figures.export import write_data, write_print
from unlearnbench.reporting.summary import about
from unlearnbench.reporting.tables.table import Table
from unlearnbench.reporting.tables.table import text as text_column
from unlearnbench.reporting.write import Section, write_sections
from unlearnbench.storage import asked, leases, sealed
from unlearnbench.storage import inside as kept_inside
from unlearnbench.storage.store import Store

SECRET = "what nobody is to read"


@pytest.fixture(autouse=True)
def soon(tmp_path: Path) -> Iterator[None]:
    """End a test that reads for ever, and one that writes beside results/, reports/ or mine/."""

    def late(*_: object) -> None:
        raise TimeoutError("it reads for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(240)
    outside = tmp_path / "OUTSIDE.npz"
    (tmp_path / "secret").write_text(SECRET)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert not outside.exists() and not (tmp_path / "ran").exists()
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside <= {"results", "reports", "mine", "secret"}, beside


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished benchmark, for somebody to spoil: nothing brings texts back."""
    ignored = shutil.ignore_patterns("sealed")
    shutil.copytree(finished / "results", tmp_path / "results", ignore=ignored)
    return tmp_path / "results" / "tiny"


def record_of(run: Path) -> dict[str, Any]:
    return unseal((run / "record.json").read_text())


def resealed(run: Path, record: dict[str, Any]) -> None:
    (run / "record.json").write_text(seal(record))


def edit(run: Path, **changes: Any) -> None:
    """Change a record, None for what it is to lack, and seal it as its maker would."""
    record = record_of(run) | changes
    resealed(run, {key: value for key, value in record.items() if value is not ...})


def stored(run: Path, name: str, data: bytes) -> None:
    """Put a file in place of another, with the checksum that its record then has."""
    (run / name).write_bytes(data)
    record = record_of(run)
    record["files"][name] = sha256(data).hexdigest()
    resealed(run, record)


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def signals(run: Path, **changes: Any) -> None:
    with np.load(run / "signals.npz") as found:
        arrays = {name: found[name] for name in found.files} | changes
    stored(run, "signals.npz", npz(**{n: a for n, a in arrays.items() if a is not ...}))


def one_more(folder: Path, seed: int) -> Path:
    """Add a run of another seed to a folder, as whoever makes up a run would."""
    made = next((folder / "runs").glob("ft-*"))
    record = record_of(made)
    record["spec"]["seed"] = seed
    run = Store(folder).run_folder(Spec.model_validate(record["spec"]))
    shutil.copytree(made, run)
    resealed(run, record)
    return run


def upward(run: Path) -> None:
    edit(run, split="../../../OUTSIDE")


def device(run: Path) -> None:
    record = record_of(run)
    record["files"]["/dev/zero"] = "0" * 64
    resealed(run, record)


def pipe(run: Path) -> None:
    (run / "logits.npz").unlink()
    os.mkfifo(run / "logits.npz")


def link(run: Path) -> None:
    """Have a file be a private one, whose checksum somebody has guessed."""
    (run / "signals.npz").unlink()
    (run / "signals.npz").symlink_to(run.parents[3] / "secret")
    record = record_of(run)
    record["files"]["signals.npz"] = sha256(SECRET.encode()).hexdigest()
    resealed(run, record)


def record_pipe(run: Path) -> None:
    (run / "record.json").unlink()
    os.mkfifo(run / "record.json")


def record_link(run: Path) -> None:
    (run / "record.json").unlink()
    (run / "record.json").symlink_to("/dev/zero")


def deep(run: Path) -> None:
    (run / "record.json").write_text('{"a":' * 100_000)


def nested(run: Path) -> None:
    notes: dict[str, Any] = {}
    for _ in range(200):
        notes = {"a": notes}
    edit(run, notes=notes)


def bomb(run: Path) -> None:
    """Unpack to gigabytes: a few zeros, many times."""
    stored(run, "signals.npz", npz(compressed=True, margin=np.zeros(10**6, np.float32)))


def hollow(run: Path) -> None:
    """Claim an array of terabytes that is not there."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
    data = (run / "signals.npz").read_bytes()
    begin = data.index(b"{'descr'")
    end = data.index(b"\n", begin)
    stored(run, "signals.npz", data[:begin] + header.ljust(end - begin) + data[end:])


def sparse(run: Path) -> None:
    with (run / "logits.npz").open("r+b") as file:
        file.truncate(2**42)


def objects(run: Path) -> None:
    signals(run, margin=np.array([object()], dtype=object))


FAULTS: dict[Callable[[Path], None] | str, str] = {
    upward: "record.json cannot be one (record: its forget set is not the one of its spec)",
    device: "record.json cannot be one (record: it names files that no run has)",
    pipe: "logits.npz is no regular file",
    link: "signals.npz is a link",
    record_pipe: "record.json is no regular file",
    record_link: "record.json is a link",
    deep: "record.json is torn or has been edited",
    nested: "record.json is nested too deeply",
    bomb: "signals.npz holds arrays that are compressed, or cut short",
    hollow: "signals.npz holds an array of another size than it says",
    sparse: "logits.npz is larger than 0 MB, or no regular file",
    objects: "signals.npz holds an array of other things than plain numbers",
}


def short(run: Path) -> None:
    signals(run, margin=np.zeros(5, np.float32))


def lacking(run: Path) -> None:
    signals(run, member=...)


def wide(run: Path) -> None:
    signals(run, label=np.full(240, 30_000, np.int16))


def text(run: Path) -> None:
    signals(run, margin=np.full(240, "x"))


def renamed(run: Path) -> None:
    record = record_of(run)
    record["spec"]["method"] = "../../evil"
    resealed(run, record)


def moved(run: Path) -> None:
    """Be another run than its folder says."""
    record = record_of(run)
    record["spec"]["seed"] = 77
    resealed(run, record)


def unlisted(run: Path) -> None:
    edit(run, files=...)


def typed(run: Path) -> None:
    edit(run, seconds=[1, 2])


def searched(run: Path) -> None:
    edit(run, notes={"adversarial search": {"distances": "far"}})


def huge(run: Path) -> None:
    edit(run, train=10**30)


def reading(run: Path) -> None:
    """Have weights be read to learn their digest."""
    record = record_of(run)
    record["spec"]["recipe"]["pretrained"] = "/dev/zero"
    resealed(run, record)


def squared(run: Path) -> None:
    stored(run, "logits.npz", npz(logits=np.zeros((240, 7, 2), np.float16)))


MORE: dict[Callable[[Path], None] | str, str] = {
    short: "signals.npz holds other than one number for each of 240 samples",
    lacking: "signals.npz has no array member",
    wide: "signals.npz holds label outside 0 to 9",
    text: "signals.npz holds an array of other things than plain numbers",
    renamed: "folders of runs cannot be called after it",
    moved: "record.json is of another run",
    unlisted: "record.json cannot be one (files: Field required)",
    typed: "record.json cannot be one (seconds: Input should be a valid dictionary)",
    searched: "record.json cannot be one (notes.adversarial search.",
    huge: "record.json holds a number that is too large",
    reading: "record.json cannot be one (record: it names a file of weights without its digest)",
    squared: "logits.npz holds logits [240, 7, 2] for 240 samples",
}


@pytest.mark.parametrize("faults", [FAULTS, MORE], ids=["files", "content"])
def test_a_fault_costs_its_own_run_and_is_named(
    faults: dict[Callable[[Path], None], str], folder: Path, tmp_path: Path, inside: Cli
) -> None:
    runs = {one_more(folder, 100 + n): fault for n, fault in enumerate(faults.items())}
    for run, (spoil, _) in runs.items():
        spoil(run)
    done = inside("results", "verify", "tiny")
    told = dict(line.split(": ", 1) for line in done.out.splitlines() if ": " in line)
    for run, (_, expected) in runs.items():
        assert expected in told[run.name]
    assert f"{14 + len(faults)} runs, {len(faults)} damaged" in done.out
    done = inside("results", "merge", folder, "--results", tmp_path / "mine")
    assert done.code == 0 and "tiny: 14 runs copied" in done.out
    assert len([line for line in done.out.splitlines() if "left out" in line]) == len(faults)
    mine = [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert not any(path.is_symlink() for path in mine)
    assert not any(SECRET in path.read_text(errors="ignore") for path in mine)


def test_a_report_leaves_out_what_is_hostile_and_says_so(
    folder: Path, tmp_path: Path, inside: Cli
) -> None:
    """Also beside another folder; and one record that names another split harms no other run."""
    good = shutil.copytree(folder, tmp_path / "mine" / "tiny")
    runs = sorted((folder / "runs").glob("ft-*")) + sorted((folder / "runs").glob("rl-*"))
    for run, spoil in zip(runs, (bomb, typed, device), strict=False):
        spoil(run)
    record = record_of(runs[3])
    record["files"]["split"] = "0" * 64
    resealed(runs[3], record)
    (runs[3] / "error.txt").symlink_to(tmp_path / "secret")
    (folder / "metrics.json").unlink()
    done = inside("report", "tiny")
    assert done.code == 0 and done.err == ""
    page = (tmp_path / "reports" / "tiny" / "report.md").read_text()
    assert page.count("is left out: ") == 4 and SECRET not in page
    assert ub.load(folder).runs["label"].value_counts().to_dict() == {"retrain": 4, "original": 2}
    assert ub.compare(folder, good).tables


@pytest.mark.slow
def test_a_run_beside_a_hostile_folder_is_as_if_alone(
    folder: Path, finished: Path, tmp_path: Path, cli: Cli
) -> None:
    """Nothing in that folder is opened, run, changed or taken over."""
    runs = {one_more(folder, 100 + n): spoil for n, spoil in enumerate([*FAULTS, *MORE])}
    for run, spoil in runs.items():
        spoil(run)  # type: ignore[operator]
    toml_pipe(folder)
    trap = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    (folder / "evil.py").write_text(trap)
    before = {path: path.lstat() for path in folder.rglob("*")}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "half.toml").write_text(TINY)
    done = cli("run", "mine/half.toml", "--methods", "ft,rl", *TWO)
    assert done.code == 0 and done.err == "", done.err
    assert contents(tmp_path / "results" / "half") == contents(finished / "results" / "tiny")
    now = {path: path.lstat() for path in folder.rglob("*")}
    assert {path: (about.st_mtime_ns, about.st_size) for path, about in now.items()} == {
        path: (about.st_mtime_ns, about.st_size) for path, about in before.items()
    }


def toml(change: Callable[[str], str]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "benchmark.toml"
        path.write_text(change(path.read_text()))

    return spoil


def toml_pipe(folder: Path) -> None:
    (folder / "benchmark.toml").unlink()
    os.mkfifo(folder / "benchmark.toml")


def toml_link(folder: Path) -> None:
    (folder / "benchmark.toml").unlink()
    (folder / "benchmark.toml").symlink_to("/dev/zero")


def before(folder: Path) -> None:
    (folder / "earlier").mkdir()
    (folder / "earlier" / "a.toml").symlink_to("/dev/zero")


def facts(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "methods.json"
        known = json.loads(path.read_text())
        known["ft"] |= changes
        path.write_text(json.dumps(known))

    return spoil


def plugins(name: str = "own", **changes: Any) -> Callable[[Path], object]:
    """Know a metric of somebody's."""
    told = {"title": "Own", "about": "", "file": "own.py", "version": "1", "short": "", "unit": ""}
    told |= {"kind": "level", "better": None, "ideal": None} | changes
    text = json.dumps({"metrics": {name: told}})
    return lambda folder: (folder / "plugins.json").write_text(text)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (toml_pipe, "benchmark.toml is no regular file"),
    "link": (toml_link, "benchmark.toml is a link"),
    "based": (toml(lambda t: f'based_on = "/dev/zero"\n{t}'), "Unknown key in benchmark tiny"),
    "dots": (toml(lambda t: f"{'a.' * 17}a = 1\n{t}"), "has a key of too many parts"),
    "torn": (toml(lambda t: t[:100]), "benchmark.toml is not valid TOML"),
    "deep": (toml(lambda t: f"x = {'[' * 5000}{']' * 5000}\n{t}"), "benchmark.toml is not valid"),
    "large": (
        toml(lambda t: t.replace("count = 4", "count = 123456789123456789123")),
        "benchmark.toml holds a number that is too large",
    ),
    "many": (
        toml(lambda t: t.replace("count = 4", "count = 40000000")),
        "asks for 40,000,012 models, which is more than can be planned",
    ),
    "weights": (
        toml(lambda t: t.replace("[recipe]", '[recipe]\npretrained = "/dev/zero"')),
        "benchmark.toml names a file of weights without its digest",
    ),
    "facts": (facts(settings={"__class__": {}}), "methods.json cannot be used: ft.settings"),
    "plugins": (
        lambda folder: (folder / "plugins.json").write_text('{"metrics": {"label": {}}}'),
        "plugins.json cannot be used: metrics.label.title: Field required",
    ),
    "columns": (plugins(name="run"), "plugins.json cannot be used: metrics: no metric can be"),
    "types": (facts(trains="perhaps"), "methods.json cannot be used: ft.trains"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_a_folder_says_of_itself_is_checked(name: str, folder: Path, inside: Cli) -> None:
    spoil, expected = FOLDERS[name]
    spoil(folder)
    for words in (["report", "tiny"], ["results", "prune", "tiny"], ["results", "export", "tiny"]):
        done = inside(*words)
        assert done.code == 2 and expected in done.err and done.err.count("\n") == 1, words
    done = inside("results", "merge", folder, "--results", "mine")
    assert done.code == 2 and expected in done.err
    assert not list(Path("mine").rglob("record.json")), "nothing is taken over"
    listed = inside("results", "ls")
    assert listed.code == 0 and (expected in listed.out) == ("methods.json" not in expected)
    assert inside("results", "verify", "tiny").err == ""


def test_what_was_asked_earlier_is_checked_too(folder: Path, inside: Cli) -> None:
    before(folder)
    done = inside("results", "prune", "tiny")
    assert done.code == 2 and "earlier/a.toml is a link" in done.err
    assert len(ub.load(folder).runs), "which does not need it"


def test_code_that_a_folder_names_is_read_as_text_at_most(
    folder: Path, tmp_path: Path, inside: Cli
) -> None:
    evil = folder / "evil.py"
    evil.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    asked = (folder / "benchmark.toml").read_text().replace("plugins = []\n", "")
    known = json.loads((folder / "methods.json").read_text())
    for path in ("/dev/zero", str(evil), str(folder)):
        known["ft"]["path"] = path
        (folder / "methods.json").write_text(json.dumps({"evil": known["ft"]} | known))
        (folder / "benchmark.toml").write_text(f'plugins = ["{path}"]\n{asked}')
        assert ub.load(folder).findings.stale == {}


def test_a_strangers_forget_set_takes_no_place_of_mine(
    folder: Path, tmp_path: Path, inside: Cli
) -> None:
    """It has the name of one of mine, and its records say that it is right."""
    mine = shutil.copytree(folder, tmp_path / "mine" / "tiny")
    kept = {path.name: path.read_bytes() for path in (mine / "splits").iterdir()}
    gone = sorted((mine / "runs").glob("ft-*"))[0]
    shutil.rmtree(gone)
    run = folder / "runs" / gone.name
    split = folder / "splits" / f"{record_of(run)['split']}.npz"
    split.write_bytes(npz(forget=np.arange(12), earlier=np.arange(0)))
    record = record_of(run)
    record["files"]["split"] = sha256(split.read_bytes()).hexdigest()
    resealed(run, record)
    done = inside("results", "merge", folder, "--results", tmp_path / "mine")
    assert f"left out, {run.name}: its forget set is another than" in done.out
    assert kept == {path.name: path.read_bytes() for path in (mine / "splits").iterdir()}


def test_words_about_a_metric_are_no_code_of_a_page(folder: Path) -> None:
    words = "<script>alert(1)</script>"
    plugins("own", about=words, title=words, kind="distance")(folder)
    try:
        told = about(ub.load(folder).findings)["metrics"][-1]
    finally:
        METRICS.pop("own")
    assert told == (words, words) and type(told[1]) is str, "which a template escapes"


OUTSIDE = "/../../../secret"
METRICS_FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "lacking": lambda m: m["runs"].pop("label"),
    "short": lambda m: m["attacks"]["auc"].pop(),
    "words": lambda m: m["runs"].update(test_accuracy=["much"] * len(m["runs"]["run"])),
    "nested": lambda m: m["verdicts"].update(gap=[[]] * len(m["verdicts"]["gap"])),
    "unknown": lambda m: m["attacks"].update(attack=["mine"] * len(m["attacks"]["attack"])),
    "curves": lambda m: m.update(curves={}),
    "none": lambda m: m.update(runs=None),
    "elsewhere": lambda m: m["runs"].update(access=[OUTSIDE] * len(m["runs"]["run"])),
}


@pytest.mark.parametrize("name", METRICS_FAULTS)
def test_metrics_that_cannot_be_are_computed_anew(name: str, folder: Path) -> None:
    expected = ub.load(folder).findings.as_json()
    path = folder / "metrics.json"
    content = json.loads(path.read_text())
    METRICS_FAULTS[name](content)
    path.write_text(json.dumps(content))
    assert ub.load(folder).findings.as_json() == expected


def test_metrics_of_20000_runs_may_be_read_and_nothing_much_larger(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds the bytes and the values of a text bounds the memory that it takes."""
    text, many = (folder / "metrics.json").read_text(), 20_000 / len(ub.load(folder).runs)
    assert len(text) * many < sealed.MOST < 10 * len(text) * many
    values = sum(map(text.count, ",[{")) * many
    assert values < files.PARTS < 10 * values
    monkeypatch.setattr(files, "PARTS", 10)
    assert files.parsed("[" + "0," * 8 + "0]") == [0] * 9
    for hostile in ("[" + "0," * 10 + "0]", "[" * 11, "[" + "{}" * 11):
        with pytest.raises(files.UnsoundError, match="holds too many values"):
            files.parsed(hostile)


def test_a_table_of_samples_and_weights_are_not_read_behind_a_link(
    folder: Path, tmp_path: Path
) -> None:
    results = ub.load(folder)
    (tmp_path / "secret").write_text("id\n5\n")
    (folder / "samples.csv").unlink(missing_ok=True)
    (folder / "samples.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"samples\.csv is a link"):
        _ = results.samples
    run = results.runs.loc[results.runs["label"] == "ft", "run"].iloc[0]
    Store(folder).model_path(run).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="weights of ft, seed 1, were not kept"):
        results.model("ft")


def test_a_folder_in_the_place_of_metrics_costs_nothing_but_them(folder: Path) -> None:
    expected = ub.load(folder).findings.as_json()
    path = folder / "metrics.json"
    path.unlink()
    path.mkdir()
    assert ub.load(folder).findings.as_json() == expected and path.is_dir()


@pytest.mark.parametrize("text", ["{}", "[]", '{"benchmark": 5}', '{"a":' * 10**5, "\udce4"])
def test_findings_that_cannot_be_are_named(text: str, folder: Path) -> None:
    shutil.rmtree(folder / "runs")
    (folder / "findings.json").write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=r"tiny/findings\.json (holds no findings|is )"):
        ub.load(folder)


CONDITIONS = {
    "access": (OUTSIDE, "", None, 5),
    "fraction": (OUTSIDE, 0, 1.5, float("nan"), None, True),
    "request": (OUTSIDE, 0, 1.0, None, True),
}


def test_findings_of_conditions_that_cannot_be_are_named(folder: Path) -> None:
    """Files of a report are named after these."""
    whole = json.loads(ub.load(folder).findings.as_json())
    shutil.rmtree(folder / "runs")
    for table in ("runs", "attacks"):
        for column, values in CONDITIONS.items():
            for value in values:
                spoilt = {**whole[table], column: [*whole[table][column][1:], value]}
                (folder / "findings.json").write_text(json.dumps(whole | {table: spoilt}))
                with pytest.raises(UserError, match="has rows of a condition that cannot be"):
                    ub.load(folder)
    lacking = {name: column for name, column in whole["runs"].items() if name != "access"}
    (folder / "findings.json").write_text(json.dumps(whole | {"runs": lacking}))
    with pytest.raises(UserError, match=r"holds no findings \(KeyError: 'access'\)"):
        ub.load(folder)


@pytest.mark.parametrize("name", ["../../secret", "/secret", "a/b", "a\\b"])
def test_no_file_of_a_report_lies_outside_it(name: str, tmp_path: Path) -> None:
    class Named:
        known = canvas = pd.DataFrame({"x": [1]})

    named: Any = Named()
    named.name = name
    table = Table("", named.known, [text_column("X", "x")], name)
    report = tmp_path / "reports" / "evil"
    writers: list[Callable[[], object]] = [
        lambda: write_sections("", [], [Section("", [table])], report),
        lambda: write_data([named], report / "figures"),
        lambda: write_print([named], report / "figures"),
    ]
    for write in writers:
        with pytest.raises(UserError, match="can be called"):
            write()
    assert (tmp_path / "secret").read_text() == SECRET
    assert {path.parent for path in report.rglob("*")} <= {report}


def test_a_terminal_obeys_nothing_of_a_name(folder: Path, inside: Cli) -> None:
    evil = "\x1b]0;owned\x07\x1b[31mx\u202e"
    (folder / "runs" / f"{evil}-0123456789ab").mkdir()
    (folder / "runs" / f"{evil}-0123456789ab" / "record.json").write_text("{}")
    shutil.copytree(folder, folder.with_name(f"{evil}tiny"))
    toml(lambda t: t.replace("[methods.ft]", f"[methods.{json.dumps(evil)}]"))(folder)
    outputs = [
        inside("results", "verify", "tiny"),
        inside("results", "ls"),
        inside("results", "verify", "nothing"),
        inside("report", "tiny"),
        inside("results", "merge", folder, "--results", "mine"),
    ]
    for done in outputs:
        assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err), done
    assert r"\x1b]0;owned\x07\x1b[31mx\u202e-0123456789ab: record.json" in outputs[0].out


def test_every_sentence_on_security_has_a_test() -> None:
    root = Path(__file__).parent
    known = "".join(path.read_text() for path in root.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", (root.parent / "SECURITY.md").read_text()))
    assert len(named) > 20 and [name for name in named if f"def {name}(" not in known] == []


@pytest.mark.parametrize("named", [".", "../tiny", "there"])
def test_a_folder_may_be_named_in_any_way_and_be_a_link_itself(
    named: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "there").symlink_to(folder)
    monkeypatch.chdir(folder)
    assert not any(map(Store(Path(named)).damage, Store(Path(named)).runs()))
    (folder / "there").unlink()


ROOMS = ("leases", "models", "splits", "earlier", "earlier/sealed", "sealed", "runs")
MINE = ("0123456789ab", "asked", "error.txt", "metrics", "benchmark.toml", "0123ab.toml")


@pytest.mark.parametrize("room", [*ROOMS, "runs/ft-link"])
def test_nothing_is_written_or_removed_behind_a_link(
    room: str, folder: Path, tmp_path: Path, inside: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that looks dead is removed, and so is what belongs to no run."""
    theirs, place, store = tmp_path / "mine", folder / room, Store(folder)
    shown, run = asked.in_view(store), next((folder / "runs").glob("ft-*"))
    assert shown is not None
    spec = Spec.model_validate(record_of(run)["spec"])
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.move(place, theirs)
    theirs.mkdir(exist_ok=True)
    place.symlink_to(theirs)
    for name in MINE:
        (theirs / name).write_text("mine")
        os.utime(theirs / name, (0, 0))
    monkeypatch.setattr(leases, "LEASE", 1e-3)
    before = contents_of(theirs)
    for words in (["prune", "tiny", "--yes"], ["rm", "tiny", "--row", "ft", "--yes"]):
        done = inside("results", *words)
        assert done.code == 2 and f"{room} is a link" in done.err, done
    steps: list[Callable[[], object]] = [
        store.leases.drop_all,
        partial(sealed.bring_back, folder),
        partial(asked.keep, store, shown, [shown.model_copy(update={"controls": False})]),
        partial(store.fail, spec, "why"),
        partial(kept_inside.put_file, store.model_path(spec.id), folder, Path.touch),
        partial(kept_inside.put_file, store.split_path("0123456789ab"), folder, Path.touch),
        *(partial(kept_inside.remove, place / name, folder) for name in MINE),
    ]
    for step in steps:
        with suppress(UserError):
            step()
    assert contents_of(theirs) == before


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
