"""Training curves, for whatever one follows runs with."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import unlearnbench as ub
from unlearnbench.errors import UserError

from .conftest import Cli

PUBLISHED = Path(__file__).parent.parent / "results" / "digits@epyc-2"


def test_the_curves_of_every_run_are_a_frame(finished: Path) -> None:
    results = ub.load(finished / "results" / "tiny")
    training = results.training
    runs = finished / "results" / "tiny" / "runs"
    records = {p.parent.name: json.loads(p.read_text()) for p in runs.glob("*/record.json")}
    assert set(training["name"]) == {name for name, record in records.items() if record["trace"]}
    assert {"original", "reference", "retrain", "ft", "rl"} <= set(training["label"])
    for name, epochs in training.groupby("name"):
        noted = records[str(name)]["trace"]
        assert epochs["epoch"].tolist() == list(range(1, len(noted) + 1))
        assert epochs["loss"].tolist() == [epoch["loss"] for epoch in noted]
        assert set(epochs["kind"]) == {records[str(name)]["spec"]["kind"]}


@pytest.mark.slow
def test_a_report_writes_them_as_a_table(finished: Path, inside: Cli, tmp_path: Path) -> None:
    done = inside("report", "tiny", "--training", "csv", "--reports", tmp_path, cwd=finished)
    path = tmp_path / "tiny" / "tables" / "training.csv"
    assert f"Training: {path}" in done.out and done.code == 0
    training = ub.load(finished / "results" / "tiny").training
    assert pd.read_csv(path)["run"].tolist() == training["run"].tolist()
    done = inside("report", "tiny", "--training", "csv", "--watch", cwd=finished)
    assert done.code == 2 and "--training goes with neither --compare nor --watch." in done.err


WRITER = """
import json
from pathlib import Path

class SummaryWriter:
    def __init__(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.file = Path(folder, "events.out.tfevents.1").open("x")
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def add_scalar(self, name, value, step):
        self.file.write(json.dumps([name, value, step]) + "\\n")
"""


def test_tensorboard_has_a_folder_a_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(ub)("torch.utils.tensorboard")
    exec(WRITER, vars(module))
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", module)
    results = ub.load(finished / "results" / "tiny")
    for _ in range(2):  # the second time in place of the first
        made = results.write_training("tensorboard", tmp_path)
    assert made == tmp_path / "tensorboard"
    assert {path.name for path in made.iterdir()} == set(results.training["name"])
    for name, epochs in results.training.groupby("name"):
        (file,) = (made / str(name)).iterdir()
        written = [json.loads(line) for line in file.read_text().splitlines()]
        losses = zip(epochs["loss"], epochs["epoch"], strict=True)
        assert written == [["loss", loss, epoch] for loss, epoch in losses]


def test_what_is_lacking_is_said_in_a_line(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="pip install tensorboard; or take a table"):
        ub.load(finished / "results" / "tiny").write_training("tensorboard", tmp_path)
    with pytest.raises(UserError, match="Make them: unlearnbench run digits"):
        ub.load(PUBLISHED).training  # noqa: B018


@pytest.mark.slow
def test_a_listener_hears_the_curve_of_each_model(tiny: Path, tmp_path: Path) -> None:
    heard = {}

    class Curves(ub.Listener):
        def ended(self, event: ub.Event) -> None:
            heard[event.run] = list(event.trace)

    bench = ub.benchmark(tiny, seeds=1).set("curves", True)
    results = ub.run(
        bench, methods=["ft"], results=tmp_path, listener=Curves(), devices="cpu", jobs_per_device=1
    )
    training = results.training.drop(columns=["name", "label"])
    for run, epochs in training.groupby("run"):
        told = pd.DataFrame(heard[str(run)])
        assert told["loss"].tolist() == epochs["loss"].tolist()
    (ft,) = results.runs.loc[results.runs["label"] == "ft", "run"]
    assert set(heard[ft][0]) == {"epoch", "loss", "forget_accuracy", "test_accuracy"}
    assert training.loc[training["run"] == ft, "test_accuracy"].notna().all()
