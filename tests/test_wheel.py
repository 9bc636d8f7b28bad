"""The wheel, made of the sdist, installed and run outside the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CITATION, CHANGES = ROOT / "CITATION.cff", ROOT / "CHANGELOG.md"


def test_the_release_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = dict(re.findall(r'^(version|date-released): "?([^"\n]+)', CITATION.read_text(), re.M))
    latest = re.search(r"^## \[([\d.]+)\] - ([\d-]+)$", CHANGES.read_text(), re.M)
    assert latest is not None
    assert latest.groups() == (cited["version"], cited["date-released"])
    assert project["version"] == version("unlearnbench") == cited["version"]


@pytest.mark.slow
def test_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = tmp_path / "source"  # a copy: building leaves a folder that later wheels would pick up
    ignored = shutil.ignore_patterns(
        ".*", "build", "results", "reports", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)]
    build.append(str(source))
    subprocess.run(build, check=True, capture_output=True, timeout=110)
    (sdist,) = tmp_path.glob("unlearnbench-*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "LICENSE", "methods/amun.py"} <= packed
    assert not [name for name in packed if name.startswith("tests/")]
    (wheel,) = tmp_path.glob("unlearnbench-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (
        "unlearnbench/methods/l1-sparse.py",
        "unlearnbench/methods/amun-adaptive.py",
        "unlearnbench/datasets/fashion-mnist.py",
        "unlearnbench/models/vgg19-bn.py",
        "unlearnbench/benchmarks/digits.toml",
        "unlearnbench/controls/planted-leak.py",
        "unlearnbench/reporting/pages/report.md.j2",
        "unlearnbench/reporting/pages/reading.md.j2",
        "unlearnbench/py.typed",
        "unlearnbench/__init__.pyi",
    ):
        assert path in names
    assert not [name for name in names if name.startswith(("methods/", "tests/", "benchmarks/"))]

    target = tmp_path / "site"
    install = [*pip, "install", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=110)
    outside = tmp_path / "elsewhere"
    outside.mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "unlearnbench", *words],
            cwd=outside,
            env=os.environ | {"PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=True,
            timeout=110,
        )
        return done.stdout

    where = "import unlearnbench; print(unlearnbench.__file__)"
    environment = os.environ | {"PYTHONPATH": str(target)}
    found = subprocess.run(
        [sys.executable, "-P", "-c", where], cwd=outside, env=environment, capture_output=True
    )
    assert str(target) in found.stdout.decode(), "the checkout shadows the wheel"
    assert "l1-sparse" in run("methods")
    small = ["data.train=100", "data.test=100", "recipe.epochs=1", "references.count=2"]
    small.append("controls=false")
    settings = [word for setting in small for word in ("--set", setting)]
    assert "retrain" in run("run", "--seeds", "1", "--methods", "ft", *settings)
    assert (outside / "results" / "digits" / "benchmark.toml").exists()
    assert "Report:" in run("report")
