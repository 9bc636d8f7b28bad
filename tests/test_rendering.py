"""Results are rendered without what they were made with, and without running what lies there."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from textwrap import dedent

import pytest

import unlearnbench as ub
from docs.builder.markdown import ROOT
from tests.conftest import TINY, Cli
from unlearnbench import registry
from unlearnbench.api.request import Request, prepare
from unlearnbench.api.results import planned_of
from unlearnbench.errors import UserError
from unlearnbench.storage.store import Store

MINE = '''
"""Mine."""

from typing import ClassVar

from unlearnbench import Method, param
from .scale import SCALE


class Mine(Method):
    """Do nothing much."""

    title: ClassVar[str] = "MINE"
    paper = "https://example.org/mine"

    lr: float = param(0.5, gt=0, search=(0.1, 1.0), help="rate")
    weights: str | None = param(None, help="of a generator")
    scales: dict[str, float] = param({"a": 1.0}, help="by layer")
    parts: list[str] = param(["x"], help="of the model")

    def unlearn(self, model, task):
        next(model.parameters()).data.mul_(SCALE)
        return model
'''

BENCH = TINY.partition("[methods.ft]")[0].replace("count = 4", "count = 2").replace("1, 2", "1")


@pytest.mark.slow
def test_a_colleague_renders_without_the_method(cli: Cli, inside: Cli, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder, scale in ((there, 0.9), (here, 0.8)):
        folder.mkdir()
        (folder / "mine.py").write_text(MINE)
        (folder / "scale.py").write_text(f"SCALE = {scale}")
    (tmp_path / "bench.toml").write_text(BENCH)
    words = ["run", "bench.toml", "--methods", "mine", "--plugin", "there/mine.py"]
    words += ["--set", "mine.scales={b = 2.5}"]
    done = cli(*words)
    assert done.code == 0, "a default of None cannot be written as TOML: " + done.out + done.err
    assert inside("report", "bench").code == 0
    page = tmp_path / "reports" / "bench" / "index.html"
    made = page.read_text()
    assert "MINE" in made
    shutil.rmtree(there)
    assert inside("report", "bench").code == 0 and page.read_text() == made
    results = ub.load(tmp_path / "results" / "bench")
    assert results.findings.untuned == ["mine"] and not results.findings.stale
    assert results.condition().table("main").to_latex()
    # With another row beside it, and with the file at another path.
    more = cli("run", "bench.toml", "--methods", "ft")
    assert more.code == 0 and set(ub.load(results.folder).runs["label"]) >= {"mine", "ft"}
    assert inside("report", "bench", "--plugin", "here/mine.py").code == 0
    words[words.index("there/mine.py")] = "here/mine.py"
    again = inside(*words)
    assert again.code == 0 and "\nmine † ‡ " in again.out, again.err
    assert inside("results", "prune", "bench").out == "There is nothing to remove.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "default"),
    [
        ("scales: dict[str, float | None]", '{"a": None}'),
        ("parts: list[str | None]", '["x", None]'),
    ],
)
def test_none_that_no_file_can_hold_is_one_line(
    inside: Cli, tmp_path: Path, setting: str, default: str
) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 0.9")
    name = setting.partition(":")[0]
    start = MINE.index(f"    {name}: ")
    line = MINE[start : MINE.index("\n", start)]
    changed = MINE.replace(line, f'    {setting} = param({default}, help="none inside")')
    (tmp_path / "mine.py").write_text(changed)
    done = inside("run", "digits", "--methods", "mine", "--plugin", "mine.py", "--dry-run")
    assert done.code == 2 and done.err.count("\n") == 1
    assert f"mine.{name} = " in done.err and "cannot be kept in a file, which has" in done.err
    checked = inside("check", "mine.py")
    assert checked.code == 1 and "cannot be kept in a file" in checked.out


def test_none_in_the_place_of_a_default_is_refused_and_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "scale.py").write_text("SCALE = 0.9")
    (tmp_path / "mine.py").write_text(MINE.replace("param(None, help", 'param("x", help'))
    plugin = registry.Plugin.of(tmp_path / "mine.py")
    mine = registry.build(registry.method_class(plugin), "mine", {"weights": None})
    request = Request(ub.benchmark("digits"), tmp_path, tmp_path, [mine])
    with pytest.raises(UserError, match=r"mine\.weights = None cannot be kept in a file"):
        prepare(request)


def test_no_file_that_a_results_folder_names_is_run(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(finished / "results" / "tiny", folder)
    shutil.rmtree(folder / "sealed")  # which would bring back what is edited below
    bomb, trace = folder / "mine.py", tmp_path / "exploded"
    bomb.write_text(f"from pathlib import Path\nPath({str(trace)!r}).mkdir()\n{MINE}")
    path = folder / "benchmark.toml"
    named = path.read_text().replace("plugins = []", f"plugins = [{str(bomb)!r}]")
    path.write_text(named)
    assert str(bomb) in named and planned_of(Store(folder)) is not None
    ub.load(folder).condition().table("main").to_markdown()
    path.write_text(f'{named}\n[methods.mine]\nmethod = "mine"\nlr = 0.5\n')
    with pytest.raises(UserError, match=r"'mine', which is gone. Name its file"):
        ub.load(folder)
    assert not trace.exists()


SITE = {
    "kit-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: kit\nVersion: 1.0\n",
    "kit-1.0.dist-info/entry_points.txt": """
        [unlearnbench.models]
        flat = kit.flat
        [unlearnbench.datasets]
        stripes = kit.stripes
        [unlearnbench.methods]
        shrink = kit.shrink
        """,
    "kit/__init__.py": "",
    "kit/amounts.py": "FACTOR = 0.9",
    "kit/flat.py": """
        from torch import nn

        def build(classes, channels, side):
            return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes))
        """,
    "kit/stripes.py": """
        import numpy as np
        from unlearnbench.data import Pool, Source

        class Stripes(Source):
            def load(self):
                draw = np.random.default_rng(0)
                labels = draw.integers(0, 3, 300)
                images = draw.integers(0, 60, (300, 1, 6, 6)).astype(np.uint8)
                images[np.arange(300), 0, labels] += 90
                return Pool((images, labels), (images[:0], labels[:0]))
        """,
    "kit/shrink.py": """
        from unlearnbench import Method
        from kit.amounts import FACTOR

        class Shrink(Method):
            '''Shrink.'''
            paper = "https://example.org"
            def unlearn(self, model, task):
                for weight in model.parameters():
                    weight.data.mul_(FACTOR)
                return model
        """,
}


@pytest.mark.slow
def test_model_data_and_method_of_a_package_are_not_needed_either(
    cli: Cli, inside: Cli, tmp_path: Path
) -> None:
    """And what of the package a row was made by is part of the row."""
    for name, text in SITE.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    env = {"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}
    bench = BENCH.replace("small-cnn", "flat").replace('"digits"', '"stripes"')
    (tmp_path / "bench.toml").write_text(bench)
    words = ["run", "bench.toml", "--methods", "shrink"]
    done = cli(*words, env=env)
    assert done.code == 0, done.out + done.err
    assert inside("report", "bench").code == 0, "here there is none of it"
    assert "Stale" not in (tmp_path / "reports" / "bench" / "report.md").read_text()
    assert inside("results", "prune", "bench").out == "There is nothing to remove.\n"
    for name, rows in (("amounts", {"shrink"}), ("flat", {"original", "retrain", "shrink"})):
        path = tmp_path / "site" / "kit" / f"{name}.py"
        before = path.read_text()
        path.write_text(f"{before}\n# changed\n")
        said = cli(*words, env=env).out
        assert set(re.findall(r"^ *([a-z-]+) +(?:\S+ +)?‡", said, re.M)) == rows
        path.write_text(before)


@pytest.mark.slow
def test_results_of_0_1_0_are_read(inside: Cli, tmp_path: Path) -> None:
    """As that version wrote them, and with the numbers that it printed."""
    with tarfile.open(Path(__file__).parent / "results-0.1.0.tar.xz") as packed:
        packed.extractall(tmp_path / "results", filter="data")
    assert "7 runs, 0 damaged" in inside("results", "verify", "before").out
    results = ub.load(tmp_path / "results" / "before")
    runs = results.runs.groupby("label")
    printed = {
        "original": ("70.0 ±0.0", "47.5 ±0.0", "65.2 ±8.5", "13.5 ±1.9"),
        "retrain": ("75.0 ±7.1", "63.8 ±5.3", "57.6 ±9.7"),
        "ft": ("90.0 ±0.0", "62.5 ±0.0", "67.8 ±6.0", "9.4 ±3.6"),
    }
    columns = ("forget_accuracy", "test_accuracy", "ft_auc", "avg_gap")
    for label, numbers in printed.items():
        own = runs.get_group(label)
        found = [f"{own[column].mean():.1f} ±{own[column].std():.1f}" for column in columns]
        assert tuple(found[: len(numbers)]) == numbers
    assert results.findings.lacking == results.findings.open == 0
    changed = {what for counts in results.findings.stale.values() for what in counts}
    assert "the toolkit" not in changed, "of which those records say nothing"
    assert inside("report", "before").code == 0
    assert inside("results", "prune", "before").out == "There is nothing to remove.\n"
    path = results.folder / "benchmark.toml"
    path.write_text(path.read_text().replace("count = 2", "count = 4"))
    assert "reference: 2 runs of version 0.1, " in inside("results", "prune", "before").out
