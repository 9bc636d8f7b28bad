"""Settings are chosen fairly: the same trials for all methods, on nothing that is reported."""

from __future__ import annotations

import json
import math
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY, Cli, Done, typed
from unlearnbench import registry
from unlearnbench.data.prepare import Data, DataSpec, draw_samples
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import End
from unlearnbench.tuning import outcome
from unlearnbench.tuning.candidates import Candidate, Sampler, Trial, standard_error
from unlearnbench.tuning.ranges import Range
from unlearnbench.tuning.trials import GAP, Tuned, blind

SMALL = TINY.replace("test = 120", "test = 120\nvalidation = 50").replace(
    "epochs = 4", "epochs = 2"
)
SMALL += 'lr = 0.5\n[methods.ft-long]\nmethod = "ft"\nepochs = 3\nlr = 0.3\n'
WORDS = ["--methods", "ft,rl", "--seeds", "1"]


def small(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which three trials of ft and rl have been made."""
    path = small(tmp_path_factory.mktemp("benchmark"))
    return typed(tmp_path_factory, "tuned", ["tune", path, *WORDS, "--trials", "3"])


def log(folder: Path, name: str = "small-tuning") -> pd.DataFrame:
    return pd.read_csv(folder / "reports" / name / "trials.csv")


def samples(changes: dict[str, object]) -> Data:
    spec = DataSpec.model_validate(tomllib.loads(SMALL)["data"] | changes)
    return draw_samples(registry.source(spec, Path()), spec)


def test_nothing_that_is_reported_is_used(tuned: Path) -> None:
    paths = (tuned / "results" / "small-tuning").glob("runs/*/record.json")
    records = [json.loads(path.read_text()) for path in paths]
    reported, tuning = samples({}), samples({"evaluate": "validation"})
    assert np.array_equal(tuning.test[0], reported.validation[0])
    for record in records:
        spec = record["spec"]
        assert record["data"] == tuning.digest and record["test"] == 50
        assert spec["seed"] == 1001 or spec["method"] == "retrain"
        assert spec["split"] is None or spec["split"]["seed"] == 1001
    assert [r["spec"]["kind"] for r in records].count("unlearn") == 2 + 2 * 3


def test_every_method_has_the_same_trials_and_the_best_is_chosen(tuned: Path) -> None:
    trials = log(tuned)
    assert trials.groupby("method").size().to_dict() == {"ft": 3, "rl": 3}
    assert list(trials["settings"][trials["trial"] == 0]) == ["lr=0.01", "lr=0.01"]
    best = trials.loc[trials.groupby("method")["value"].idxmin()]
    assert best.index.tolist() == trials.index[trials["chosen"] == "yes"].tolist()
    folder = tuned / "reports" / "small-tuning"
    chosen = tomllib.loads((folder / "chosen.toml").read_text())
    rates = [float(text.removeprefix("lr=")) for text in best["settings"]]
    assert chosen["methods"] == {
        "ft": {"epochs": 2, "lr": rates[0]},
        "rl": {"epochs": 2, "lr": rates[1]},
    }
    said = reading.validate({"name": "small"} | tomllib.loads(SMALL) | chosen).tuning
    assert said.words["log"] and sorted(said.searched) == ["ft", "rl"]
    told = " ".join((tuned / "tune.out").read_text().split())
    assert "average gap to the models retrained on these seeds" in told
    assert trials["standard_error"].isna().all(), "one forget set says nothing of its spread"
    cost = pd.read_csv(folder / "cost.csv")
    assert (cost["runs"] == 1).all() and (cost["seconds"] > 0).all()
    assert "seconds" not in trials


def tuned_again(inside: Cli, tuned: Path, folder: Path, lost: str, *more: str) -> Done:
    shutil.copytree(tuned / "results", folder / "results")
    for path in (folder / "results" / "small-tuning" / "runs").glob(lost):
        shutil.rmtree(path)
    return inside("tune", small(folder), *WORDS, "--trials", "3", *more)


@pytest.mark.slow
def test_a_search_that_was_killed_ends_with_the_same_choice(
    inside: Cli, tuned: Path, tmp_path: Path
) -> None:
    done = tuned_again(inside, tuned, tmp_path, "rl-*")
    assert done.code == 0 and "3 to make" in done.out
    old, new = (folder / "reports" / "small-tuning" for folder in (tuned, tmp_path))
    assert (old / "trials.csv").read_bytes() == (new / "trials.csv").read_bytes()
    tables = [tomllib.loads((folder / "chosen.toml").read_text()) for folder in (old, new)]
    assert tables[0]["methods"] == tables[1]["methods"]


def test_blind_tuning_trains_and_uses_no_retrained_model(
    inside: Cli, tuned: Path, tmp_path: Path
) -> None:
    done = tuned_again(inside, tuned, tmp_path, "retrain-*", "--blind")
    assert done.code == 0 and "11 models; 11 done" in done.out, "the trials are the same"
    assert "Blind score" in done.out and "no model was retrained for it" in done.out
    assert "Retrainings" not in done.out
    trials = log(tmp_path, "small-tuning-blind")
    assert trials["value"].notna().all() and not trials["value"].equals(log(tuned)["value"])


def test_without_an_original_no_trial_is_judged(inside: Cli, tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned / "results", tmp_path / "results")
    (original,) = (tmp_path / "results" / "small-tuning" / "runs").glob("original-*")
    (original / "record.json").unlink()
    (original / "error.txt").write_text("it failed")
    done = inside("tune", small(tmp_path), *WORDS, "--trials", "3")
    told = " ".join(done.out.split())
    assert done.code == 1 and f"without original ({original.name}), which failed" in told
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "data.validation=0"], "Benchmark small has no validation samples"),
        (["--set", "data.evaluate=validation"], "reports on its validation samples"),
        (["--set", "seeds.forget=[1, 1004]"], "Tuning takes seeds 1001 to 1004, but"),
        (["--set", "rl.rate=1"], "Unknown hyperparameter of rl: 'rate'"),
        (["--methods", "ft,rll"], "Unknown method 'rll'. Did you mean 'rl'?"),
        (["--methods", "ft", "--set", "ft.lr=0.1"], "There is no method to tune."),
        (["--methods", "ft", "--set", 'access=["forget-only"]'], "There is no method to tune."),
    ],
)
def test_mistakes_are_one_line(inside: Cli, tmp_path: Path, words: list[str], message: str) -> None:
    done = inside("tune", small(tmp_path), *words)
    assert done.code == 2 and message in done.err and len(done.err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_without_optuna_tuning_says_how_to_get_it(
    inside: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = inside("tune", small(tmp_path))
    assert done.code == 2 and "pip install 'unlearnbench[tune]'" in done.err


def test_only_the_search_names_optuna() -> None:
    package = Path(registry.__file__).parent
    naming = [path for path in package.rglob("*.py") if "import optuna" in path.read_text()]
    assert naming == [package / "tuning" / "candidates.py"]


def valley(settings: dict[str, float]) -> float:
    return abs(math.log10(settings["lr"]) + 3) + abs(settings["passes"] - 7)


def searched(counts: list[int]) -> list[dict[str, float]]:
    ranges = {"lr": Range(1e-5, 1e-1, whole=False), "passes": Range(1, 9, whole=True)}
    candidate = Candidate("x", "x", ranges, {"lr": 0.5, "passes": 3}, {})
    search = Sampler(candidate)
    for count in counts:
        start = len(candidate.trials)
        search.ask(count)
        for one in candidate.trials[start:]:
            one.by_set = {} if one.settings["lr"] > 0.05 else {1: valley(one.settings)}
        search.tell(start)
    return [one.settings for one in candidate.trials]


def test_the_search_begins_with_the_defaults_and_is_continued_by_beginning_anew() -> None:
    trials = searched([4, 4, 4])
    assert trials[0] == {"lr": 0.5, "passes": 3}, "also where they are outside the range"
    assert trials == searched([4, 4, 4]) and trials[:6] == searched([4, 2])
    for one in trials[1:]:
        assert 1e-5 <= one["lr"] <= 1e-1 and one["lr"] == float(f"{one['lr']:.2g}")
        assert one["passes"] in range(1, 10)


def test_a_range_of_a_factor_of_ten_is_searched_on_a_log_scale() -> None:
    assert Range(1, 10, whole=True).log and Range(1e-4, 1e-1, whole=False).log
    assert not Range(0.1, 0.9, whole=False).log and not Range(0, 10, whole=False).log


def test_values_near_an_end_are_found_on_the_scale_of_the_range() -> None:
    log, linear = Range(1e-5, 1e-1, whole=False), Range(0.1, 0.9, whole=False)
    assert log.place(1e-3) == pytest.approx(0.5) and linear.place(0.3) == pytest.approx(0.25)
    assert log.near_end(0.096) == log.near_end(0.5) == 1e-1 and log.near_end(2e-5) == 1e-5
    assert log.near_end(0.03) is None and linear.near_end(0.2) is None
    assert linear.near_end(0.15) == 0.1 and linear.near_end(0.85) == 0.9
    epochs = Range(1, 5, whole=True, bounds=(1,))
    assert epochs.near_end(1) is None, "nothing lies beyond"
    assert epochs.near_end(5) == 5


def made(*tried: tuple[float, list[float]]) -> Candidate:
    """Return a candidate of one rate, 0.01 by default, with trials: rate, value by forget set."""
    trials = [
        Trial("x", number, {"lr": rate}, dict(enumerate(values)))
        for number, (rate, values) in enumerate(tried)
    ]
    return Candidate("x", "x", {"lr": Range(1e-5, 1e1, False)}, {"lr": 0.01}, {}, trials=trials)


def rate(candidate: Candidate) -> float:
    assert candidate.chosen is not None
    return float(candidate.chosen.settings["lr"])


def test_the_safest_within_one_standard_error_of_the_best_is_chosen() -> None:
    best = 1.0, [1.0, 3.0]
    near = 0.1, [1.9, 2.9]  # 0.4 behind, and the standard error of that is 0.5
    far = 0.01, [1.5, 3.5]  # the defaults: 0.5 behind on both, so surely worse
    assert rate(made(best)) == rate(made(far, best)) == 1.0
    assert rate(made(far, best, near)) == 0.1
    assert rate(made((0.01, [1.0, 4.0]), best, near)) == 0.01, "0.5 behind, give or take 0.5"
    assert rate(made(near, best, (0.0001, [1.0, 3.5]))) == 0.1, "it is nearer on a log scale"
    wild = 0.01, [0.0, 7.0]  # 1.5 behind, give or take 2.5, where the best is sure to 1.0
    assert rate(made(wild, best)) == 1.0, "what scatters is not let in for it"
    assert rate(made((0.1, [2.0]), (1.0, [1.9]))) == 1.0, "one forget set has no standard error"
    assert rate(made((0.01, []), best)) == 1.0, "one that failed is not chosen"
    failed = made((0.01, []))
    assert failed.best is failed.chosen is None


def test_of_trials_as_close_to_the_defaults_the_better_is_chosen() -> None:
    both = (0.1, [1.0, 4.0]), (0.001, [1.0, 3.5])
    for pair in (both, both[::-1]):
        one = made((1.0, [1.0, 3.0]), *pair).chosen
        assert one is not None and one.value == 2.25


def test_standard_errors_by_hand() -> None:
    assert standard_error([2.0, 6.0]) == pytest.approx(2.0) and standard_error([2.0]) is None
    trial, best = (Trial("x", 0, {}, dict(enumerate(v))) for v in ([11.0, 4.0], [10.0, 1.0]))
    assert trial.value == 7.5 and trial.error == pytest.approx(3.5)
    points, error = trial.behind(best)
    assert points == 2.0 and error == pytest.approx(1.0), "in pairs"


def test_the_study_has_the_standard_errors() -> None:
    search = Sampler(made())
    search.ask(2)
    for trial, values in zip(search.candidate.trials, ([2.0, 6.0], [1.0]), strict=True):
        trial.by_set = dict(enumerate(values))
    search.tell(0)
    kept = [trial.user_attrs["standard_error"] for trial in search.study.trials]
    assert kept == [pytest.approx(2.0), None]


def test_a_choice_near_an_end_is_told_and_written_for_the_report() -> None:
    benchmark = reading.validate({"name": "small"} | tomllib.loads(SMALL))
    tuned = Tuned("tune", 2, [1001], benchmark, [made((0.01, [3.0]), (7.0, [2.0]))], GAP)
    (told,) = outcome.notes(tuned)
    assert (
        "x.lr = 7 (the range ends at 10)" in told
        and "widen the range" in told
        and "tune again" in told
    )
    written = tomllib.loads(outcome.chosen_toml(tuned, Path("trials.csv")))
    again = reading.validate({"name": "small"} | tomllib.loads(SMALL) | written)
    assert again.tuning.ends == [End(row="x", setting="lr", value=7, end=10)]
    assert "one standard error" in str(again.tuning)
    tuned.candidates[0].trials.pop()
    assert outcome.notes(tuned) == []


def test_the_blind_criterion_by_hand() -> None:
    common = {"access": "full", "fraction": 0.1, "request": 1, "forget_seed": 1}
    rows = [
        ("original", 1, 100.0, 90.0, 70.0),
        ("a", 1, 97.0, 92.0, 44.0),  # three points of retain accuracy lost, two of test gained
        ("a", 2, 97.0, 92.0, 44.0),  # whose original is not there
    ]
    names = ["label", "original_seed", "retain_accuracy", "test_accuracy", "ft_auc"]
    runs = pd.DataFrame([dict(zip(names, row, strict=True)) | common for row in rows])
    values = blind(runs, [])
    assert values.tolist()[:2] == pytest.approx([20 / 3, (3 + 0 + 6) / 3]) and np.isnan(values[2])


FRAGILE = '''
"""Fail at high rates."""
from torch import nn
from unlearnbench import Method, Task, param
class Fragile(Method):
    """Give the model back, or fail."""
    lr: float = param(0.9, help="rate", search=(0.1, 0.9))
    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        if self.lr > 0.6:
            raise ValueError("too fast")
        return model
'''


@pytest.mark.slow
def test_trials_that_fail_are_never_chosen(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(FRAGILE)
    words = ["--plugin", "fragile.py", "--methods", "fragile", "--seeds", "1", "--trials", "6"]
    done = cli("tune", small(tmp_path), *words)
    assert done.code == 1 and "fragile: trials that failed, which are never chosen: 0" in done.out
    trials = log(tmp_path)
    assert np.isnan(trials["value"][0]) and trials["chosen"].tolist().count("yes") == 1
    assert trials["value"][trials["chosen"] == "yes"].notna().all()


@pytest.mark.slow
def test_more_trials_later_are_the_same_as_all_at_once(
    cli: Cli, tuned: Path, tmp_path: Path
) -> None:
    path = small(tmp_path)
    apart, once = tmp_path / "apart", tmp_path / "once"
    shutil.copytree(tuned / "results", apart / "results")
    once.mkdir()
    for folder in (apart, once):
        assert cli("tune", path, *WORDS, "--trials", "6", cwd=folder).code == 0
    assert log(apart).equals(log(once)) and len(log(once)) == 12
