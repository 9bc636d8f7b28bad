"""Every example does what it says, as its readers would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import unlearnbench as ub

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(name: str, folder: Path, **environment: str) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    env = os.environ | environment
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_is_listed_and_tested_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    files = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert len(files) == 6
    for name in files:
        assert f"[{name}]({name})" in listed
        assert f'"{name}"' in Path(__file__).read_text()


@pytest.mark.slow
def test_a_figure_is_restyled(tmp_path: Path) -> None:
    assert "figure.pdf" in run("figure_for_a_paper.py", tmp_path)
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert "ft_auc" in (tmp_path / "figure.csv").read_text()


TRACKERS = {"track_with_wandb.py": "wandb", "track_with_mlflow.py": "mlflow"}
WANDB = """
import json
from contextlib import contextmanager

class Run:
    def __init__(self, about):
        self.about, self.logged, self.summary = about, [], {}
    def log(self, values):
        self.logged.append(values)

@contextmanager
def init(**about):
    yield (run := Run(about))
    with open("logged", "a") as file:
        told = {"run": about["id"], "curve": run.logged, "metrics": run.summary}
        print(json.dumps(told | {"about": about}), file=file)
"""
MLFLOW = """
import json
from contextlib import contextmanager
from types import SimpleNamespace

set_experiment = lambda name: None

@contextmanager
def start_run(run_name=None, run_id=None):
    global run
    run = {"run": run_id or run_name.split()[-1], "curve": [], "metrics": {}}
    yield SimpleNamespace(info=SimpleNamespace(run_id=run["run"]))
    with open("logged", "a") as file:
        print(json.dumps(run), file=file)

def log_params(params):
    run["about"] = params

def log_metrics(values, step=None):
    if step is None:
        run["metrics"] |= values
    else:
        run["curve"].append(values | {"epoch": step})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACKERS)
def test_trackers_can_be_imported_without_what_they_track_with(name: str, tmp_path: Path) -> None:
    code = f"import runpy, sys; made = runpy.run_path({str(EXAMPLES / name)!r}); print(*made)"
    code = f"import sys; sys.modules[{TRACKERS[name]!r}] = None; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and ("MLflow" in done.stdout or "WeightsAnd" in done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module"), [("track_with_wandb.py", WANDB), ("track_with_mlflow.py", MLFLOW)]
)
def test_a_run_is_tracked(name: str, module: str, tmp_path: Path) -> None:
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / f"{TRACKERS[name]}.py").write_text(module)
    run(name, tmp_path, PYTHONPATH=str(tmp_path / "stand-in"))
    results = ub.load(tmp_path / "results" / "digits")
    logged = [json.loads(line) for line in (tmp_path / "logged").read_text().splitlines()]
    curves = {one["run"]: one["curve"] for one in logged if one["curve"]}
    for made, epochs in results.training.groupby("run"):
        told = [(epoch["epoch"], epoch["loss"]) for epoch in curves.pop(str(made))]
        assert told == list(zip(epochs["epoch"], epochs["loss"], strict=True))
    assert not curves
    metrics = {one["run"]: one["metrics"] for one in logged if "ft_auc" in one["metrics"]}
    assert {run: told["ft_auc"] for run, told in metrics.items()} == dict(
        zip(results.runs["run"], results.runs["ft_auc"], strict=True)
    )


@pytest.mark.slow
def test_two_methods_are_compared(tmp_path: Path) -> None:
    shown = run("compare_two_methods.py", tmp_path)
    assert "| amun |" in shown and "| salun |" in shown
    assert "points from retrain's" in shown
    condition = ub.load(tmp_path / "results" / "digits").condition(access="full")
    for label in condition.methods:
        assert f"{label}: {condition.word(label)}\n  FT AUC is" in shown


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
