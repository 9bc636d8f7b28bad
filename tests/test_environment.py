"""What a run was made with is said alike, and of unlike machines otherwise, on every system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unlearnbench
from unlearnbench import environment
from unlearnbench.environment import commit, cores, decisive, describe, processor

XEON = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\n\nprocessor\t: 1\nmodel name\t: another\n"
GRAVITON = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
GRACE = GRAVITON.replace("0xd40", "0xd4f")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Have nothing be remembered from one machine on the next."""
    for known in (processor, commit):
        known.cache_clear()
    yield
    for known in (processor, commit):
        known.cache_clear()


def machine(monkeypatch: pytest.MonkeyPatch, info: Path, text: str, kind: str = "") -> str:
    """Return what decides the last digits on a machine that Linux describes so."""
    info.write_text(text)
    monkeypatch.setattr(environment, "INFO", info)
    monkeypatch.setattr(platform, "processor", lambda: kind)
    processor.cache_clear()
    return str(decisive(describe("cpu"))["device"])


def test_processors_of_two_kinds_have_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    assert machine(monkeypatch, info, XEON) == "cpu (Intel(R) Xeon(R))"
    assert machine(monkeypatch, info, GRACE, "aarch64") == "cpu (aarch64 0x41 0xd4f)"
    # Debian and its images have no word for it
    assert machine(monkeypatch, info, GRACE) != machine(monkeypatch, info, GRAVITON)
    assert machine(monkeypatch, info, "") == f"cpu ({os.uname().machine})"


@pytest.mark.parametrize("said", ["Apple M3 Pro", ""])
def test_a_mac_names_its_processor(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`platform` says "arm" of every Mac, so that models of one were taken over on any other."""
    asked: list[list[str]] = []

    def run(words: list[str], **named: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 0 if said else 1, f"{said}\n", "")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(environment, "INFO", Path("no such file"))
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor() == (said or "arm")
    assert asked == [["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({}, 8),
    ],
    ids=repr,
)
def test_a_container_has_the_cores_whose_time_it_is_given(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker run --cpus 2` on a machine of 64 cores began 64 workers."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(environment, "CONTAINER", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cores() == expected


def test_a_system_without_affinity_has_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(environment, "CONTAINER", Path("no such folder"))
    monkeypatch.setattr(os, "cpu_count", lambda: 11)
    assert cores() == 11


def test_a_checkout_that_git_does_not_read_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container that is root's, a checkout of the host's user was said to have no changes."""
    monkeypatch.delenv(environment.COMMIT, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    package = tmp_path / "unlearnbench" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    mail = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *mail, "commit", "--quiet", "--allow-empty", "-m", "."], cwd=tmp_path)
    monkeypatch.setattr(unlearnbench, "__file__", str(package))
    assert commit()["dirty"] is True and len(str(commit()["commit"])) == 40
    commit.cache_clear()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit() == {}
