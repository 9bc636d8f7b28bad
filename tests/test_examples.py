"""Every example does what it says, as its readers would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(name: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_is_listed_and_tested_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    files = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(files) == 4
    for name in files:
        assert f"[{name}]({name})" in listed
        assert f'"{name}"' in Path(__file__).read_text()


def test_a_figure_is_restyled(tmp_path: Path) -> None:
    assert "figure.pdf" in run("figure_for_a_paper.py", tmp_path)
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert "ft_auc" in (tmp_path / "figure.csv").read_text()


@pytest.mark.slow
def test_two_methods_are_compared(tmp_path: Path) -> None:
    shown = run("compare_two_methods.py", tmp_path)
    assert "| amun |" in shown and "| salun |" in shown
    assert "points from retrain's" in shown


@pytest.mark.slow
def test_a_method_of_a_script_is_in_the_table(tmp_path: Path) -> None:
    shown = run("own_method.py", tmp_path)
    assert "| head-only |" in shown and "| head-only-fast |" in shown
    assert "An unlearned model" in shown


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    read: Any = nbformat.read
    notebook = read(EXAMPLES / "tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = str([cell.get("outputs") for cell in notebook.cells])
    assert "head-only" in shown and "image/png" in shown
