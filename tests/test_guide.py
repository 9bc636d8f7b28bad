"""What is written for people is true: its commands are run, its examples work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from docs.builder import api, markdown, reference, site
from docs.builder.markdown import ROOT
from docs.builder.parts import PARTS
from tests.conftest import Cli, Done
from tests.guide import (
    EXTEND,
    Command,
    commands,
    examples,
    put_in_place,
    readme_method,
    understood,
)
from unlearnbench import registry
from unlearnbench.execution.trying import examine
from unlearnbench.planning.benchmark import Tuning
from unlearnbench.planning.reading import locate, read, validate
from unlearnbench.recipe import Pretrained
from unlearnbench.reporting.tables import TABLES

CI = ".ci/run"
GALLERY = "test_gallery.py::test_published_reports_are_current"
PUBLISHING = "test_gallery.py::test_publishing_copies_findings_and_renders_them"
FILLED = "test_guide.py::test_what_pages_take_in_is_current"
CLUSTER = "test_cluster.py::test_digits_on_a_cluster_has_the_same_summary"
TUNING = "test_tune.py::test_every_method_has_the_same_trials_and_the_best_is_chosen"
# Commands that no test of this file runs, and what does.
ELSEWHERE = {
    "make demo": CI,
    "make check": CI,
    "make slow": CI,
    "make wheel": CI,
    "make test": "Makefile::check",
    "make docs": "Makefile::check",
    "make readme": PUBLISHING,
    "make speed": "test_speed.py::test_published_page_is_what_the_measurements_say",
    "python benchmarks/speed/run.py": "test_speed.py::test_the_plain_loop_trains",
    "python -m docs.builder": FILLED,
    "python -m docs.builder --reports": GALLERY,
    "pip install -e '.[tune]'": TUNING,
    "unlearnbench tune digits --trials 16 --seeds 10": TUNING,
    "unlearnbench tune": TUNING,
    "pip install -e '.[dask]'": CLUSTER,
    "pip install -e '.[timm]'": (
        "test_architectures.py::test_models_of_timm_are_there_when_it_is_installed"
    ),
    "pip install -e '.[tensorboard]'": "test_tracking.py::test_tensorboard_has_a_folder_a_run",
    "dask scheduler": CLUSTER,
    "CUDA_VISIBLE_DEVICES=0 dask worker tcp://HOST:8786 --nthreads 1 --resources 'slot=1'": CLUSTER,
    "unlearnbench run cifar10-cpu-forget-only --data DIR --adopt cifar10-cpu": (
        "test_housekeeping.py::test_models_beside_are_told_of_and_taken_over_when_told_so"
    ),
    "unlearnbench run cifar10-cpu --data DIR": (
        "test_gpu_path.py::test_a_gpu_needs_no_more_than_the_name_of_a_benchmark"
    ),
    "sbatch job.sh": "test_housekeeping.py::test_a_slurm_script_is_made_from_the_plan",
    "unlearnbench results merge /mnt/other/results/cifar10-random10": (
        "test_housekeeping.py::test_merging_brings_in_what_is_lacking_and_whole"
    ),
    "unlearnbench results verify cifar10-random10": (
        "test_housekeeping.py::test_listing_and_verifying"
    ),
    "python -m docs.builder --parity": (
        "test_rounding.py::test_every_method_is_at_rounding_from_derivation_and_port"
    ),
    "python -m docs.builder --rates": "test_rates.py::test_published_rates_keep_the_promise",
}
# The steps of an installation, and by what the Makefile does the same in CI.
INSTALLING = {
    "python3 -m venv .venv": "-m venv $(VENV)",
    ". .venv/bin/activate": "BIN := $(VENV)/bin",
    "pip install -e .": "pip install --quiet --editable",
}
# How an image is made and run: no test needs an engine of containers.
CONTAINER = "docker "
README = ROOT / "README.md"
STUB = ROOT / "unlearnbench" / "__init__.pyi"
OTHERS = [
    command
    for command in commands()
    if command.line not in ELSEWHERE | INSTALLING and not command.line.startswith(CONTAINER)
]
EXTENDING = {page.name for page in EXTEND}
HERE = [command for command in OTHERS if command.page not in EXTENDING]
EXAMPLES = [command for command in OTHERS if command.page in EXTENDING]


def test_commands_run_elsewhere_are_tested_there() -> None:
    lines = {command.line for command in commands()}
    for line, test in ELSEWHERE.items():
        assert line in lines, f"no page has it any more: {line}"
        file, _, name = test.partition("::")
        if file == CI:
            assert f"\n{line} " in (ROOT / CI).read_text(), line
        elif file == "Makefile":
            assert re.search(rf"^{name}:.* {line.split()[1]}\b", (ROOT / file).read_text(), re.M)
        else:
            assert f"def {name}" in (ROOT / "tests" / file).read_text(), test


def test_an_installation_has_the_steps_of_the_makefile() -> None:
    made = (ROOT / "Makefile").read_text()
    assert [line for line, step in INSTALLING.items() if step not in made] == []
    assert INSTALLING.keys() <= {command.line for command in commands()}


def test_a_container_has_the_two_commands_of_the_readme() -> None:
    """Its image is made by `make`, as the environment of CI is; there may be no engine here."""
    steps = re.findall(r"^([A-Z]+) (.+)$", (ROOT / "Dockerfile").read_text(), re.M)
    tools, environment = [words for step, words in steps if step == "RUN"]
    assert " make " in tools
    assert environment == "make .venv/installed"
    assert "STAMP := $(VENV)/installed" in (ROOT / "Makefile").read_text()
    said = dict(steps)
    (base,) = re.findall(r"^(python):([\d.]+)-slim$", said["FROM"])
    assert f"Programming Language :: Python :: {base[1]}" in (ROOT / "pyproject.toml").read_text()
    assert said["ENV"] == f"PATH={said['WORKDIR']}/.venv/bin:$PATH"
    first, second = re.findall(r"^ {4}(make \w+)", README.read_text(), re.M)
    assert json.loads(said["CMD"]) == first.split()
    lines = [command.line for command in commands() if command.line.startswith(CONTAINER)]
    assert any(line.endswith(f" unlearnbench {second}") for line in lines)


@pytest.mark.parametrize("command", HERE, ids=str)
def test_commands_are_understood(inside: Cli, tmp_path: Path, command: Command) -> None:
    (tmp_path / "noisy-ft.py").write_text(readme_method())
    program, *words = command.words
    assert program == "unlearnbench", f"say in ELSEWHERE which test runs it: {command.line}"
    understood(inside, words)


def test_what_contributing_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([\w/-]+\.py)`(?:\s\(|: )((?:[^`()]*`\w+`)+)", text)
    assert len(named) > 20
    for path, names in named:
        (file,) = [p for p in (ROOT / path, ROOT / "unlearnbench" / path) if p.exists()]
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b(?:def|class) {name}\b|^{name}\b", file.read_text(), re.M), path


def test_what_pages_take_in_is_current() -> None:
    pages = markdown.pages()
    assert len(pages) > 8
    for page in pages:
        assert markdown.filled(page, PARTS) == page.read_text(), f"{page}: python -m docs.builder"


def test_every_key_of_a_benchmark_file_is_described() -> None:
    parts = reference.benchmark_file().split("\n## ")
    described = {part.split("\n")[0].strip("#`[] "): part for part in parts}
    written = validate(read(locate("digits-trades"))).model_dump(mode="json")
    tables = {"At the top": written, "recipe.trades": written["recipe"]["trades"]}
    tables["recipe.pretrained"] = Pretrained.model_fields
    # Rows have keys of their own; of what is said of tuning two keys are understood.
    free = {"methods", "model_audits"}
    inside = {n: v for n, v in written.items() if isinstance(v, dict) and n not in free}
    inside["tuning"] = {key: written["tuning"][key] for key in Tuning.model_fields}
    tables |= inside
    assert described.keys() == tables.keys()
    for name, keys in tables.items():
        known = re.findall(r"^\| `(\w+)` \| \S.* \| \S.* \| .*\|$", described[name], re.M)
        apart = {"At the top": {*inside, "given"}, "recipe": {"trades", "pretrained"}}.get(
            name, set()
        )
        assert set(known) == keys.keys() - apart
        assert "| None |" not in described[name]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code in which everything that the guide adds has been added."""
    folder = tmp_path_factory.mktemp("workshop")
    put_in_place(folder)
    return folder


def typed(workshop: Path, *words: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "unlearnbench", *words],
        cwd=workshop,
        env=os.environ | {"PYTHONPATH": str(workshop), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_examples_work_together(workshop: Path) -> None:
    small = ["--set", "data.train=100", "--set", "data.test=100", "--set", "recipe.epochs=1"]
    small += ["--set", "references.count=2", "--set", "controls=false", "--seeds", "1"]
    for command in EXAMPLES:
        words = command.words[1:]
        own = "stripes.toml" in words
        more = small if words[0] == "run" and not own else []
        done = typed(workshop, *words, *more)
        assert done.code == 0, f"{command.line}\n{done.out}{done.err}"
        if words[0] == "run":
            assert "noisy-ft" in done.out, command.line
        if words[0] == "check":
            assert "FAILED" not in done.out
    summary = pd.read_csv(workshop / "reports" / "stripes" / "tables" / "summary.csv")
    added = summary[summary["metric"] == "forget_sure"].set_index("method")
    assert {"original", "retrain", "noisy-ft", "ft"} <= set(added.index)
    assert added["mean"].between(0, 100).all()
    folder = workshop / "reports" / "stripes"
    for table in ("gaps", "more"):
        assert "Sure F %" in (folder / "tables" / f"{table}-full-10-r1.md").read_text()
    assert "- **Forget samples known surely**: the share" in (folder / "reading.md").read_text()
    page = (folder / "report.md").read_text()
    assert "| Forget confidence | Sure F % |" in page, "the table"
    assert "(figures/sure-full-10-r1.png)" in page, "the figure"
    drawn = pd.read_csv(folder / "figures" / "sure-full-10-r1.csv")
    assert {"noisy-ft", "ft"} <= set(drawn["method"])
    assert re.search(r"^\| noise \| flagged 'utility lost' \| as expected \|", page, re.M), (
        "the control"
    )
    failed = "no verdict, since controls failed (original)"  # two forget sets are few
    assert failed in page and "## What the paper about noise claims" not in page
    assert "| 87.00 ±1.50 |" in page, "what the paper printed"


def test_the_example_benchmark_is_planned(workshop: Path) -> None:
    done = typed(workshop, "run", "stripes.toml", "--dry-run")
    assert done.code == 0 and "noisy-ft" in done.out, done.out + done.err


def test_the_example_method_keeps_the_contract(workshop: Path) -> None:
    kept = [problem for _, problem in examine(workshop / "methods" / "noisy-ft.py")]
    assert len(kept) == 13 and not any(kept)


def test_entry_points_are_those_that_are_looked_for() -> None:
    (package,) = [body for _, place, body in examples() if place == "pyproject.toml"]
    groups = tomllib.loads(package)["project"]["entry-points"]
    assert set(groups) == {f"unlearnbench.{kind}" for kind in ("methods", "datasets", "models")}
    source = Path(registry.__file__).read_text()
    assert 'entry_points(group=f"unlearnbench.{kind}")' in source


def test_every_table_of_a_report_is_explained_with_its_name() -> None:
    page = (ROOT / "docs" / "guide" / "reading.md").read_text()
    said = {(title, name) for title, name in re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", page, re.M)}
    assert {("One attack in full", "attack-rmia"), ("Results", "main")} <= said
    each = {(table.title, name) for name, table in TABLES.items() if not name.startswith("attack-")}
    assert sorted(each - said) == []
    names = {name.partition("-")[0] for _, name in said}
    paper = (ROOT / "docs" / "guide" / "in-a-paper.md").read_text()
    assert sorted(name for name in names if f"`{name}-" not in paper) == ["profile"]


def test_formulas_become_mathml() -> None:
    text = site.with_mathml(
        "Set $D_F$ costs `$5`; a\n\n```math\n\\frac{a}{b}\n```\n\n```bash\necho $x $y\n```"
    )
    assert text.count("<math") == 2 and "<mfrac>" in text
    assert "`$5`" in text and "echo $x $y" in text


def test_pages_are_put_together() -> None:
    page = site.page(Path("README.md"))
    assert "| GA | different | " in page, "the table of digits is taken in"
    recipe = site.page(Path("recipes/ga.md"))
    assert "class GradientAscent(Method):" in recipe and "(index.md)" in recipe
    assert "(../reports/digits@epyc-2/index.html)" in recipe
    assert "(reports/digits@epyc-2/index.html)" in site.page(Path("results.md"))
    paper = site.page(Path("guide/paper.md"))
    assert "| retrain | 94.49 ±0.20 | 100.00 ±0.00 |" in paper, "the paper's table"
    assert "| amun | 0.33 | 0.57 |" in paper, "its printed gap beside what its columns give"


def test_every_option_of_the_command_line_is_listed() -> None:
    page = site.page(Path("guide/commands.md"))
    for name in ("run", "report", "check", "plan", "results merge"):
        assert f"## `unlearnbench {name}`\n" in page
    assert "* `--jobs-per-device <str>`: Runs at once on a device" in page
    assert "* `--dry-run`: Show the plan and stop." in page


def test_what_says_a_verdict_is_described_with_a_condition() -> None:
    page = (ROOT / "docs" / "guide" / "library.md").read_text()
    described = api.described(Path("unlearnbench.Condition"))
    for name in ("labels", "methods", "word", "overall", "verdict"):
        assert f"\n#### `Condition.{name}`\n" in described
        assert re.search(rf"^\|.*`{name}[`(].*\|.*\|$", page, re.M), name


def test_the_pages_on_python_have_every_name_of_the_library() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "guide").glob("api*.md"))
    names = re.findall(r"^from \S+ import (\w+) as", STUB.read_text(), re.M)
    described = re.findall(r"^### `unlearnbench\.(\w+)`$", pages, re.M)
    assert "audit" in names
    assert set(names) - {"Optimizer"} == set(described)  # three words, which `Recipe` explains
    assert "\n:::" not in pages, "nothing is left to be filled by the site alone"
    assert "\n#### `Method.unlearn`\n" in pages and "task.require_retain()" in README.read_text()
