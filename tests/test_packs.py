"""Packs come back to the last bit, in parts too; what is not as it was written is refused whole."""

from __future__ import annotations

import json
import random
import shutil
import stat
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unlearnbench as ub
from tests.conftest import Cli
from tests.test_durability import contents, flip
from unlearnbench import registry
from unlearnbench.api.results import planned_of
from unlearnbench.errors import UserError
from unlearnbench.files import seal, unseal
from unlearnbench.outline import facts
from unlearnbench.planning.benchmark import Row
from unlearnbench.planning.facts import MethodFacts
from unlearnbench.planning.reading import as_toml
from unlearnbench.scheduling.progress import progress
from unlearnbench.storage.asked import earlier, in_view
from unlearnbench.storage.leases import Leases
from unlearnbench.storage.pack import Pack, PackError
from unlearnbench.storage.packing import Written
from unlearnbench.storage.reduction import npz, reduced, restored
from unlearnbench.storage.store import Store
from unlearnbench.units import read_size

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with packs of the tiny benchmark: all of it, its bank, and with weights."""
    folder = tmp_path_factory.mktemp("packs")
    for name, asked in {"tiny": {}, "bank": {"bank": True}, "heavy": {"weights": True}}.items():
        written = packed(finished, folder / f"{name}.zip", **asked)
        assert written.left_out == []
    return folder


def packed(finished: Path, path: Path, **asked: Any) -> Written:
    return ub.pack(
        "tiny", path, by="Ann", note="as it ships", results=finished / "results", **asked
    )


def changed(
    path: Path, target: Path, change: Callable[[Files], None], *, sealed: bool = True
) -> Path:
    """Write a pack again with other files, its list of contents as whoever forges it would."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if sealed:
        about = unseal(files["pack.json"].decode())
        for name, data in files.items():
            if name != "pack.json":
                listed = about["files"].setdefault(name, {"unpacked": 0})
                listed |= {"size": len(data), "sha256": sha256(data).hexdigest()}
        about["files"] = {name: one for name, one in about["files"].items() if name in files}
        files["pack.json"] = seal(about).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def edited(files: Files, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a sealed file, and seal it again."""
    content = unseal(files[name].decode())
    change(content)
    files[name] = seal(content).encode()


def record_of(files: Files, label: str = "ft-") -> str:
    return next(
        name for name in sorted(files) if name.startswith(f"runs/{label}") and "rec" in name
    )


@pytest.mark.slow
def test_a_pack_comes_back_to_the_last_bit(
    inside: Cli, finished: Path, made: Path, tmp_path: Path
) -> None:
    done = inside("results", "import", made / "tiny.zip")
    assert done.code == 0 and "results of tiny, 14 runs copied, 0 here already" in done.out
    assert "2 models have no weights in this pack; they are retrained if" in done.out
    assert inside("results", "verify", "tiny").out == "14 runs, 0 damaged\n"
    source, target = finished / "results" / "tiny", tmp_path / "results" / "tiny"
    assert contents(target) == {k: v for k, v in contents(source).items() if k[:6] != "models"}
    assert inside("report", "tiny").code == 0
    for name in ("runs.csv", "summary.csv", "verdicts.csv", "attacks.csv"):
        file = Path("reports", "tiny", "tables", name)
        assert (tmp_path / file).read_bytes() == (finished / file).read_bytes(), name
    again = inside("results", "import", made / "tiny.zip").out
    assert "0 runs copied, 14 here already" in again and "differ" not in again
    here, there = Store(target), Store(source)
    pruned = [run for run in here.runs() if here.pruned(run)]
    assert len(pruned) == 2 and not any(map(here.has_weights, pruned))
    for run in here.runs():  # so that what began with another model is noticed later
        assert here.weights_checksum(run) == there.weights_checksum(run)


def test_weights_come_where_they_are_asked_for(made: Path, finished: Path, tmp_path: Path) -> None:
    (light,) = ub.unpack(made / "tiny.zip", results=tmp_path)
    (taken,) = ub.unpack(made / "heavy.zip", results=tmp_path)
    assert (light.weightless, taken.weightless, taken.copied) == (2, 0, 2), "the two originals"
    assert contents(tmp_path / "tiny") == contents(finished / "results" / "tiny")
    assert not any(map(Store(tmp_path / "tiny").pruned, Store(tmp_path / "tiny").runs()))


def test_runs_that_are_finished_here_meanwhile_are_left_as_they_are(
    made: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, written = Leases.take, dict[Path, int]()

    def late(leases: Leases, run: str) -> bool:
        if not written and run in planned:  # a run beside has just made all
            shutil.copytree(finished / "results" / "tiny", tmp_path / "tiny", dirs_exist_ok=True)
            written.update({path: path.stat().st_mtime_ns for path in records()})
        return take(leases, run)

    def records() -> list[Path]:
        return sorted(tmp_path.glob("tiny/runs/*/record.json"))

    planned = set(Store(finished / "results" / "tiny").runs())
    monkeypatch.setattr(Leases, "take", late)
    (taken,) = ub.unpack(made / "tiny.zip", results=tmp_path)
    assert (taken.copied, taken.there, taken.missing) == (0, 14, 0)
    assert written == {path: path.stat().st_mtime_ns for path in records()}


def test_what_can_be_derived_is_left_out(made: Path) -> None:
    with zipfile.ZipFile(made / "tiny.zip") as archive:
        signals = [name for name in archive.namelist() if name.endswith("/signals")]
        heads = [json.loads(archive.read(name).partition(b"\n")[0]) for name in signals]
    kept = [{one["name"]: one["kept"] for one in head} for head in heads]
    assert len(signals) == 14 and all(one["confidence"] == "beside margin" for one in kept)
    assert len({one["under"] for head in heads for one in head if one["name"] == "label"}) == 1
    members = {one["under"] for head in heads for one in head if one["name"] == "member"}
    assert len(members) == 7, "one of originals, four of references, two of splits"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_a_confidence_comes_back_whatever_its_margin(scale: float) -> None:
    draw = np.random.default_rng(0)
    margin = (scale * draw.normal(size=2000)).astype(np.float32)
    margin[:3] = np.nan, np.inf, -np.inf
    exact = (1 / (1 + np.exp(-np.clip(margin.astype(float), -700, 700)))).astype(np.float32)
    for confidence in (exact, draw.random(2000).astype(np.float32)):
        arrays = {"margin": margin, "confidence": confidence, "label": np.arange(2000)}
        data = reduced(arrays, bytes.hex)
        assert npz(restored(data, bytes.fromhex, 10**6)) == npz(arrays)


def test_parts_are_read_alone_and_make_a_whole(
    inside: Cli, finished: Path, made: Path, tmp_path: Path
) -> None:
    out = ("results", "export", "tiny", "--results", finished / "results", "--out", "t.zip")
    done = inside(*out, "--part-size", "30kB")
    parts = sorted(tmp_path.glob("t-*.zip"))
    assert len(parts) > 3 and "14 runs packed, without weights" in done.out
    assert all(part.stat().st_size <= 30 * 2**10 for part in parts)
    first = inside("results", "import", parts[1])
    assert (
        "of this pack are not here yet: import its other parts, or run the benchmark" in first.out
    )
    assert "0 damaged" in inside("results", "verify", "tiny").out
    rest = inside("results", "import", *parts)
    assert "not here yet" not in rest.out.splitlines()[-1]
    (whole,) = ub.unpack(made / "tiny.zip", results=tmp_path / "results")
    assert (whole.copied, whole.there, whole.missing) == (0, 14, 0)


def test_a_bank_is_found_and_what_lacks_weights_is_made_again(
    inside: Cli, finished: Path, made: Path, tmp_path: Path
) -> None:
    done = inside("results", "import", made / "bank.zip")
    assert "bank of tiny, 6 runs copied" in done.out
    store = Store(tmp_path / "results" / "tiny")
    assert not (store.folder / "benchmark.toml").exists(), "no rows come with it"
    planned = planned_of(Store(finished / "results" / "tiny"))
    assert planned is not None
    plan, originals = planned.plan, {"original"}
    state = progress(plan, store, set())
    assert {plan.nodes[run].label for run in state.weightless} == originals
    assert len(state.weightless) == 2 and set(state.weightless) <= set(state.open)
    assert state.done == plan.references, "signals are enough"
    ub.unpack(made / "tiny.zip", results=tmp_path / "results")
    assert progress(plan, Store(store.folder), set()).open == [], (
        "nothing begins with them any more"
    )


@pytest.mark.slow
def test_a_run_goes_on_from_a_bank(cli: Cli, tiny: Path, made: Path) -> None:
    assert cli("results", "import", made / "bank.zip").code == 0
    done = cli("run", tiny, "--methods", "ft")
    assert done.code == 0, done.err
    assert "begin with weights that are not here: 2 models (original)." in done.out
    assert "done    reference" not in done.out and done.out.count("done    original") == 2


def test_results_that_are_there_are_left_as_they_are(
    made: Path, finished: Path, tmp_path: Path
) -> None:
    def other(files: Files) -> None:
        name = record_of(files)
        signals = files[name.replace("record.json", "signals")]
        files[name.replace("record.json", "signals")] = signals[:-8] + b"\0" * 8
        arrays = restored(
            files[name.replace("record.json", "signals")],
            lambda kept: files[f"apart/{kept}"],
            10**6,
        )
        digest = sha256(npz(arrays)).hexdigest()
        edited(files, name, lambda record: record["files"].update({"signals.npz": digest}))

    ub.unpack(made / "tiny.zip", results=tmp_path)
    before = contents(tmp_path / "tiny")
    (taken,) = ub.unpack(changed(made / "tiny.zip", tmp_path / "o.zip", other), results=tmp_path)
    assert (taken.copied, len(taken.differing)) == (0, 1) and contents(tmp_path / "tiny") == before


def grown(files: Files) -> None:
    """Make a file that unpacks to very much more than it is."""
    files["apart/" + "0" * 32] = bytes(2**27)


def moved(files: Files) -> None:
    files["runs/../../evil-0123456789ab/record.json"] = b"{}"


def renamed(files: Files) -> None:
    """Name a run's method so that its folder would lie elsewhere."""
    name = record_of(files)
    edited(files, name, lambda record: record["spec"].update(method="../../evil"))


def swapped(files: Files) -> None:
    """Put the record of one run in place of another's."""
    one, other = (record_of(files, label) for label in ("ft-", "rl-"))
    files[one] = files[other]


def unlisted(files: Files) -> None:
    files["splits/0123456789ab"] = b"x"


def lost(files: Files) -> None:
    del files[record_of(files).replace("record.json", "signals")]


def torn(files: Files) -> None:
    name = record_of(files)
    files[name] = files[name][:-40]


def of_a_pickle(files: Files) -> None:
    """Ask for an array of objects."""
    name = record_of(files).replace("record.json", "logits")
    files[name] = files[name].replace(b"<f2", b"|O8", 1)


def huge(files: Files) -> None:
    """Say that an array is large beyond all memory."""
    name = record_of(files).replace("record.json", "logits")
    head, _, body = files[name].partition(b"\n")
    files[name] = head.replace(b"[240,", b"[24000000000,") + b"\n" + body


def stray(files: Files) -> None:
    """Have a record name a file that no run has."""
    edited(files, record_of(files), lambda record: record["files"].update(a="0" * 64))


def foreign(files: Files) -> None:
    files["benchmark.toml"] = files["benchmark.toml"].replace(b"epochs = 4", b"epochs = 5")


def upward(files: Files) -> None:
    edited(files, "pack.json", lambda about: about.update(benchmark=".."))


def later(files: Files) -> None:
    edited(files, "pack.json", lambda about: about.update(format=2))


FORGED: dict[Callable[[Files], None], str] = {
    grown: "it would unpack to more than 100 times its size",
    moved: "no file of a pack is called 'runs/../../evil-0123456789ab/record.json'",
    renamed: "folders of runs cannot be called after it",
    swapped: "is not the run that its record is of",
    lost: "/signals is missing",
    torn: "is torn or has been edited",
    of_a_pickle: "is not what was written",
    huge: "is not what was written",
    stray: "it names files that no run has",
    foreign: "is of other data, model or recipe than benchmark.toml",
    upward: "benchmark of its pack.json",
    later: "it was written by a later version of unlearnbench",
}


@pytest.mark.parametrize("change", FORGED, ids=lambda change: change.__name__)
def test_what_is_forged_is_refused_in_a_line(
    inside: Cli, made: Path, tmp_path: Path, change: Callable[[Files], None]
) -> None:
    pack = changed(made / "tiny.zip", tmp_path / "forged.zip", change)
    done = inside("results", "import", pack)
    assert done.code == 2 and FORGED[change] in done.err, done.err
    assert done.err.startswith("unlearnbench: forged.zip: ") and len(done.err.splitlines()) == 1
    assert "Nothing of it was taken over." in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"forged.zip"}, "nothing was written"


def test_what_was_edited_or_cut_short_is_refused(made: Path, tmp_path: Path) -> None:
    def refused(path: Path, why: str) -> None:
        with pytest.raises(PackError, match=why):
            ub.unpack(path, results=tmp_path / "results")

    source, bad = made / "tiny.zip", tmp_path / "bad.zip"
    refused(changed(source, bad, unlisted, sealed=False), "splits/0123456789ab is not what was")
    edit: Callable[[Files], None] = lambda files: files.update({"pack.json": b"{}"})  # noqa: E731
    refused(changed(source, bad, edit, sealed=False), "torn or has been edited")
    for count in (0, 100, source.stat().st_size // 2, source.stat().st_size - 1):
        bad.write_bytes(source.read_bytes()[:count])
        refused(bad, "it is cut short, or is no pack")
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("readme.txt", "no pack")
    refused(bad, "it has no pack.json")
    shutil.copy(source, bad)
    with zipfile.ZipFile(bad, "a") as archive:
        link = zipfile.ZipInfo("splits/0123456789ab")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    refused(bad, "splits/0123456789ab is no regular file")
    shutil.copy(source, bad)
    with zipfile.ZipFile(bad, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("benchmark.toml", archive.read("benchmark.toml"))
    refused(bad, "two of its files have one name")
    assert not (tmp_path / "results").exists()
    with pytest.raises(UserError, match="There is no file"):
        ub.unpack(tmp_path / "absent.zip", results=tmp_path)


def test_no_flipped_byte_goes_unnoticed_or_ends_in_a_traceback(made: Path, tmp_path: Path) -> None:
    source, bad, draw = made / "bank.zip", tmp_path / "bad.zip", random.Random(0)
    with Pack(source) as pack:
        whole = [(run.id, run.record, run.files) for run in pack.runs()]
    for _ in range(40):
        shutil.copy(source, bad)
        flip(bad, draw.randrange(source.stat().st_size))
        try:
            with Pack(bad) as pack:
                assert [(run.id, run.record, run.files) for run in pack.runs()] == whole
        except PackError:
            pass


def test_other_settings_and_other_data_are_refused(
    made: Path, finished: Path, tmp_path: Path
) -> None:
    home = tmp_path / "tiny"
    ub.unpack(made / "tiny.zip", results=tmp_path)
    file = home / "benchmark.toml"
    text = file.read_text()
    file.write_text(text.replace("epochs = 4", "epochs = 5"))
    for name in ("tiny", "bank"):
        with pytest.raises(UserError, match=r"here recipe\.epochs is 5, not 4\. Take it over else"):
            ub.unpack(made / f"{name}.zip", results=tmp_path)
    file.write_text(text)
    shutil.rmtree(next(home.glob("runs/ft-*")))

    def of_other_data(files: Files) -> None:
        for name in [name for name in files if name.endswith("record.json")]:
            edited(files, name, lambda record: record.update(data="0" * 16))

    other = changed(made / "tiny.zip", tmp_path / "other.zip", of_other_data)
    with pytest.raises(UserError, match="was made of other data than"):
        ub.unpack(other, results=tmp_path)
    assert len(list(home.glob("runs/ft-*"))) == 1


def test_rows_and_seeds_of_two_packs_are_joined(made: Path, finished: Path, tmp_path: Path) -> None:
    ub.unpack(made / "tiny.zip", results=tmp_path)
    store = Store(tmp_path / "tiny")
    known = in_view(store)
    assert known is not None
    rows = {"retrain": known.methods["retrain"], "more": Row(method="ga")}
    one = {"originals": [1], "forget": [1], "runs": [1], "retrains": 1}
    fewer = known.model_copy(update={"methods": rows, "seeds": known.seeds.model_copy(update=one)})
    (store.folder / "benchmark.toml").write_text(as_toml(fewer))
    ub.unpack(made / "tiny.zip", results=tmp_path)
    joined = in_view(store)
    assert joined is not None and joined.seeds == known.seeds
    assert set(joined.methods) == {"retrain", "ft", "rl", "more"}
    ft = joined.methods["ft"].model_copy(update={"settings": {"epochs": 9}})
    other = joined.model_copy(update={"methods": joined.methods | {"ft": ft}})
    (store.folder / "benchmark.toml").write_text(as_toml(other))
    ub.unpack(made / "tiny.zip", results=tmp_path)
    now, (apart,) = in_view(store), earlier(store).values()
    assert now is not None and now.methods["ft"] == ft, "what is here is shown"
    assert apart.methods["ft"] == known.methods["ft"], "the other is kept"


def test_a_damaged_run_is_left_out_by_name(inside: Cli, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    bad = next((tmp_path / "results" / "tiny").glob("runs/ft-*"))
    flip(bad / "signals.npz", 300)
    done = inside("results", "export", "tiny")
    assert f"left out, {bad.name}: runs/{bad.name}/signals.npz is not what was" in done.out
    assert "13 runs packed" in done.out and (tmp_path / "tiny.zip").exists()
    assert inside("results", "export", "tiny", "--part-size", "lots").code == 2


def test_the_same_results_are_the_same_bytes(made: Path, finished: Path, tmp_path: Path) -> None:
    packed(finished, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (made / "tiny.zip").read_bytes()


def test_sizes_are_read() -> None:
    assert [read_size(text) for text in ("50MB", "1.5kB", "2gb")] == [50 * 2**20, 1536, 2**31]
    for wrong in ("50", "MB", "-1MB", "nanMB", "infGB", "0kB"):
        with pytest.raises(UserError, match="Write it as 800kB, 50MB or 2GB"):
            read_size(wrong)


def test_what_is_known_of_methods_passes_and_what_is_more_than_data_does_not() -> None:
    for plugin in registry.find("methods").values():
        MethodFacts.model_validate(facts(plugin) | {"path": plugin.path.name})
    known = facts(registry.find("methods")["ft"]) | {"path": "ft.py"}
    odd: list[dict[str, Any]] = [
        {"settings": {"a b": {}}},
        {"settings": {"import": {}}},
        {"settings": {"__x": {}}},
        {"settings": {"x": {"default": float("inf")}}},
        {"path": "../ft.py"},
        {"other_if": {"x": [float("nan")]}},
        {"code": "print(1)"},
    ]
    for one in odd:
        with pytest.raises(ValueError, match="MethodFacts"):
            MethodFacts.model_validate(known | one)


def test_no_folder_of_the_machine_is_told(made: Path) -> None:
    with zipfile.ZipFile(made / "tiny.zip") as archive:
        for name in ("pack.json", "benchmark.toml"):
            assert str(Path(ub.__file__).parent.parent) not in archive.read(name).decode()
