"""Imports go one way only, and what must start fast brings no torch along."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "unlearnbench"

# From the bottom up; a module imports from its own layer or a lower one only.
LAYERS = [
    {"equation", "errors", "seeds"},
    {"recipe", "files"},
    {"toolkit", "method", "task"},
    {"data", "vision", "metrics"},
    {"registry", "spec", "signals", "environment"},
    {"published"},
    {"benchmark", "difficulty", "splits", "store", "plan", "expansion"},
    {"agenda", "capacity", "catalogue", "claims", "doctor", "estimate", "jobs", "slots", "slurm"},
    {"cluster"},
    {"execute", "housekeeping", "placement"},
    {"worker", "contract", "report"},
    {"scheduler", "past"},
    {"display"},
    {"session", "reporting"},
    {"tuning"},
    {"options", "cli_results", "cli_tune"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
TORCH_FREE = {
    "metrics",
    "report",
    "scheduler",
    "store",
    "plan",
    "expansion",
    "benchmark",
    "display",
    "session",
    "past",
    "reporting",
    "tuning",
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in {"__init__", "datasets", "models", "controls"}:
            yield parts[0], path


def imports(path: Path, *, top_level: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(path: Path) -> set[str]:
    names = [name.split(".") for name in imports(path, top_level=True)]
    return {n[1] for n in names if n[0] == "unlearnbench" and len(n) > 1 and n[1] in RANK}


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: getattr(value, "stem", value)
)
def test_imports_go_down(room: str, path: Path) -> None:
    assert room in RANK, f"{room} has no layer: give it one"
    for other in rooms(path):
        assert RANK[other] <= RANK[room], f"{path.name} imports {other}, which is above it"


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: getattr(value, "stem", value)
)
def test_reading_and_planning_need_no_torch(room: str, path: Path) -> None:
    if room in TORCH_FREE:
        assert not [n for n in imports(path, top_level=False) if n.split(".")[0] == "torch"]


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=lambda p: p.stem)
def test_methods_import_only_the_public_parts(path: Path) -> None:
    own = [n for n in imports(path, top_level=False) if n.startswith("unlearnbench.")]
    public = {"unlearnbench.Method", "unlearnbench.Task", "unlearnbench.param"}
    rooms = ("unlearnbench.toolkit", "unlearnbench.seeds")
    assert [n for n in own if n not in public and not n.startswith(rooms)] == []


@pytest.mark.parametrize("words", [["--help"], ["methods"], ["methods", "amun"], ["benchmarks"]])
def test_light_commands_do_not_import_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom unlearnbench.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for _, path in modules()}
    assert {p.name: n for p, n in lengths.items() if n > 300} == {}
