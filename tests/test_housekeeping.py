"""What is in a results folder: listed, verified, pruned, merged; and a script for a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import Cli
from tests.test_durability import contents, flip
from unlearnbench.api.adopting import adopt
from unlearnbench.api.request import Request, prepare
from unlearnbench.cli import said
from unlearnbench.cli.display import Display
from unlearnbench.errors import UserError
from unlearnbench.execution import GivenFile
from unlearnbench.files import DRAFT, seal, unseal
from unlearnbench.planning.expansion import Planned
from unlearnbench.scheduling.slots import Event
from unlearnbench.storage.store import Store


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results" / "tiny"


def test_listing_and_verifying(inside: Cli, copied: Path) -> None:
    (copied / "runs" / ".DS_Store").touch()  # which macOS leaves where somebody looks
    assert re.fullmatch(r"tiny +14 runs, \d+ KB\n", inside("results", "ls").out)
    good = inside("results", "verify", "tiny")
    assert good.code == 0 and good.out == "14 runs, 0 damaged\n"
    run = next(copied.glob("runs/ft-*"))
    flip(run / "logits.npz", 500)
    bad = inside("results", "verify", "tiny")
    assert bad.code == 1
    assert f"{run.name}: runs/{run.name}/logits.npz is not what was written" in bad.out
    assert "14 runs, 1 damaged" in bad.out
    absent = inside("results", "verify", "tin")
    assert absent.code == 2 and "There are: tiny." in absent.err


def test_pruning_removes_what_was_left_over(inside: Cli, copied: Path, finished: Path) -> None:
    before = contents(finished / "results" / "tiny")
    assert inside("results", "prune", "tiny").out == "There is nothing to remove.\n"
    old = next(copied.glob("runs/ft-*"))
    shutil.copytree(old, old.with_name("ft-s9f9r1-0123456789ab"))
    unfinished = old.with_name("rl-s9f9r1-ab0123456789")
    unfinished.mkdir()
    (unfinished / "error.txt").write_text("why")
    names = (f"{DRAFT}{digit * 32}-{old.name[-12:]}.safetensors" for digit in "12")
    left, written = (copied / "models" / name for name in names)
    left.write_text("half")
    os.utime(left, (1, 1))
    written.write_text("by a run beside")
    shown = inside("results", "prune", "tiny").out
    for line in (
        "ft: 1 run whose folder has another's name, ",
        "rl: 1 run never finished, ",
        "1 file left half written, ",
        "3 files and folders, ",
    ):
        assert line in shown
    assert "--yes removes them" in shown and len(list(copied.glob("runs/ft-*"))) == 3
    assert "Removed 3 files and folders" in inside("results", "prune", "tiny", "--yes").out
    written.unlink()
    assert contents(copied) == before and not unfinished.exists()


def test_merging_brings_in_what_is_lacking_and_whole(
    inside: Cli, copied: Path, finished: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "tiny"
    shutil.copytree(copied, other)
    for label in ("ft", "retrain"):
        for run in copied.glob(f"runs/{label}-*"):
            shutil.rmtree(run)
    for path in copied.glob("splits/*"):
        path.unlink()
    bad = sorted(other.glob("runs/ft-*"))[0]
    flip(bad / "signals.npz", 300)
    done = inside("results", "merge", other)
    assert done.code == 0
    assert f"left out, {bad.name}: runs/{bad.name}/signals.npz is not what was written" in done.out
    assert "tiny: 5 runs copied" in done.out
    assert "13 runs, 0 damaged" in inside("results", "verify", "tiny").out
    assert not list((copied / "leases").iterdir())
    wrong = inside("results", "merge", tmp_path)
    assert wrong.code == 2 and "Name a folder like results/digits." in wrong.err


def asked(tiny: Path, results: Path, *adopt: Path) -> tuple[Request, Planned, Store]:
    """Ask for the tiny benchmark under another name, beside what was made of it."""
    setup = ub.benchmark(tiny).set("name", "half")
    request = Request(setup, results / "data", results, ["ft", "rl"], adopt=adopt)
    return request, prepare(request), Store(results / "half")


def test_models_beside_are_told_of_and_taken_over_when_told_so(
    copied: Path, tiny: Path, tmp_path: Path
) -> None:
    request, planned, own = asked(tiny, copied.parent)
    shared = [run for run, node in planned.plan.nodes.items() if node.spec.kind != "unlearn"]
    (told,) = adopt(request, planned, own)
    assert told == f"tiny may have {len(shared)} models of these: --adopt tiny takes them over."
    of_elsewhere = replace(request, given={"0": GivenFile(Path("original.pt"))})
    assert list(adopt(of_elsewhere, planned, own)) == [], "audits have no option for it"
    assert not own.folder.exists()

    other = Store(copied)
    flip(other.runs()[shared[0]] / "signals.npz", 300)
    request = replace(request, adopt=[Path("tiny")])
    assert list(adopt(request, planned, own)) == [
        f"{len(shared) - 1} models adopted from {copied}.",
        f"! 1 model left in {copied}: damaged.",
    ]
    assert [own.done(run) for run in shared] == [False] + [True] * (len(shared) - 1)
    for run in shared[1:]:
        assert own.model_path(run).exists() == other.model_path(run).exists()
    (again,) = [line for line in adopt(request, planned, own) if "left" not in line]
    assert again.startswith("0 models"), "nothing is taken twice"
    wrong = replace(request, adopt=[Path("tinny")])
    with pytest.raises(UserError, match=r"There are no results in .*tinny"):
        list(adopt(wrong, planned, own))


@pytest.mark.parametrize(
    ("what", "value", "why"),
    [
        ("toolkit", "0" * 16, "made before its toolkit changed"),
        ("model source", "0" * 16, "made before its model source changed"),
        ("data source", "0" * 16, "made before its data source changed"),
        ("toolkit", None, "made by a version that did not note its sources"),
        ("data", "0" * 16, "made of other data"),
        ("torch", "1.0", "made with torch 1.0, here it is"),
        ("device", "cpu (Another)", "made with device cpu (Another), here it is cpu ("),
    ],
)
def test_what_would_come_out_otherwise_here_is_not_taken_over(
    copied: Path, tiny: Path, what: str, value: str | None, why: str
) -> None:
    request, planned, own = asked(tiny, copied.parent, copied)
    run = planned.plan.references[0]
    path = Store(copied).runs()[run] / "record.json"
    record = unseal(path.read_text())
    if value is None:
        del record[what]
    else:
        (record["environment"] if what in record["environment"] else record)[what] = value
    path.write_text(seal(record))
    *_, left = adopt(request, planned, own)
    assert left.startswith(f"! 1 model left in {copied}: {why}") and not own.exists(run)


def test_two_versions_on_one_folder_refuse_each_other(
    inside: Cli, copied: Path, tiny: Path
) -> None:
    path = sorted(copied.glob("runs/ft-*"))[0] / "record.json"
    path.write_text(seal(unseal(path.read_text()) | {"schema": 99}))
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    for words in (["run", tiny, "--methods", "ft,rl"], ["plan", tiny, "--methods", "ft,rl"]):
        done = inside(*words)
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert f"holds records of another version of unlearnbench ({path.parent.name})" in done.err
        assert "--results DIR" in done.err
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before
    rest = inside("run", tiny, "--methods", "rl")
    assert rest.code == 0, "what the other version has not made is no concern of its"


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e"
"""What sets a terminal's title, clears it, and turns the order of what follows round."""


def test_names_of_others_do_nothing_to_a_terminal(inside: Cli, copied: Path) -> None:
    evil = copied.with_name(f"tiny{ESCAPES}")
    shutil.copytree(copied, evil)
    run = sorted(evil.glob("runs/ft-*"))[0]
    named = run.with_name(f"ft\n14 runs, 0 damaged{ESCAPES}-s1-{run.name.rpartition('-')[2]}")
    run.rename(named)
    flip(named / "logits.npz", 500)
    printed = ""
    for words in (["ls"], ["verify", evil.name], ["merge", evil], ["prune", evil.name]):
        done = inside("results", *words)
        printed += done.out + done.err
        assert "Traceback" not in done.err
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202e" in printed
    assert not set(ESCAPES).intersection(printed) - set("[]0;ownedJ2")
    assert "\n14 runs, 0 damaged\\x1b" not in printed, "nor can a line be forged"


def test_a_display_writes_escapes_out(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display()
    display.told(f"a [bold]{ESCAPES}")
    display.notes([f"b {ESCAPES}"])
    display.ended(Event("failed", "abc", f"c {ESCAPES}", 0.0, f"d {ESCAPES}"))
    out = capsys.readouterr().out
    assert out.count("\\x1b]0;owned\\x07\\x1b[2J\\u202e") == 4 and "[bold]" in out
    assert "\x1b" not in out and "\u202e" not in out


def test_everything_is_printed_in_one_place() -> None:
    folder = Path(said.__file__).parent
    prints = re.compile(r"\becho\(|(?<!console\.)\bprint\(|\bConsole\(")
    others = [path for path in folder.glob("*.py") if path.name != "said.py"]
    assert [path.name for path in others if prints.search(path.read_text())] == []


def test_listing_beside_a_run_stumbles_over_nothing(
    inside: Cli, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files go between being listed and being looked at."""
    real = Path.stat
    gone = {path for path in copied.rglob("*") if path.is_file()}

    def stat(path: Path, **more: bool) -> os.stat_result:
        if path.absolute() in gone:
            gone.discard(path.absolute())
            path.unlink()
        return real(path, **more)

    monkeypatch.setattr(Path, "stat", stat)
    assert inside("results", "ls").code == 0
    assert not gone


def test_a_slurm_script_is_made_from_the_plan(inside: Cli, tmp_path: Path) -> None:
    words = (
        "plan",
        "cifar10-fast",
        "--slurm",
        "--tasks",
        "16",
        "--seeds",
        "2",
        "--methods",
        "amun",
    )
    script = inside(*words, "--set", "amun.lr=0.02", "--results", "/shared/my results").out
    (tmp_path / "job.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=False).returncode == 0
    for line in ("#SBATCH --array=1-16", "#SBATCH --gres=gpu:1", "#SBATCH --requeue"):
        assert line in script
    assert script.strip().splitlines()[-1] == (
        "exec unlearnbench run cifar10-fast --methods amun --seeds 2 --set amun.lr=0.02"
        " --data data --results '/shared/my results' --devices cuda:0"
    )


def test_plan_shows_the_graph(inside: Cli, copied: Path, tiny: Path) -> None:
    shown = inside("plan", tiny, "--methods", "ft,rl").out
    assert "14 models; 14 done" in shown and "Kind" in shown
