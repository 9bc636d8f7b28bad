"""Files of the user's: methods, models, data sets, audits, metrics and attacks, by `--plugin`."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import unlearnbench as ub
from tests.conftest import Cli
from unlearnbench import architectures, entries, registry
from unlearnbench.api.listener import Listener
from unlearnbench.api.request import Request
from unlearnbench.api.session import begin, make
from unlearnbench.audits.attacks import ATTACKS, HEADLINES, Samples, View
from unlearnbench.entries import enter, is_absent, version
from unlearnbench.errors import EntryError, UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.execution.trying import examine
from unlearnbench.files import seal, unseal
from unlearnbench.metrics.metric import COSTS, METRICS, Metric, of_kind
from unlearnbench.planning import reading
from unlearnbench.registry import Plugin
from unlearnbench.storage.store import Store

MLP = '''
"""A net with one hidden layer."""
from torch import nn

def build(classes, channels, size):
    """Flatten, 16 hidden units, a linear head."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * size * size, 16), nn.ReLU(), nn.Linear(16, classes)
    )
'''
STRIPES = '''
"""Stripes."""
import numpy as np
from unlearnbench.data import Pool, Source

class Stripes(Source):
    """Noisy 8x8 images of stripes in four directions."""
    def load(self):
        draw = np.random.default_rng(0)
        labels = draw.integers(0, 4, 300)
        row, column = np.indices((8, 8))
        stripes = np.stack([row, column, row + column, row - column]) % 4 < 2
        pixels = 60 + 120 * stripes[labels] + draw.normal(0, 40, (300, 8, 8))
        images = pixels.clip(0, 255).astype(np.uint8)[:, None]
        return Pool((images, labels), (images[:0], labels[:0]))
'''
METRIC = '''
"""How sure a model is of what it was asked to forget."""
from unlearnbench.metrics.metric import OfModel

sure = OfModel(
    "forget_sure", "Known surely", unit="%",
    function=lambda seen: 100 * float((seen.at(seen.view.confidence, "forget") > 0.5).mean()),
)
'''
ATTACK = '''
"""An attack on the modified entropy."""
from unlearnbench.audits.attacks import Attack

def low(view, references):
    return -view.signals["modified_entropy"].astype(float)

attack = Attack("Entropy", "low entropy", low, references=False, signal="modified_entropy")
'''
AUDIT = '''
"""An audit that changes nothing."""
import unlearnbench.authoring as ours
from unlearnbench.toolkit import outputs

class Same(ours.ModelAudit):
    """Look at the model once more."""
    def logits(self, model, case):
        return outputs(model, case.pool)
'''
METHOD = '''
"""A method that gives back what it is given."""
import unlearnbench as ub

class Lazy(ub.Method):
    """Do nothing."""
    paper = "https://example.org"
    def unlearn(self, model, task):
        return model
'''
HEIR = '''
"""A method with a base of its own."""
from .base import Base

class Heir(Base):
    """Do nothing."""
'''
FILES = {
    "mlp": MLP,
    "stripes": STRIPES,
    "sure": METRIC,
    "entropy": ATTACK,
    "same": AUDIT,
    "lazy": METHOD,
}
KINDS = {
    "mlp": "models",
    "stripes": "datasets",
    "sure": "metrics",
    "entropy": "attacks",
    "same": "model_audits",
    "lazy": "methods",
}
BENCHMARK = """
title = "All of one's own"
model = "mlp"
controls = false
others = false
plugins = ["mlp.py", "../more/stripes.py", "sure.py", "entropy.py", "same.py", "lazy.py"]
gap_terms = ["forget_accuracy", "forget_sure"]
headline = "entropy"
[data]
name = "stripes"
train = 120
test = 120
[recipe]
epochs = 2
lr = 0.05
batch_size = 32
[forget]
fractions = [0.1]
[seeds]
originals = [1]
forget = [1]
runs = [1]
[references]
count = 0
[model_audits.same]
[methods.lazy]
"""


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take out again what a test enters."""
    monkeypatch.setattr("unlearnbench.entries._entered", {})
    monkeypatch.setattr("unlearnbench.entries._standing", {})
    yield
    take_out()


SHIPPED = METRICS.copy(), ATTACKS.copy(), HEADLINES.copy(), COSTS.copy()


def take_out() -> None:
    """Leave what ships, as a process that has read no file of a user's."""
    for known, shipped in ((METRICS, SHIPPED[0]), (ATTACKS, SHIPPED[1]), (COSTS, SHIPPED[3])):
        for name in known.keys() - shipped.keys():
            del known[name]
    HEADLINES[:] = SHIPPED[2]
    entries._entered.clear()
    entries._standing.clear()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the file of a benchmark in which all is of the user's own, in a folder of its own."""
    return write_own(tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which that benchmark was run, with the weights kept."""
    folder = tmp_path_factory.mktemp("ran")
    own = str(write_own(folder))
    ub.run(own, results=folder / "results", keep_weights=True, jobs_per_device=1)
    take_out()
    return folder


def write_own(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        folder = tmp_path / ("more" if name == "stripes" else "own")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    (tmp_path / "own" / "whole.toml").write_text(BENCHMARK)
    return tmp_path / "own" / "whole.toml"


def written(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return [folder / f"{name}.py" for name in files]


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is_its_text_tells(tmp_path: Path, name: str) -> None:
    (path,) = written(tmp_path, **{name: "import nothing_that_there_is\n" + FILES[name]})
    assert Plugin.of(path).kind == KINDS[name], "and it is not imported for that"


def test_what_a_text_does_not_tell_importing_it_does(tmp_path: Path) -> None:
    heir, _ = written(tmp_path, heir=HEIR, base=METHOD.replace("Lazy", "Base"))
    assert Plugin.of(heir).kind == "methods"
    assert registry.method_class(registry.find("methods", [heir])["heir"]).__name__ == "Heir"


def test_a_shipped_file_has_one_name_behind_a_link_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the home folder is a link, or somebody's `Methods` is the folder `methods`."""
    folder, link, usual = registry.shipped("methods"), tmp_path / "link", registry.shipped
    link.symlink_to(folder)
    monkeypatch.setattr(
        registry, "shipped", lambda kind: link if kind == "methods" else usual(kind)
    )
    assert registry.find("methods", [folder / "salun.py"])["salun"].path == link / "salun.py"
    (other,) = written(tmp_path, salun=METHOD)
    with pytest.raises(UserError, match="Two methods are called 'salun'"):
        registry.find("methods", [other])


def test_what_a_system_leaves_beside_shipped_files_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS writes `._name` beside files on disks that are not its own."""
    (own,) = written(tmp_path, lazy=METHOD)
    for name in ("._lazy.py", "._lazy.toml"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "mine.toml").touch()
    monkeypatch.setattr(registry, "shipped", lambda kind: tmp_path)
    monkeypatch.setattr(reading, "shipped", lambda kind: tmp_path)
    assert registry.find("datasets") == {"lazy": Plugin("lazy", own)}
    assert reading.shipped_benchmarks() == {"mine": tmp_path / "mine.toml"}


@pytest.mark.parametrize("text", ["x = 1\n", "", "from unlearnbench import Method\n"])
def test_a_file_that_is_no_plugin_is_said(tmp_path: Path, text: str) -> None:
    (path,) = written(tmp_path, none=text)
    with pytest.raises(UserError, match=r"none\.py is no plugin\. It must hold one class with ba"):
        registry.find("models", [path])


@pytest.mark.slow
def test_files_of_all_kinds_go_through_a_run_a_report_and_a_library(own: Path, cli: Cli) -> None:
    """Typed from another folder than the file's: it names its plugins as seen from itself (B20)."""
    done = cli("run", own)
    assert done.code == 0, done.err + done.out
    folder = own.parent.parent
    found = ub.load(folder / "results" / "whole", plugins=files_of(own))
    assert {*found.runs["label"]} == {"original", "retrain", "lazy"}
    assert {"forget_sure", "auc: entropy", "same: forget_accuracy"} <= {*found.runs}
    assert "entropy" in set(found.attacks["attack"]), "an attack that is named is made"
    assert "same-accuracy" in set(found.verdicts["audit"])
    assert found.findings.stale == {}
    done = cli("report", "whole", *(word for file in files_of(own) for word in ("--plugin", file)))
    assert done.code == 0 and "Known surely" in (folder / "reports/whole/report.md").read_text()
    assert "Entropy" in (folder / "reports/whole/attacks.md").read_text()
    for place in ("own", "more"):
        (folder / place).rename(folder / f"{place} is gone")
    assert cli("report", "whole", "--reports", "without").code == 0
    pages = [path for path in (folder / "reports" / "whole").rglob("*") if path.is_file()]
    for path in pages:
        other = folder / "without" / path.relative_to(folder / "reports")
        assert other.read_bytes() == path.read_bytes(), path.name


def test_results_are_read_without_the_files_they_were_made_with(ran: Path) -> None:
    """With the numbers that were computed with them, to the last bit."""
    folder, files = ran / "results" / "whole", files_of(ran / "own" / "whole.toml")
    before = (folder / "metrics.json").read_bytes()
    without = ub.load(folder)
    assert METRICS["forget_sure"].title == "Known surely" and without.warnings
    told = without.findings.as_json()
    assert "is left out" not in told and "same-accuracy" in set(without.verdicts["audit"])
    assert ub.load(folder, plugins=files).findings.as_json() == told
    assert (folder / "metrics.json").read_bytes() == before, "nothing was computed"
    take_out()
    (ran / "findings.json").write_text(told)
    assert ub.load(ran).summary.equals(without.summary), "of findings alone too"


def test_a_model_of_ones_own_can_be_had_back(ran: Path) -> None:
    folder = ran / "results" / "whole"
    with pytest.raises(UserError, match=r"in mlp\.py, which is not here\. Give it: plugins=\['mlp"):
        ub.load(folder).model("lazy")
    model = ub.load(folder).model("lazy", plugins=[ran / "own" / "mlp.py"])
    assert [*model.state_dict()] == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert [*ub.load(folder, plugins=[ran / "own" / "mlp.py"]).model("lazy").state_dict()]


def test_what_cannot_be_computed_without_its_file_is_named(ran: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ran / "results" / "whole", tmp_path / "whole")
    path = next(folder.glob("runs/lazy-*/record.json"))
    path.write_text(seal(unseal(path.read_text()) | {"notes": {"changed": 1}}))
    kept = (folder / "metrics.json").read_bytes()
    found = ub.load(folder)
    said = [line for line in found.warnings if "is left out" in line]
    assert [line.partition(":")[0] for line in said] == [
        "The metric Known surely is left out",
        "The attack Entropy is left out",
    ]
    assert all(
        line.endswith(f"--plugin {file}.py.")
        for line, file in zip(said, ("sure", "entropy"), strict=True)
    )
    assert "forget_sure" not in found.runs and "forget_accuracy" in found.runs
    assert (folder / "metrics.json").read_bytes() == kept, "what is known there is not lost"
    found = ub.load(folder, plugins=files_of(ran / "own" / "whole.toml"))
    assert "forget_sure" in found.runs and not found.findings.broken


def test_what_is_known_of_plugins_goes_with_merged_runs_and_packs(
    ran: Path, tmp_path: Path, inside: Cli
) -> None:
    source = ran / "results" / "whole"
    merged, imported = tmp_path / "merged" / "whole", tmp_path / "imported" / "whole"
    assert inside("results", "merge", source, "--results", merged.parent).code == 0
    assert inside("results", "export", "whole", "--results", source.parent).code == 0
    assert inside("results", "import", "whole.zip", "--results", imported.parent).code == 0
    for folder in (merged, imported):
        take_out()
        assert (folder / "plugins.json").read_bytes() == (source / "plugins.json").read_bytes()
        assert str(ran) not in (folder / "benchmark.toml").read_text(), "nothing there is loaded"
        said = [line for line in ub.load(folder).warnings if "is left out" in line]
        assert len(said) == 2, "the metric and the attack"


def files_of(own: Path) -> list[Path]:
    """Return the plugins that a benchmark file names, to be named by who loads its results."""
    named: list[str] = tomllib.loads(own.read_text())["plugins"]
    return [own.parent / name for name in named]


@pytest.mark.parametrize(
    ("name", "change", "label"),
    [
        ("mlp", ("nn.ReLU()", "nn.Tanh()"), "the model mlp"),
        ("stripes", ("60 +", "50 +"), "the data set stripes"),
        ("same", ("Look at", "Look well at"), "the audit same"),
    ],
)
@pytest.mark.slow
def test_runs_made_before_such_a_file_changed_are_stale(
    own: Path, tmp_path: Path, name: str, change: tuple[str, str], label: str
) -> None:
    ub.run(str(own), results=tmp_path / "results", jobs_per_device=1)
    (path,) = own.parent.parent.glob(f"*/{name}.py")
    path.write_text(path.read_text().replace(*change))
    stale = ub.load(tmp_path / "results" / "whole", plugins=files_of(own)).findings.stale
    assert stale and all(label in changed for changed in stale.values())


@pytest.mark.slow
def test_metrics_are_computed_anew_when_their_file_or_a_helper_changes(
    own: Path, tmp_path: Path
) -> None:
    helper = own.parent / "limit.py"
    helper.write_text("LIMIT = 0.5\n")
    text = METRIC.replace("> 0.5", "> LIMIT").replace(
        "from unl", "from .limit import LIMIT\nfrom unl"
    )
    (own.parent / "sure.py").write_text(text)
    folder = tmp_path / "results"
    before = ub.run(str(own), results=folder, jobs_per_device=1).runs["forget_sure"]
    files = files_of(own)
    assert ub.load(folder / "whole", plugins=files).runs["forget_sure"].tolist() == before.tolist()
    helper.write_text("LIMIT = 0.0\n")
    assert ub.load(folder / "whole", plugins=files).runs["forget_sure"].tolist() == [100.0] * len(
        before
    )


def test_an_attacks_source_is_part_of_what_metrics_are_made_of(tmp_path: Path) -> None:
    (path,) = written(tmp_path, entropy=ATTACK)
    assert enter([path]) == ["entropy"] and "entropy" in HEADLINES
    first = version(ATTACKS["entropy"].score)
    path.write_text(ATTACK.replace("return -", "return +"))
    enter([path])
    assert first != version(ATTACKS["entropy"].score)
    assert all(version(one.score) is None for name, one in ATTACKS.items() if name != "entropy")


COST = """
from unlearnbench.metrics.metric import OfRecord

COST = OfRecord("energy", "Energy", function=lambda run: 1.0)
"""


def test_a_run_takes_metrics_and_attacks_of_its_own_plugins_alone(tmp_path: Path) -> None:
    files = written(tmp_path, sure=METRIC, entropy=ATTACK, energy=COST)
    enter(files)
    assert "energy" in of_kind("cost") and not is_absent("attack", "entropy")
    enter([])
    assert is_absent("metric", "energy") and type(METRICS["forget_sure"]) is Metric
    assert METRICS["forget_sure"].title == "Known surely", "tables of earlier results name it"
    assert ATTACKS["entropy"].title == "Entropy" and is_absent("attack", "entropy")
    assert entries.entry_facts(files) == {"metrics": {}, "attacks": {}}
    files[0].write_text(METRIC.replace("forget_sure", "surely"))
    enter(written(tmp_path, again=METRIC))
    enter(files)
    assert is_absent("metric", "forget_sure") and not is_absent("metric", "surely")


def test_a_run_names_the_file_of_a_metric_that_it_lacks(tmp_path: Path) -> None:
    (sure,) = written(tmp_path, sure=METRIC)
    setup = ub.benchmark("digits").set("gap_terms", ["forget_sure"])
    planned, store, _ = begin(
        Request(setup, tmp_path, tmp_path, ["ft"], plugins=[sure]), Listener()
    )
    assert ub.benchmark("digits").benchmark and is_absent("metric", "forget_sure")
    with pytest.raises(UserError, match=r"'forget_sure' is in sure\.py, which is not among the pl"):
        begin(Request(setup, tmp_path, tmp_path, ["ft"]), Listener())
    request = Request(setup, tmp_path, tmp_path, ["ft"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unlearnbench.api.adopting.adopt", lambda *_: pytest.fail("far enough"))
        with pytest.raises(pytest.fail.Exception, match="far enough"):
            make(request, planned, store, Listener())
    assert not is_absent("metric", "forget_sure"), "reading another benchmark takes none away"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"sure": METRIC.replace("forget_sure", "mis")}, "Two metrics are called 'mis'"),
        ({"one": METRIC, "two": METRIC}, "Two metrics are called 'forget_sure': .*two.py.*one.py"),
        ({"loss": ATTACK}, "Two attacks are called 'loss'"),
        ({"two": f"{ATTACK}\nmore = attack, Attack('a', 'b', low)"}, "two.py holds 3 attacks"),
    ],
)
def test_entries_must_have_names_of_their_own(
    tmp_path: Path, files: dict[str, str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        enter(written(tmp_path, **files))


def test_an_entry_that_is_not_there_any_more_is_passed_over(tmp_path: Path) -> None:
    assert enter([tmp_path / "gone.py", str(tmp_path / "gone.py")]) == []


def test_a_plugin_is_named_by_the_command_or_in_python_too(tmp_path: Path) -> None:
    files = written(tmp_path, mlp=MLP, stripes=STRIPES, sure=METRIC, entropy=ATTACK)
    setup = ub.benchmark("digits").set("model", "mlp").set("data.name", "stripes")
    request = Request(setup, Path(), Path(), ["ft"], plugins=files)
    raw = request.asked.raw
    assert raw["plugins"] == [str(file) for file in files]
    assert reading.validate(raw).attacks[-1] == "entropy"
    assert architectures.architecture("mlp", raw["plugins"]).path == files[0]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mlp", "Unknown model 'mlp'"),
        (
            "torchvision:resnet17",
            "Unknown model of torchvision: 'resnet17'. Did you mean 'resnet18'",
        ),
        ("torchvsion:resnet18", "Unknown library of models: 'torchvsion'. Did you mean"),
    ],
)
def test_a_model_that_is_not_there_is_said_before_any_run(
    inside: Cli, name: str, problem: str
) -> None:
    done = inside("run", "digits", "--set", f"model={name}", "--dry-run")
    assert done.code == 2 and problem in done.err and done.err.count("\n") == 1


def test_a_benchmark_may_name_metrics_of_its_plugins_wherever_it_is_read(own: Path) -> None:
    setup = ub.benchmark(own)
    assert setup.benchmark.gap_terms[-1] == "forget_sure"
    assert setup.set("recipe.epochs", 1).benchmark.headline == "entropy"


@pytest.mark.slow
def test_listing_and_checking_take_files_of_ones_own(inside: Cli, tmp_path: Path) -> None:
    mlp, stripes = written(tmp_path, mlp=MLP, stripes=STRIPES)
    assert "mlp                 A net with one hidden" in inside("models", "--plugin", mlp).out
    assert "stripes" in inside("datasets", "--plugin", stripes).out
    for path in (mlp, stripes):
        done = inside("check", path)
        assert done.code == 0 and "FAILED" not in done.out, done.out


BAD_MODEL = MLP.replace("nn.ReLU()", "nn.BatchNorm1d(16)").replace("(16, classes)", "(16, 5)")
BAD_DATA = STRIPES.replace("default_rng(0)", "default_rng()") + "\nSIDE = 9\n"


def test_check_says_what_is_wrong_with_a_model_and_with_a_data_set(tmp_path: Path) -> None:
    model, data = written(tmp_path, bad=BAD_MODEL, data=BAD_DATA)
    told = [problem for _, problem in examine(model) if problem]
    assert "two images in 3 classes give [2, 5], not [2, 3]" in told[0]
    assert "Expected more than 1 value per channel" in told[1] and "SMALLEST" in told[1]
    told = [problem for _, problem in examine(data) if problem]
    assert told == [
        "read twice, it gives other images or labels",
        "SIDE = 9, but its images are [1, 8, 8]",
    ]


def test_results_are_collected_as_before_without_any_plugin(finished: Path) -> None:
    from unlearnbench.api.results import planned_of

    store = Store(finished / "results" / "tiny")
    planned = planned_of(store)
    assert planned is not None and stale_runs(planned, store) == {}
    assert collect(planned, store).stale == {}


FAILING = """
from unlearnbench.audits.attacks import Attack
from unlearnbench.metrics.metric import OfModel

def wrong(seen):
    {body}

WRONG = OfModel("wrong", "Wrong", function=wrong)
"""
ODD = """
import sys
import numpy as np
from unlearnbench.audits.attacks import Attack

ONE = Attack("Odd", "is odd", lambda view, references: {made}, references=False)
"""


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("wrong", FAILING.format(body="1 / 0"), "metric 'wrong' failed: ZeroDivisionError"),
        ("wrong", FAILING.format(body="raise SystemExit(0)"), "failed: SystemExit: 0 (wrong.py,"),
        ("wrong", FAILING.format(body="return 'many'"), "failed: ValueError: could not convert"),
    ],
)
def test_a_metric_that_fails_is_left_out_in_a_line(
    finished: Path, tmp_path: Path, name: str, text: str, told: str
) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    shutil.copytree(finished / "results" / "tiny", tmp_path / "tiny")
    found = ub.load(tmp_path / "tiny", plugins=[file])
    said = [line for line in found.warnings if "Wrong cannot be computed for ft" in line]
    assert len(said) == 1 and told in said[0] and "is left out of 2 of its runs" in said[0]
    assert "wrong" not in found.runs and found.runs["forget_accuracy"].notna().all()
    assert not [line for line in ub.load(tmp_path / "tiny").warnings if "Wrong" in line]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("np.zeros(3)", "The attack 'odd' failed: ValueError: scores of shape (3,), not (5,)."),
        ("sys.exit(0)", "The attack 'odd' failed: SystemExit: 0 (odd.py, line 6)."),
    ],
)
def test_an_attack_that_fails_is_named(tmp_path: Path, made: str, told: str) -> None:
    (tmp_path / "odd.py").write_text(ODD.format(made=made))
    enter([tmp_path / "odd.py"])
    empty = np.empty(0, dtype=np.int64)
    view = View({"label": np.zeros(5), "margin": np.zeros(5)}, Samples(*[empty] * 4))
    with pytest.raises(EntryError) as error:
        ATTACKS["odd"].score(view, None)
    assert str(error.value) == told
