"""Imports go one way only, and what must start fast brings no torch along."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "unlearnbench"

# From the bottom up; a module imports from its own room or from those below it.
LAYERS = [
    {"errors", "scratch", "seeds", "syntax"},
    {"files", "units", "recipe", "guarding", "arrays", "blocks"},
    {"authoring", "toolkit"},
    {"data"},
    {"audits"},
    {"verdicts"},
    {"metrics"},
    {"by_value", "registry", "outline", "environment", "entries", "architectures"},
    {"planning"},
    {"storage"},
    {"execution", "evaluation"},
    {"papers"},
    {"scheduling", "reporting"},
    {"tuning"},
    {"api"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
WITH_TORCH = {"authoring", "toolkit", "execution"}
"""Rooms that import torch, and of the others the files that do so when they are asked to."""
ASKING_TORCH = {"environment", "cluster", "worker", "doctor", "tensorboard"}
LONGEST = 400
"""Lines that a file may have; a function may have 60."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in {"__init__", "datasets", "models", "controls", "model_audits"}:
            yield parts[0], path


def imports(path: Path, *, top_level: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    typing = {
        id(inside)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inside in node.body
    }
    for node in tree.body if top_level else ast.walk(tree):
        if id(node) in typing:
            continue
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
    if room not in WITH_TORCH and path.stem not in ASKING_TORCH:
        assert not [n for n in imports(path, top_level=False) if n.split(".")[0] == "torch"]


def test_files_of_a_room_need_each_other_one_way_only() -> None:
    needs = {
        path: {
            PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
            for name in imports(path, top_level=True)
        }
        for _, path in modules()
    }
    graph = {path: {other for other in others if other in needs} for path, others in needs.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=lambda p: p.stem)
def test_methods_import_only_the_public_parts(path: Path) -> None:
    own = [n for n in imports(path, top_level=False) if n.startswith("unlearnbench.")]
    public = {f"unlearnbench.{name}" for name in ("Method", "Optimizer", "Task", "method", "param")}
    rooms = ("unlearnbench.toolkit", "unlearnbench.seeds")
    assert [n for n in own if n not in public and not n.startswith(rooms)] == []


@pytest.mark.parametrize(
    "words", [["--help"], ["methods"], ["methods", "amun"], ["benchmarks"], ["models"]]
)
def test_light_commands_do_not_import_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom unlearnbench.cli.app import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_fit_a_screen() -> None:
    long = [
        f"{path.name}: {node.name}"
        for _, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for _, path in modules()}
    assert {p.name: n for p, n in lengths.items() if n > LONGEST} == {}


def test_a_condition_is_passed_whole() -> None:
    """Findings and a group of theirs belong together: that is a Condition."""
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                given = node.args
                names = {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
                assert not {"findings", "group"} <= names, f"{path.name}, line {node.lineno}"
