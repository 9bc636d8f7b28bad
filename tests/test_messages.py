"""What a newcomer mistypes or does not know: each is said in one line, with what to do."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from unlearnbench.api import apply, making, samples
from unlearnbench.api.audit import Audit, look_into
from unlearnbench.api.listener import Listener
from unlearnbench.api.own import Own
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.api.session import begin, follow, too_few
from unlearnbench.cli import catalogue
from unlearnbench.data.outputs import Parts
from unlearnbench.errors import DataError, UserError, unknown
from unlearnbench.evaluation.findings import Findings
from unlearnbench.execution import trying
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.given import Given
from unlearnbench.reporting import caveats
from unlearnbench.scheduling import apart, estimate
from unlearnbench.scheduling.estimate import from_store
from unlearnbench.storage.asked import facts_of, remember
from unlearnbench.storage.finding import results_folder
from unlearnbench.storage.store import Store


def asked(
    name: str = "digits", *changes: str, methods: list[str] | None = None, results: str = "results"
) -> Request:
    setup = benchmark(name, seeds=1)
    return Request(setup, Path("data"), Path(results), methods, assignments=changes)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which all is typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_that_is_not_here_is_no_unknown_benchmark(here: Path) -> None:
    (here / "pets.toml").write_text("title = 'Pets'\n")
    for name, message in {
        "none.toml": "There is no file none.toml here. Name a file by its path",
        "digits.toml": "The benchmark that ships is named without .toml: digits.",
        "pets": "Unknown benchmark 'pets'. The file here is pets.toml: name that.",
    }.items():
        with pytest.raises(UserError, match=message):
            benchmark(name)


def test_all_keys_that_a_benchmark_misses_are_said_at_once(here: Path) -> None:
    own = "data.name = 'digits'\ndata.train = 100\n"
    (here / "pets.toml").write_text(own)
    missing = "title, model, forget, seeds"
    with pytest.raises(UserError, match=f"pets: these keys are missing: {missing}. .* --seeds 4 "):
        prepare(Request(benchmark("pets.toml"), here, here))
    least = own + "title = 'Pets'\nmodel = 'small-cnn'\nforget.fractions = [0.1]\n"
    (here / "pets.toml").write_text(least)
    assert len(prepare(asked("pets.toml", methods=["ft"])).benchmark.seeds.forget) == 1


SETTINGS = {
    "swpa=true": "Unknown row or table: 'swpa'. Did you mean 'swap'?",
    "seed=2": "--set seed=2: seeds is a table, of originals, forget and runs. Use --seeds 2 for",
    "seeds=2": "--set seeds=2: seeds is a table, of originals, forget and runs. Use --seeds 2 for",
    "lr=0.1": "Cannot read --set lr=0.1. Write it with its table or row",
    "SalUn.kep=0.3": "Unknown hyperparameter of salun: 'kep'. Did you mean 'keep'?",
    "ft.foo=1": "Known: decay_every, epochs, lr; and, as every method: batch_size, momentum,",
}


@pytest.mark.parametrize("change", SETTINGS)
def test_a_setting_that_is_none_is_answered_with_what_is_meant(change: str) -> None:
    with pytest.raises(UserError) as refused:
        prepare(asked("digits", change))
    assert SETTINGS[change] in str(refused.value)


def test_methods_are_found_in_any_case_and_by_the_names_that_tables_show() -> None:
    typed = ["AMUN", "SalUn", "NegGrad+", "AMUN-closest", "amun"]
    rows = prepare(asked("digits", "AMUN.lr=0.03", methods=typed)).benchmark.methods
    assert list(rows) == ["retrain", "amun", "salun", "neggrad-plus", "amun-closest"]
    assert rows["amun"].settings["lr"] == 0.03 and rows["amun-closest"].method == "amun"
    with pytest.raises(UserError, match="Unknown method 'AMUM'"):
        prepare(asked(methods=["AMUM"]))


def test_of_a_thousand_names_an_error_lists_a_few() -> None:
    said = str(unknown("model of timm", "no_such", [f"net_{n:04}" for n in range(1281)]))
    assert said.startswith("Unknown model of timm: 'no_such'. Known: net_0000, net_0001, ")
    assert said.endswith(", net_0079, and 1,201 more.")


def test_what_no_verdict_can_come_of_is_said_before_the_work(here: Path) -> None:
    (here / "list.txt").write_text("1\n2\n")
    digits = benchmark("digits")
    # All of the samples of one class are one forget set, whatever its seed.
    named = digits.set("forget.kind", "class").set("forget.target", 3).set("forget.fractions", [1])
    for setup, said in (
        (digits.repeated(1), "1 forget set is too few for any verdict, which takes 3 or more."),
        (digits.repeated(2), "2 forget sets are too few for any verdict, which takes 3 or more."),
        (digits.forgetting("list.txt"), "2 retrained models to compare with are too few for any"),
        (digits.repeated(3), ""),
        (digits.forgetting("list.txt").set("seeds.retrains", 5), ""),
        (named, "2 retrained models to compare with are too few for any"),
        (named.set("seeds.retrains", 4), ""),
        (named.set("forget.fractions", [0.5]), ""),
    ):
        assert "".join(too_few(setup.benchmark)).startswith(said)
        assert bool(said) == any(too_few(setup.benchmark))


class Ear(Listener):
    """Keep what is heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def told(self, text: str) -> None:
        """Hear a line."""
        self.heard.append(text)


def test_an_audit_says_first_how_many_retrained_models_it_takes() -> None:
    ear, given = Ear(), Path("none.pt")
    own = Own(model="small-cnn", dataset="digits", forget="none.txt")
    for retrains in ([given], [given] * 3):
        with pytest.raises(UserError, match="There is no file"):
            look_into(Audit(own, {"one": [given], "retrain": retrains}, Parts()), "results", ear)
    (line,) = ear.heard
    assert line.startswith("1 retrained model: too few for any verdict. Give four or more (--retr")


def test_apply_takes_the_settings_of_its_benchmark_and_says_which(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "original.pt").write_bytes(b"weights")
    monkeypatch.setattr(apply, "try_files", lambda *_: (samples.DataSeen(), None))
    monkeypatch.setattr(apply, "follow", stop)

    def asked_of(own: Own, method: str) -> tuple[dict[str, Any], str]:
        ear = Ear()
        with pytest.raises(StoppedError) as made:
            apply.carry_out(own, method, Path("original.pt"), Path("out"), ear)
        (row,) = [row for row in made.value.planned.methods.values() if row.method != "retrain"]
        return row.settings, "".join(ear.heard)

    tuned, said = asked_of(Own("digits", assignments=["amun.lr=0.02"]), "AMUN")
    assert (tuned["lr"], tuned["decay_every"]) == (0.02, 3)
    assert said == (
        "Settings of amun: those of amun in the benchmark digits; changed: amun.lr=0.02."
    )
    alone = Own(model="small-cnn", dataset="digits", forget=here / "list.txt")
    (here / "list.txt").write_text("1\n")
    plain, said = asked_of(alone, "amun")
    assert (plain["lr"], plain["decay_every"]) == (0.01, 1)
    assert "amun: its defaults, which nobody chose for this model; benchmark='NAME' (--b" in said


@pytest.mark.parametrize("given", [None, Given()])
def test_a_failed_or_stale_run_is_sent_to_what_makes_it_again(given: Given | None) -> None:
    failed = {"label": "u", "run": "u-s1", "error": "it diverged"}
    asked_for: Any = SimpleNamespace(given=given)
    none = pd.DataFrame()
    found = Findings(asked_for, none, none, none, failures=[failed], stale={"u": {"x": 1}})
    said = [*caveats._of_runs(found)]
    for option in ("retry_failed=True (--retry-failed)", "retry_stale=True (--retry-stale)"):
        assert any(option in line for line in said) == (given is None), "of Python and a terminal"
    assert sum("he command that made" in line for line in said) == (2 if given else 0)


def test_an_audit_is_not_sent_to_options_of_a_run() -> None:
    own = Own("digits", assignments=["seeds=2"])
    given = {"one": [Path(__file__)]}
    with pytest.raises(UserError, match=r"Cannot use --set seeds=2\. There is one forget set,"):
        look_into(Audit(own, given, Parts()), "results", Ear())


def test_numbers_that_can_be_listed_are_written_down_where_samples_are_drawn(here: Path) -> None:
    (here / "list.txt").write_text("0\n1\n2\n3\n")
    request = asked("digits", "forget.list=list.txt", methods=["ft"])
    planned = prepare(request)
    with pytest.raises(DataError, match="samples cannot be used: 0 is held out") as refused:
        samples.look_over(request, planned.benchmark)
    table = Path("results", "digits", "samples.csv")
    assert str(refused.value).endswith(f"column id of {table}, where part is train.")
    frame = pd.read_csv(table)
    training = frame.loc[frame["part"] == "train", "id"]
    assert len(training) == 500 and 0 not in set(training)
    (here / "list.txt").write_text("\n".join(map(str, training[:9])))
    request = asked("digits", "forget.list=list.txt", methods=["ft"])
    seen = samples.look_over(request, prepare(request).benchmark)
    assert seen.data is not None
    alone, whole = Store(here / "alone"), Store(here / "whole")
    samples.DataSeen(seen.data).note(alone)
    assert (alone.folder / "samples.csv").read_text() == table.read_text()
    spec = seen.data
    samples.DataSeen(replace(spec, ids=np.arange(len(spec.ids)))).note(whole)
    assert not whole.folder.exists(), "all samples are used: their numbers are their places"


def test_a_budget_whose_first_model_fails_is_refused_in_a_line(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "work_off", lambda *_: False)
    request = replace(asked("digits", methods=["ft"]), budget=60.0)
    with pytest.raises(UserError, match="The first model could not be made, so nothing is known"):
        begin(request, Listener())


def test_data_that_were_looked_over_for_a_budget_are_not_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[samples.DataSeen] = []

    def counted(*given: Any) -> samples.DataSeen:
        looked.append(into(*given))
        return looked[-1]

    into, before = samples._look_into, iter([estimate.Pace()])
    monkeypatch.setattr(samples, "_look_into", counted)
    monkeypatch.setattr(making, "work_off", lambda *_: True)
    learnt = estimate.Pace(rates=[1e-3])
    monkeypatch.setattr(estimate, "from_store", lambda *_: next(before, learnt))
    follow(replace(asked("digits", methods=["ft"]), budget=60.0), Listener())
    assert len(looked) == 1


def kept(*folders: str) -> None:
    """Make folders that hold findings alone."""
    for folder in map(Path, folders):
        folder.mkdir(parents=True)
        (folder / "findings.json").touch()
        (folder / "benchmark.toml").touch()


def test_results_are_named_or_given_by_their_path(here: Path) -> None:
    kept("results/digits", "else/digits", "digits@epyc-2")
    (here / "pets").mkdir()
    usual, place = Path("results"), Path("results/digits")
    for named in ("digits", "results/digits", "results/digits/", "some/digits.toml", place):
        assert results_folder(named, usual) == place
    assert results_folder("digits", Path("else")) == Path("else/digits")
    assert results_folder("digits@epyc-2", usual) == Path("digits@epyc-2")
    assert results_folder(here / place, usual) == here / place
    with pytest.raises(UserError, match=r"--results takes the folder that they are in\. Write"):
        results_folder("digits", Path("results/digits"))
    with pytest.raises(UserError, match=r"Write --results results\.$"):
        begin(asked("digits", results="results/digits"), Listener())


def test_where_results_are_not_there_what_is_there_is_listed(here: Path) -> None:
    kept("results/digits@epyc-2", "results/digits-half@epyc-2")
    (here / "pets.toml").touch()
    usual = Path("results")
    for named, said in {
        "digits": "of 'digits' in the folder results. There are: digits@epyc-2. Run it first: unle",
        "digits@x": "of 'digits@x' in the folder results. There are: digits@epyc-2.",
        "svhn": "results. There are: digits-half@epyc-2, digits@epyc-2.",
        "pets": "There are: digits-half@epyc-2, digits@epyc-2. Run it first: unlearnbench run pets",
        "results/x": "of 'x' in the folder results. There are: digits-half@epyc-2, digits@epyc-2.",
        "a\\b": "is no folder of results. Name it as it is called below --results, or give its",
    }.items():
        with pytest.raises(UserError) as refused:
            results_folder(named, usual)
        assert said in str(refused.value)
        assert "run digits@x" not in str(refused.value)
    with pytest.raises(UserError, match=r"There are no results of 'x' in this folder\.$"):
        results_folder("x", Path())


def test_what_is_published_tells_how_long_the_first_run_takes(here: Path) -> None:
    def taken(*changes: str, name: str = "digits") -> float | None:
        plan = prepare(asked("digits", *changes, methods=["ft"])).plan
        return from_store(plan, Store(here / name)).total(plan.nodes.values())

    usual, longer = taken(), taken("recipe.epochs=60")
    assert usual and longer and 1.7 * usual < longer < 2 * usual
    assert taken("model=resnet8") is None and taken(name="else") is None


def test_a_method_that_was_run_before_is_asked_for_by_its_file(here: Path) -> None:
    (here / "noisy-ft.py").write_text(METHOD)
    request = replace(asked(methods=["noisy-ft"]), plugins=[Path("noisy-ft.py")])
    planned = prepare(request)
    store = Store(Path("results/digits"))
    remember(store, planned.benchmark, facts_of(planned.benchmark, planned.plugins))
    said = "The method 'noisy-ft' is not here, but results/digits has runs of it. Give its file"
    for forgotten in (
        lambda: prepare(asked(methods=["amun", "noisy-ft"])),
        lambda: prepare(asked("digits", "noisy-ft.sigma=1", methods=["amun", "noisy-ft"])),
        lambda: catalogue.methods("noisy-ft"),
    ):
        with pytest.raises(UserError, match=f"{said} again: --plugin noisy-ft.py."):
            forgotten()
    (here / "noisy-ft.py").rename(here / "other.py")
    with pytest.raises(UserError, match=f"{said} again: --plugin noisy-ft.py."):
        catalogue.methods("noisy-ft")
    with pytest.raises(UserError, match="Unknown method 'noisy'"):
        catalogue.methods("noisy")


class StoppedError(Exception):
    """Hold what would be made."""

    def __init__(self, planned: Benchmark) -> None:
        """Hold the benchmark."""
        self.planned = planned


def stop(request: Request, *_: object) -> None:
    """Stop where the work would begin."""
    raise StoppedError(prepare(request).benchmark)


METHOD = """
from unlearnbench import Method, param

class Noisy(Method):
    paper = "https://example.org"
    sigma: float = param(0.1, gt=0, help="noise")
    def unlearn(self, model, task):
        return model
"""


def test_a_check_ends_with_its_sum_and_the_next_command(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "noisy ft.py").write_text(METHOD)
    monkeypatch.setattr(apart, "in_own_process", nullcontext)
    last = []
    for problem in (None, "it is broken"):
        tried = [("Be documented", None), ("Forget one", problem)]
        monkeypatch.setattr(trying, "examine", lambda *_, tried=tried: iter(tried))
        with pytest.raises(typer.Exit):
            catalogue.check(Path("noisy ft.py"))
        last.append(capsys.readouterr().out.splitlines()[-1])
    assert last == [
        "2 of 2 checks passed. Next: unlearnbench run --plugin 'noisy ft.py' --methods 'noisy ft'",
        "1 of 2 checks passed.",
    ]
