"""Files that were torn, edited or cut short are noticed, named and made again; nothing else is."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import DIGITS, TWO, Cli, command
from unlearnbench.files import DRAFT, checksum, seal, unseal, write, write_text
from unlearnbench.storage.store import Store

needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds things by /proc")


class Bomb:
    """Leave a trace when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def poison(path: Path) -> None:
    """Put a pickle where signals were."""
    np.savez(path, margin=np.array([Bomb()], dtype=object))


def contents(folder: Path) -> dict[str, str | None]:
    """Return the checksum of every file that two runs have in common, killed in between or not.

    A draft that a killed process was writing is not among these.
    """
    kept = [p for p in folder.rglob("[!.]*") if p.suffix in (".npz", ".safetensors")]
    return {str(p.relative_to(folder)): checksum(p) for p in kept}


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def test_a_store_that_is_kept_sees_what_happens_between_two_runs(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results" / "tiny", tmp_path / "tiny")
    store = Store(tmp_path / "tiny")
    model = sorted((store.folder / "models").iterdir())[0]
    run = model.stem
    home, apart = store.runs()[run], tmp_path / "apart"
    shutil.move(home, apart)
    store.refresh()
    assert run not in store.runs()
    shutil.move(apart, home)
    store.renew([run])
    assert store.damage(run) is None
    flip(model, 1000)
    store.renew([run])
    assert store.damage(run) == f"models/{model.name} is not what was written"


@pytest.mark.slow
def test_damage_is_named_and_undone(
    cli: Cli, inside: Cli, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    store = tmp_path / "results" / "tiny"
    runs = {label: sorted((store / "runs").glob(f"{label}-*")) for label in ("ft", "rl", "retrain")}
    truncated = runs["ft"][0] / "signals.npz"
    truncated.write_bytes(truncated.read_bytes()[:100])
    edited = runs["rl"][0] / "record.json"
    edited.write_text(edited.read_text().replace('"status": "done"', '"status": "fine"'))
    torn = runs["rl"][1] / "record.json"
    torn.write_text(torn.read_text()[:200])
    (runs["retrain"][0] / "logits.npz").unlink()
    model = sorted((store / "models").iterdir())[0]
    flip(model, 1000)
    poison(runs["retrain"][1] / "signals.npz")
    split = sorted((store / "splits").iterdir())[0]
    flip(split, -30)

    report = inside("report", "tiny")
    assert report.code == 0 and "Traceback" not in report.err, report.err
    page = (tmp_path / "reports" / "tiny" / "report.md").read_text()
    assert "is left out: record.json is torn or has been edited (unlearnbench run" in page

    done = cli("run", tiny, "--methods", "ft,rl", *TWO)
    assert done.code == 0, done.out + done.err
    lines = [line for line in done.out.splitlines() if "is made again" in line]
    for words in (
        f"is made again: runs/{runs['ft'][0].name}/signals.npz is not what was written.",
        "is made again: record.json is torn or has been edited.",
        f"is made again: runs/{runs['retrain'][0].name}/logits.npz is missing.",
        f"original {model.stem} is made again: models/{model.name} is not what was written.",
        f"is made again: splits/{split.name} is not what was written.",
        f"is made again: runs/{runs['retrain'][1].name}/signals.npz is not what was written.",
    ):
        assert any(words in line for line in lines), words
    assert len(lines) == 7, "and nothing else"
    assert contents(store) == contents(finished / "results" / "tiny")
    assert not (tmp_path / "exploded").exists(), "loading results ran code"


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "x-abc").mkdir(parents=True)
    poison(tmp_path / "runs" / "x-abc" / "signals.npz")
    with pytest.raises(ValueError, match="holds an array of other things than plain numbers"):
        Store(tmp_path).signals("abc")
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(Exception, match="header"):
        load_file(tmp_path / "model.safetensors")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert (tmp_path / "exploded").exists(), "it would have shown"


@pytest.mark.slow
def test_a_full_disk_ends_with_one_line_and_the_same_command_goes_on(
    cli: Cli, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be made here")
    try:
        words = ["run", tiny, "--methods", "ft,rl", "--results", disk, "--keep-weights"]
        full = cli(*words)
        assert full.code == 2 and "Traceback" not in full.err + full.out
        assert " failed " not in full.out and not list(disk.rglob("error.txt"))
        (line,) = full.err.strip().splitlines()
        assert line.startswith(f"unlearnbench: Cannot write to {disk}")
        assert line.endswith(
            "disk is full. What is finished is kept; make room, and the same command goes on."
        )
        assert not list(disk.rglob(f"{DRAFT}*"))
        subprocess.run([*mount[:4], "remount,size=20m", *mount[5:]], check=True)
        done = cli(*words)
        assert done.code == 0, done.out + done.err
        made, expected = contents(disk / "tiny"), contents(finished / "results" / "tiny")
        assert {name: made[name] for name in expected} == expected
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_draft_of_a_killed_process_goes_when_its_file_is_written(tmp_path: Path) -> None:
    """Wherever that is: in a report, or beside the weights of `apply`."""
    path = tmp_path / "page[1].html"
    names = [f"{DRAFT}{'a' * 32}-{path.name}", f"{DRAFT}{'a' * 32}-other", f"{DRAFT}of-{path.name}"]
    for name in names:
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / f"{DRAFT}{'b' * 32}-{path.name}").write_text("by a process beside")
    write_text(path, "whole")
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {path.name, *names[1:], f"{DRAFT}{'b' * 32}-{path.name}"}


@needs_proc
def test_the_name_of_a_file_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the power goes, a record may otherwise be there without the arrays that it names."""
    synced: list[Path] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        assert (tmp_path / "file").exists() == (synced[-1] == tmp_path)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    write_text(tmp_path / "file", "text")
    assert synced[-1] == tmp_path and len(synced) == 2


def test_what_is_written_is_whole_or_absent(tmp_path: Path) -> None:
    def breaks(draft: Path) -> None:
        draft.write_text("half")
        raise RuntimeError("power")

    with pytest.raises(RuntimeError):
        write(tmp_path / "a", breaks)
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / "a", "whole")
    assert write(tmp_path / "a", lambda draft: draft.write_text("new")) == checksum(tmp_path / "a")
    assert checksum(tmp_path / "b") is None


def test_who_may_read_a_file_the_umask_says(finished: Path, tmp_path: Path) -> None:
    files = [path for path in finished.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".npz", ".json", ".csv", ".png"}
    (tmp_path / "plain").touch()
    assert {path.stat().st_mode for path in files} == {(tmp_path / "plain").stat().st_mode}
    before = os.umask(0o027)
    try:
        save = partial(save_file, {"x": torch.zeros(1)})
        write(tmp_path / "x.safetensors", save)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.safetensors").stat().st_mode) == 0o640


def test_a_record_knows_itself() -> None:
    text = seal({"a": 1.5, "b": [1, None]})
    assert unseal(text) == {"a": 1.5, "b": [1, None]}
    for bad in (text[:-5], text.replace("1.5", "1.6"), "[]", json.dumps({"a": 1.5})):
        with pytest.raises(ValueError, match=r"."):
            unseal(bad)


def killed(words: list[str], folder: Path, kills: int, span: float, together: int) -> None:
    """Run a command so many times, killing it or first one of its workers at random moments.

    together: how many processes work on one folder; those that are not killed go on. Should all
    finish before that, some of what they have made is taken away.
    """
    draw, done, running = random.Random(0), 0, list[subprocess.Popen[bytes]]()
    while done < kills:
        while len(running) < together:
            quiet = subprocess.DEVNULL
            running.append(subprocess.Popen(words, cwd=folder, stdout=quiet, stderr=quiet))
        deadline = time.monotonic() + draw.uniform(1.0, span)
        while time.monotonic() < deadline and any(one.poll() is None for one in running):
            time.sleep(0.05)
        running = [one for one in running if one.poll() is None]
        if not running:
            for run in sorted(folder.glob("results/*/runs/*")):
                if draw.random() < 0.3:
                    shutil.rmtree(run)
            continue
        done += 1
        process = running.pop(draw.randrange(len(running)))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children and draw.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(int(draw.choice(children)), signal.SIGKILL)
            time.sleep(draw.uniform(0, 0.5))
        process.kill()
        process.wait()
    for process in running:
        assert process.wait(timeout=300) == 0, "what others leave harms nobody"


def survive(
    cli: Cli, words: list[str], folder: Path, kills: int, span: float, together: int
) -> None:
    killed(command(*words), folder, kills, span, together)
    done = cli(*words)
    assert done.code == 0 and "] failed " not in done.out, done.out + done.err
    runs = [p.parent.name.rpartition("-")[2] for p in folder.glob("results/*/runs/*/record.json")]
    assert runs and len(runs) == len(set(runs)), "no record twice"
    assert not list(folder.glob("results/*/leases/*"))


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2])
def test_killed_at_random_moments_digits_has_the_same_summary(
    cli: Cli, tmp_path: Path, digits: Path, together: int
) -> None:
    """Five times in CI; KILLS=50 for as many as the scheduler was accepted with."""
    kills = int(os.environ.get("KILLS", "5"))
    survive(cli, ["run", *DIGITS, *TWO], tmp_path, kills, span=6.0, together=together)
    assert cli("report").code == 0
    made = tmp_path / "reports" / "digits" / "tables" / "summary.csv"
    assert made.read_bytes() == digits.read_bytes()
