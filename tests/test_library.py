"""The library: what a script or a notebook does, without the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import unlearnbench as ub
from unlearnbench.api.listener import _NotebookBar
from unlearnbench.api.own import Own
from unlearnbench.api.request import Request

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "results" / "digits@epyc-2"


@pytest.fixture(scope="module")
def results(finished: Path) -> ub.Results:
    return ub.load(finished / "results" / "tiny")


def test_everything_listed_is_there_and_importing_is_light() -> None:
    assert {"run", "load", "report", "compare", "rank", "benchmark", "method"} <= set(dir(ub))
    assert all(getattr(ub, name) for name in dir(ub))
    code = (
        "import sys, unlearnbench\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'seaborn', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="attribute runn"):
        ub.runn  # type: ignore[attr-defined]  # noqa: B018


def test_results_are_data_frames(results: ub.Results, finished: Path) -> None:
    tables = finished / "reports" / "tiny" / "tables"
    for name in ("runs", "summary", "pairs", "cost"):
        frame: pd.DataFrame = getattr(results, name)
        written = pd.read_csv(tables / f"{name}.csv") if len(frame) else frame
        assert len(frame) == len(written)
    words = {"equivalent", "no difference found", "different", "inconclusive"}
    assert set(results.verdicts["verdict"]) <= words
    over_all = results.verdicts[results.verdicts["audit"] == "all"]
    assert set(over_all["label"]) == set(results.verdicts["label"])
    assert {"auc", "rank", "flags"} <= set(results.attacks) and "auc" not in results.verdicts
    curves = results.curves
    assert {"density_forget", "roc", "class_test"} <= set(curves["curve"])
    roc = curves[(curves["curve"] == "roc") & (curves["run"] == results.runs["run"].iloc[0])]
    assert roc["x"].is_monotonic_increasing and roc["x"].iloc[-1] == pytest.approx(100)


def test_a_condition_has_typed_verdicts_tables_and_figures(results: ub.Results) -> None:
    import matplotlib.pyplot as plt

    condition = results.condition(access="full", fraction=0.1)
    gap = condition.verdict("ft").gap
    assert gap is not None
    low, high = gap.interval()
    row = results.attacks.query("label == 'ft' and attack == 'rmia'").iloc[0]
    assert (low, high) == (row["gap_low"], row["gap_high"])
    table = condition.table("main")
    assert list(table.frame.iloc[:, 0])[:2] == ["original", "retrain"]
    assert "FT AUC" in table.to_markdown() and r"\toprule" in table.to_latex()
    assert "<table" in table._repr_html_()
    figure, ax = plt.subplots()
    assert condition.plot.gaps(metric="ft_auc", ax=ax) is ax
    assert ax.has_data()
    plt.close(figure)
    assert "gaps" in dir(condition.plot)
    assert "FT AUC" in results._repr_html_()


def test_what_is_not_there_is_said_in_a_line(results: ub.Results, tmp_path: Path) -> None:
    for wrong, message in (
        (lambda: results.condition(access="none"), "There are: access='full', fraction=0.1"),
        (lambda: results.condition().table("mian"), "Did you mean 'main'?"),
        (
            lambda: results.condition(access="full").verdict("fit"),
            "Unknown row 'fit'. Did you mean 'ft'?",
        ),
        (lambda: results.model("ft"), "not kept. Run it again with keep_weights=True"),
        (lambda: results.model("fd"), "Did you mean 'ft'?"),
        (lambda: results.model("original", seed=9), "has no run of seed 9. There are: 1, 2"),
        (lambda: ub.load(tmp_path / "digits"), "There are no results of 'digits'"),
        (lambda: ub.benchmark("digit"), "Did you mean 'digits'?"),
        (lambda: ub.benchmark("digits").set("recip.epochs", 1), "Did you mean 'recipe'?"),
        (lambda: ub.method("salun", kep=1), "Did you mean 'keep'?"),
        (lambda: ub.compare(results), "takes two results folders or more"),
        (
            lambda: ub.compare(results, results),
            "One folder was given twice. Give each run its own folder: results=FOLDER",
        ),
        (lambda: ub.run(methods=[int]), "is not a method"),  # type: ignore[list-item]
        (
            lambda: ub.run(methods=[ub.method("ga"), ub.method("ga", epochs=2)]),
            "Two methods would be the row 'ga'",
        ),
    ):
        with pytest.raises(ub.UserError, match=re.escape(message)):
            wrong()


def test_one_stands_where_several_may(results: ub.Results) -> None:
    digits = ub.benchmark("digits")
    for methods in ("ft", ub.method("ft"), type(ub.method("ft")), ["ft"]):
        assert Request(digits, Path(), Path(), methods).asked.labels == ["ft"]
    with pytest.raises(ub.UserError, match=r"There is no file net\.py\. Name a Python file"):
        ub.load(results.folder, plugins="net.py")
    with pytest.raises(ub.UserError, match="is not a method"):
        ub.run(methods=lambda: None)  # type: ignore[arg-type]
    own = Own.of(None, "net", None, None, None, "net.py", "seeds=2", "data")
    assert own.plugins == [Path("net.py")] and own.assignments == ["seeds=2"]


class Net:
    """Stand for a model of a cell."""


@pytest.mark.parametrize(
    ("call", "given", "said"),
    [
        (ub.apply, {"original": Net()}, "original= takes a file, not a value of type Net. Save it"),
        (ub.apply, {"model": Net}, "model= takes a name, not the class Net. Write a function buil"),
        (ub.apply, {"dataset": (1, 2)}, "dataset= takes a name, not a value of type tuple. Write "),
        (
            ub.apply,
            {"plugins": Net},
            "plugins= takes a file, not the class Net. Write it to a file",
        ),
        (ub.apply, {"original": "."}, "The folder . holds no model.safetensors. Name a .pt, .pth "),
        (ub.audit, {"retrains": [Net()]}, "retrains= takes a file, not a value of type Net. Save "),
        (ub.audit, {"test": np.arange(2)}, "test= takes a file, not a value of type ndarray. Writ"),
        (ub.audit, {"unlearned": "u.npz"}, "Of outputs, forget= takes a file of row numbers. Writ"),
    ],
)
def test_what_must_be_in_a_file_is_said_in_a_line(
    call: Callable[..., Any], given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"model": "small-cnn", "dataset": "digits", "forget": [1]}
    if call is ub.apply:
        asked |= {"method": "ft", "original": "o.pt", "out": tmp_path / "out"}
    else:
        asked |= {"unlearned": "u.pt"}
    with pytest.raises(ub.UserError, match=f"^{re.escape(said)}"):
        call(**asked | given)


def test_a_mistake_is_shown_in_a_notebook_as_the_command_line_prints_it() -> None:
    assert ub.UserError("It is gone.", "Name another.")._render_traceback_() == [
        "UserError: It is gone. Name another."
    ]


def test_what_is_told_before_there_is_a_plan_has_no_bar() -> None:
    with patch("IPython.display.display") as display:
        _NotebookBar().told("3 retrained models")
    assert display.call_args.args[0].data == "<div>3 retrained models</div>"


def test_figures_that_are_not_there_are_attributes_that_are_not_there(results: ub.Results) -> None:
    with pytest.raises(AttributeError, match="Did you mean 'gaps'"):
        results.condition().plot.gasp()


def test_an_original_is_a_model_again(results: ub.Results) -> None:
    import torch

    model = results.model("original", seed=2)
    assert not model.training
    with torch.no_grad():
        assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_comparing_and_ranking(results: ub.Results, tmp_path: Path) -> None:
    review = ub.compare(results, ROOT / "results" / "digits@epyc-2")
    assert "changes" in review.tables and "<table" in review._repr_html_()
    ranked = ub.rank([results, ROOT / "results" / "digits@epyc-2"])
    assert ranked.report(tmp_path / "ranks").exists()


SCRIPT = '''
import sys
import unlearnbench as ub
from torch import nn
from unlearnbench.toolkit import finetune


class HalfAgain(ub.Method):
    """Fine-tune on the retain set for half as long."""

    paper = "https://arxiv.org/abs/1911.04933"
    needs_retain = True
    lr: float = ub.param(0.01, gt=0, help="learning rate")

    def unlearn(self, model: nn.Module, task: ub.Task) -> nn.Module:
        return finetune(model, task.require_retain(), lr=self.lr, epochs=1, seed=task.seed)


class Ear(ub.Listener):
    def __init__(self):
        self.heard = []

    def planned(self, outlook):
        self.heard.append(len(outlook.state.open))

    def ended(self, event):
        self.heard.append(event.label)


if __name__ == "__main__":
    ear = Ear()
    bench = ub.benchmark(sys.argv[1], seeds=1).set("recipe.epochs", 2)
    methods = ["ft", HalfAgain(lr=0.02), ub.method("rl", epochs=1)]
    results = ub.run(bench, methods=methods, keep_weights=True, listener=ear, jobs_per_device=1)
    assert ear.heard[0] == len(ear.heard) - 1, ear.heard
    assert ear.heard.count("half-again") == 1
    labels = list(dict.fromkeys(results.runs["label"]))
    assert labels == ["original", "retrain", "ft", "half-again", "rl"], labels
    model = results.model("half-again")
    assert model(__import__("torch").zeros(2, 1, 8, 8)).shape == (2, 10)
    again = ub.load("results/tiny", methods=[HalfAgain])
    assert again.summary.equals(results.summary)
    without = ub.load("results/tiny")  # what a report needs to know of the class is stored
    assert without.summary.equals(results.summary)
'''


@pytest.mark.slow
def test_a_class_of_a_script_runs_in_workers_and_its_model_is_kept(
    tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", str(tiny)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "a run of the library prints nothing"


def block() -> str:
    """Return the code block of the guide's page about the library."""
    page = (ROOT / "docs" / "guide" / "library.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)[:1]
    return str(code)


SUPPLIED = dedent(
    """
    import matplotlib.pyplot as plt
    import unlearnbench as ub
    from unlearnbench.toolkit import finetune

    class MyMethod(ub.Method):
        '''Fine-tune on the retain set.'''

        paper = "https://arxiv.org/abs/1911.04933"
        needs_retain = True
        lr: float = ub.param(0.01, gt=0, help="learning rate")

        def unlearn(self, model, task):
            return finetune(model, task.require_retain(), lr=self.lr, epochs=2, seed=task.seed)

    figure, ax = plt.subplots()
    kept = ub.benchmark("digits", seeds=3).set("recipe.epochs", 10)
    ub.run(kept, methods=["amun"], keep_weights=True)
    """
)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with published results beside which the guide's code is run."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "results").mkdir()
    (folder / "results" / "digits@epyc-2").symlink_to(ROOT / "results" / "digits@epyc-2")
    return folder


@pytest.mark.slow
def test_the_guides_code_runs_as_a_script(desk: Path) -> None:
    (desk / "script.py").write_text(SUPPLIED + block())
    done = subprocess.run([sys.executable, "script.py"], cwd=desk, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (desk / "reports" / "digits" / "index.html").exists()


def run_cells(cells: Iterable[str], folder: Path, *, errors: bool = False) -> list[list[Any]]:
    """Run a notebook of these cells in a folder; return what each shows."""
    import nbformat
    from nbclient import NotebookClient

    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code) for code in cells])
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, allow_errors=errors, resources=place).execute()
    return [cell["outputs"] for cell in notebook.cells]


def count_of(kind: str, shown: Iterable[Any]) -> int:
    return sum(kind in out.get("data", {}) for out in shown)


@pytest.mark.slow
def test_the_guides_code_runs_as_a_notebook(desk: Path) -> None:
    shown = [out for cell in run_cells((SUPPLIED, block()), desk) for out in cell]
    assert any("<progress" in str(out.get("data", {}).get("text/html")) for out in shown)


@pytest.mark.slow
def test_a_notebook_shows_each_figure_once_and_a_mistake_in_a_line(tmp_path: Path) -> None:
    load = f"import unlearnbench as ub; full = ub.load({str(PUBLISHED)!r}).condition()"
    drawn = ["full.plot.gaps(metric='ft_auc')", "full.plot.gaps()", "full.plot.gaps();"]
    own = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    _, *figures, (wrong,) = run_cells(
        [load, *drawn, own, "full.table('mian')"], tmp_path, errors=True
    )
    assert [count_of("image/png", shown) for shown in figures] == [1, 1, 1, 1]
    (line,) = wrong["traceback"]
    assert line.startswith("UserError: Unknown table 'mian'. Did you mean 'main'?")


MINE = """
import numpy as np, torch, unlearnbench as ub
from sklearn.datasets import load_digits

digits = load_digits()
x, y = (255 * digits.images[:, None] / 16).round().astype("uint8"), digits.target.astype("int64")
np.savez("images.npz", x=x[:200], y=y[:200], x_test=x[200:300], y_test=y[200:300])
"""
TRAINED = """
from net import build

torch.save(build(10, 1, 8).state_dict(), "original.pt")
"""
SMALL = "seeds=1).set('recipe.epochs', 1).set('references.count', 2).set('controls', False)"


@pytest.mark.slow
def test_the_guides_own_model_images_list_and_metric_are_used(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guide" / "library.md").read_text()
    sweep, *own = (
        code
        for title in ("## Sweep a setting", "## Your own model, images, list, metric")
        for code in re.findall(r"```python\n(.*?)```", page.partition(title)[2], flags=re.S)
    )
    net, images, metric, applied, benchmark = own[-5:]
    small = benchmark.replace("seeds=4)", SMALL)
    assert small != benchmark
    cells = [MINE, net, images, metric, TRAINED, applied, small, sweep]
    *_, first, ran, swept = run_cells(cells, tmp_path)
    bars = [out for out in first if "<progress" in str(out.get("data", {}).get("text/html"))]
    assert len(bars) == 2, "of apply and of the audit"
    assert "amun applied to original.pt: 3 of 3 models" in bars[0]["data"]["text/html"]
    assert "forget_sure" in first[-1]["data"]["text/plain"] and "amun" in str(first[-1])
    assert "mine: " in str(ran) and "results-10/mine" in str(swept)
