"""What a user types and sees."""

from __future__ import annotations

import errno
import json
import resource
import shutil
from pathlib import Path

import pandas as pd
import pytest

import unlearnbench as ub
from tests.conftest import Cli, allowed
from unlearnbench.registry import shipped


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--methods", "amun,salum"], "Did you mean 'salun'?"),
        (["run", "digit"], "Unknown benchmark 'digit'. Did you mean 'digits'?"),
        (["run", "--set", "data.name=digitz"], "Unknown dataset 'digitz'. Did you mean 'digits'?"),
        (["run", "--set", "salun.kep=0.3"], "hyperparameter of salun: 'kep'. Did you mean 'keep'?"),
        (["run", "--set", "recip.epochs=3"], "row or table: 'recip'. Did you mean 'recipe'?"),
        (["run", "--set", "salum.keep=0.3"], "row or table: 'salum'. Did you mean 'salun'?"),
        (["run", "--set", "salun.keep=3"], "salun.keep = 3"),
        (["run", "--set", "forget.fractions=[1.2]"], "fraction 1.2 is outside (0, 1)"),
        (["run", "--devices", "gpu"], "There is no device 'gpu' here. This machine has cpu"),
        (["run", "broken.toml"], "broken.toml is not valid TOML"),
        (
            ["run", "pets.toml"],
            "There is no folder data/pets/train. pets (--path) is seen from data",
        ),
        (["run", "--plugin", "none.py"], "none.py. Name a Python file, by its path."),
        (
            ["run", "--plugin", "bad.py"],
            "does not import: ModuleNotFoundError: No module named 'x1'",
        ),
        (["run", "--plugin", "empty.py"], "empty.py is no plugin. It must hold one class with"),
        (["report"], "no results of 'digits' in the folder results. Run it first: unl"),
        (["methods", "amum"], "Did you mean 'amun'?"),
        (["check", "none.py"], "There is no file none.py. Name a Python file, by its path."),
        (["methods", "neggrad"], "Did you mean 'neggrad-plus'?"),
        (["methods", "foo"], "Unknown method 'foo'. Known: amun, "),
        (["benchmarks", "digit"], "Did you mean 'digits'?"),
        (["datasets", "cifar1"], "Did you mean 'cifar10'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    inside: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "broken.toml").write_text("title = 'x\n[data")
    (tmp_path / "pets.toml").write_text(
        'title = "Pets"\nmodel = "resnet8"\n[data]\nname = "folder"\npath = "pets"\n'
        "[forget]\nfractions = [0.1]\n[seeds]\noriginals = [1]\nforget = [1]\nruns = [1]\n"
    )
    (tmp_path / "bad.py").write_text("import x1\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    done = inside(*words)
    assert done.code == 2, done.out + done.err
    assert message in one_line(done.err)


def spent() -> float:
    """Return the seconds of work of all commands typed so far: other tests run beside this one."""
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


def test_light_commands_are_fast(cli: Cli) -> None:
    for words in (["--help"], ["methods"]):
        times = []
        for _ in range(3):
            start = spent()
            assert cli(*words).code == 0
            times.append(spent() - start)
        assert min(times) < allowed(0.5), words


def test_lists_and_explanations(inside: Cli) -> None:
    names = sorted(path.stem for path in shipped("methods").glob("*.py"))
    listed = inside("methods").out
    assert [line.split()[0] for line in listed.splitlines()] == names and "amun" in names
    told = inside("methods", "salun").out
    assert "keep" in told and "share of weights that may change" in told and "2310.12508" in told
    assert "fashion-mnist" in inside("benchmarks").out
    assert 'model = "small-cnn"' in inside("benchmarks", "digits").out
    assert "house numbers" in inside("datasets", "svhn").out
    assert "small-cnn           A small convolutional net" in inside("models").out
    assert inside("--version").out == f"unlearnbench {ub.__version__}\n"


def test_dry_run_shows_the_plan_and_makes_nothing(inside: Cli, tmp_path: Path) -> None:
    done = inside("run", "--dry-run", "--methods", "amun")
    assert done.code == 0 and "reference" in done.out
    assert "on two cores like those of the published results" in done.out
    assert "not known" not in done.out and "?" not in done.out
    assert "(shared): work that several rows have in common" in done.out
    assert "(relearning): the audit 'relearning' of the models that are made before" in done.out
    assert not (tmp_path / "results").exists()


def test_a_run_leaves_what_the_design_says(finished: Path) -> None:
    folder = finished / "results" / "tiny"
    assert (folder / "benchmark.toml").exists()
    records = [json.loads(path.read_text()) for path in folder.glob("runs/*/record.json")]
    kinds = [record["spec"]["kind"] for record in records]
    assert (kinds.count("original"), kinds.count("reference"), kinds.count("unlearn")) == (2, 4, 8)
    assert len(list((folder / "models").iterdir())) == 2
    assert len(list((folder / "splits").iterdir())) == 2
    logits = {path.parent.name.split("-")[0] for path in folder.glob("runs/*/logits.npz")}
    assert logits == {"original", "retrain", "ft", "rl"}
    retrain = next(r for r in records if r["spec"]["method"] == "retrain")
    assert retrain["seconds"]["total"] > 0 and len(retrain["trace"]) == 4
    assert retrain["environment"]["torch"] and retrain["source"] and retrain["forget hash"]


def test_doing_it_again_finds_everything_done(cli: Cli, finished: Path, tiny: Path) -> None:
    times = []
    for _ in range(2):
        start = spent()
        done = cli("run", tiny, "--methods", "ft,rl", cwd=finished)
        times.append(spent() - start)
        assert done.code == 0 and "14 done" in done.out
    assert min(times) < allowed(2)
    said, _, _ = done.out.partition("Method")
    assert "2 forget sets are too few for any verdict, which takes 3 or more." in said
    assert "seeds=4 (--seeds 4) keeps what is done and goes on." in said
    rows = [line.split()[0] for line in done.out.splitlines() if line.strip()]
    shown = [row for row in rows if row in {"original", "retrain", "ft", "rl", "amun"}][:4]
    assert shown[:2] == ["original", "retrain"] and set(shown[2:]) == {"ft", "rl"}


def test_tables_are_tidy_and_agree(finished: Path) -> None:
    tables = finished / "reports" / "tiny" / "tables"
    summary = pd.read_csv(tables / "summary.csv")
    assert list(summary.columns) == [
        *("benchmark", "dataset", "model", "access", "fraction", "request", "method", "metric"),
        *("n", "sets", "mean", "std", "low", "high", "gap", "band", "band_single"),
    ]
    assert list(dict.fromkeys(summary["method"])) == ["original", "retrain", "ft", "rl"]
    runs = pd.read_csv(tables / "runs.csv")
    for method, own in runs.groupby("label"):
        row = summary[(summary["method"] == method) & (summary["metric"] == "ft_auc")].iloc[0]
        assert row["n"] == len(own) and row["mean"] == pytest.approx(own["ft_auc"].mean(), abs=1e-5)
    assert "seconds" not in runs and "seconds" in pd.read_csv(tables / "cost.csv")


@pytest.mark.slow
def test_two_runs_from_scratch_give_the_same_bytes(
    cli: Cli, inside: Cli, finished: Path, tiny: Path, tmp_path: Path
) -> None:
    done = cli("run", tiny, "--methods", "ft,rl", "--profile")  # one worker where there were two
    assert done.code == 0, done.err
    assert inside("report", "tiny").code == 0
    tables = Path("reports", "tiny", "tables")
    names = ("summary", "runs", "attacks", "pairs")
    for name in [*(f"{name}.csv" for name in names), "gaps-full-10-r1.tex", "gaps-full-10-r1.md"]:
        assert (tmp_path / tables / name).read_bytes() == (finished / tables / name).read_bytes()
    profile = (tmp_path / tables / "profile-full-10-r1.csv").read_text()
    for part in ("Data s", "Forward and backward s", "Update s", "Evaluation s", "Store s"):
        assert part in profile


def test_report_names_every_file_it_shows(finished: Path) -> None:
    folder = finished / "reports" / "tiny"
    text = (folder / "report.md").read_text()
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert {"reading.md", "attacks.md"} <= set(links)
    figures = [link for link in links if link.endswith(".png")]
    assert len(links) == 12 and all((folder / link).stat().st_size > 2000 for link in links)
    assert len(figures) == 10 and all((folder / link).stat().st_size > 5000 for link in figures)
    for link in figures:
        assert (folder / link).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    for words in ("## Settings", "epochs = 2", "| original |", "closest to retrain", "torch 2"):
        assert words in text


@pytest.mark.slow
def test_plain_lines_when_piped(
    finished: Path, cli: Cli, inside: Cli, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    done = cli("run", tiny, "--methods", "ga")
    assert done.code == 0
    assert "\x1b" not in done.out and done.out.count("done    ga") == 2
    # Rows that were asked for earlier stay in the report, beside the new one.
    assert inside("report", "tiny").code == 0
    summary = pd.read_csv(tmp_path / "reports" / "tiny" / "tables" / "summary.csv")
    assert list(dict.fromkeys(summary["method"])) == ["original", "retrain", "ft", "rl", "ga"]


def test_a_budget_takes_whole_repetitions(
    finished: Path, inside: Cli, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    words = ["run", tiny, "--methods", "ft,rl", "--seeds", "4", "--dry-run", "--budget"]
    short = inside(*words, "0.01s")
    assert "2 of 4 repetitions fit in 0 s." in short.out and "14 models; 14 done" in short.out
    long = inside(*words, "1h")
    assert "4 of 4 repetitions fit in 60 min" in long.out or "4 of 4" in long.out
    assert "24 models; 14 done; 10 to make on 1 slot, about" in long.out
    kinds = {line.split()[0]: line.split()[1:] for line in long.out.splitlines() if line}
    assert kinds["rl"][:3] == ["4", "2", "2"] and kinds["rl"][-1] == "s"
    wrong = inside(*words, "soon")
    assert wrong.code == 2 and "Write it as 90s, 30m, 2h or 1d." in wrong.err


def test_a_similar_benchmark_tells_how_long_it_will_take(
    finished: Path, inside: Cli, tmp_path: Path
) -> None:
    shutil.copytree(finished / "results", tmp_path / "results")
    told = inside("run", "digits", "--methods", "ft", "--dry-run").out
    assert "cost not known yet" not in told and "10 done" not in told
    rows = [line.split() for line in told.splitlines()]
    models = [row for row in rows if row[:1] == ["original"] and row[1].isdigit()]
    assert [row[-1] for row in models] == ["s"]


def test_a_folder_that_cannot_be_written_is_one_line(
    inside: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    done = inside("run", tiny, "--methods", "ft")
    assert done.code == 2
    assert one_line(done.err).endswith("Read-only file system. Name a folder with --results.")


def test_data_that_no_run_can_be_made_of_is_one_line(cli: Cli, tiny: Path) -> None:
    done = cli("run", tiny, "--methods", "ft", "--set", "data.train=5000")
    assert done.code == 2 and "failed" not in done.out
    assert "too few samples for 5000 train" in one_line(done.err)


@pytest.mark.slow
def test_a_budget_learns_from_the_first_model(cli: Cli, tiny: Path) -> None:
    done = cli("run", tiny, "--methods", "ft", "--budget", "0.01s")
    assert done.code == 2 and "One repetition takes about" in done.err
    assert "Training the first model, to see how long one takes." in done.out
