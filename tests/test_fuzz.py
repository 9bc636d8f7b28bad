"""Results folders damaged at random: a report or a line comes out, never a traceback."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Cli
from unlearnbench.api.results import load
from unlearnbench.errors import UserError
from unlearnbench.reporting.write import write_report

SECONDS = float(os.environ.get("FUZZ", "60"))
"""How long folders are damaged; FUZZ_SEED begins elsewhere."""
Damage = Callable[[random.Random, Path, Path], object]


def flip(draw: random.Random, path: Path, other: Path) -> None:
    data = bytearray(path.read_bytes() or b"x")
    for _ in range(draw.choice([1, 1, 8, 200])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def cut(draw: random.Random, path: Path, other: Path) -> None:
    os.truncate(path, draw.choice([0, draw.randrange(path.stat().st_size + 1)]))


def blank(draw: random.Random, path: Path, other: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def swap(draw: random.Random, path: Path, other: Path) -> None:
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def replace_by_folder(draw: random.Random, path: Path, other: Path) -> None:
    path.unlink()
    path.mkdir()


def remove_folder(draw: random.Random, path: Path, other: Path) -> None:
    shutil.rmtree(path.parent)


def swap_folders(draw: random.Random, path: Path, other: Path) -> None:
    one, two = path.parent, other.parent
    if one.parent == two.parent and one != two:
        aside = one.with_name("aside")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)


def insert(draw: random.Random, path: Path, other: Path) -> None:
    data, place = path.read_bytes(), draw.randrange(path.stat().st_size + 1)
    path.write_bytes(data[:place] + draw.randbytes(draw.choice([1, 40])) + data[place:])


DAMAGES: list[Damage] = [
    *(flip, flip, cut, cut, blank, swap, swap, insert, replace_by_folder, swap_folders),
    *(remove_folder, lambda draw, path, other: path.unlink()),
]


def damaged(draw: random.Random, folder: Path) -> list[str]:
    """Damage some files of a folder, texts beside its runs more often; say which."""
    done = []
    for _ in range(draw.choice([1, 1, 2, 5])):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        beside = [path for path in files if len(path.relative_to(folder).parts) <= 2]
        path = draw.choice(draw.choice([files, beside or files]))
        other = draw.choice([one for one in files if one.suffix == path.suffix])
        damage = draw.choice(DAMAGES)
        if damage in (remove_folder, swap_folders) and path.parent == folder:
            continue
        done.append(f"{damage.__name__} {path.relative_to(folder)}, {other.relative_to(folder)}")
        damage(draw, path, other)
    return done


@pytest.mark.slow
def test_damaged_folders_end_in_a_report_or_a_line(
    inside: Cli, finished: Path, tmp_path: Path
) -> None:
    whole, place = tmp_path / "whole", tmp_path / "results" / "tiny"
    shutil.copytree(finished / "results" / "tiny", whole)
    load(whole)  # so that its metrics are there to be damaged
    (sorted(whole.glob("runs/ft-*"))[1] / "error.txt").write_text("why\n")
    started, round_ = time.monotonic(), int(os.environ.get("FUZZ_SEED", "0"))
    reports = 0
    while time.monotonic() - started < SECONDS:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        said = f"FUZZ_SEED={round_}: " + "; ".join(damaged(random.Random(round_), place))
        for words in (["results", "ls"], ["results", "verify", "tiny"]):
            try:
                done = inside(*words)
            except Exception as error:
                raise AssertionError(f"{words} of {said}") from error
            assert done.code in (0, 1, 2), said
            if done.code == 2:
                assert done.err.startswith("unlearnbench: ") and done.err.count("\n") == 1, said
        try:
            results = load(place)
            write_report(results.findings, tmp_path / "report", figures=())
        except UserError as error:
            assert "\n" not in str(error), said
        except Exception as error:
            raise AssertionError(f"report of {said}") from error
        else:
            reports += 1
        round_ += 1
    assert reports > 0
