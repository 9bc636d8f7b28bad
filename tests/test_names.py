"""A name is what is typed: no part of it is taken for an ending, and none leads elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import Cli
from unlearnbench.api.own import Own
from unlearnbench.errors import UserError
from unlearnbench.planning.reading import benchmark_name


@pytest.fixture
def two(finished: Path, tmp_path: Path) -> Path:
    """Return a folder with the results `my`, and `my.v2` with fewer."""
    for name in ("my", "my.v2"):
        shutil.copytree(finished / "results" / "tiny", tmp_path / "results" / name)
    for run in tmp_path.glob("results/my.v2/runs/rl-*"):
        shutil.rmtree(run)
    return tmp_path


def test_dots_are_part_of_a_name(inside: Cli, two: Path) -> None:
    assert inside("results", "verify", "my.v2").out.splitlines()[-1] == "12 runs, 0 damaged"
    for typed in ("my", "results/my", "results/my/", str(two / "results" / "my")):
        assert inside("results", "verify", typed).out == "14 runs, 0 damaged\n"
    assert inside("results", "verify", "else/where/my.toml").out == "14 runs, 0 damaged\n"
    gone = inside("results", "rm", "my.v2", "--row", "ft", "--yes")
    assert gone.out.startswith("ft: 2 runs of a row that is not asked for, "), gone
    assert inside("results", "verify", "my.v2").out.splitlines()[-1] == "10 runs, 0 damaged"
    assert inside("results", "verify", "my").out == "14 runs, 0 damaged\n"
    assert inside("results", "prune", "my.v2").out == "There is nothing to remove.\n"
    assert inside("results", "export", "my.v2", "--bank").code == 0
    assert (two / "my.v2-bank.zip").exists()


@pytest.mark.slow
def test_the_report_is_of_the_very_name(inside: Cli, two: Path) -> None:
    assert inside("report", "my.v2").code == 0
    assert [path.name for path in (two / "reports").iterdir()] == ["my.v2"]
    assert "rl" not in set(ub.load(two / "results" / "my.v2").runs["label"])


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "results/me", "a\\b", ".toml"])
def test_what_is_neither_a_name_nor_a_path_of_results_is_refused(
    inside: Cli, two: Path, name: str
) -> None:
    for words in (["report"], ["results", "verify"], ["results", "prune"]):
        done = inside(*words, name)
        said = "is no folder of results" in done.err or "There are no results of" in done.err
        assert done.code == 2 and said, (words, done)
    assert sorted(path.name for path in two.iterdir()) == ["results"]


def test_a_folder_is_called_what_it_is_called_wherever_one_stands(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(two / "results" / "my.v2" / "runs")
    assert ub.load("..").name == "my.v2"


def test_results_are_merged_only_under_a_name(inside: Cli, two: Path) -> None:
    (two / "results" / "my").rename(two / "my results")
    done = inside("results", "merge", "my results")
    assert done.code == 2 and "'my results' is not the name of a benchmark" in done.err
    assert not (two / "results" / "my results").exists()


def test_an_audit_is_kept_under_a_name() -> None:
    with pytest.raises(UserError, match=r"'\.\.' cannot name folders"):
        _ = Own("digits").setup("audit", "..", "An audit").benchmark


def test_names_are_told_from_files() -> None:
    assert benchmark_name("my.v2") == "my.v2" and benchmark_name("a/my.v2.toml") == "my.v2"
    assert benchmark_name("digits@epyc-2") == "digits@epyc-2"
    for name in ("-rf", "a b", "x" * 101, "a\nb"):
        with pytest.raises(UserError, match="is not the name of a benchmark"):
            benchmark_name(name)
