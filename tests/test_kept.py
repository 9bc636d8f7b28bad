"""A results folder never loses rows: whatever is asked of it next is added, or kept apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import Cli
from tests.test_durability import contents
from unlearnbench.api.results import planned_of
from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.files import checksum, seal, unseal
from unlearnbench.reporting.tables import TABLES
from unlearnbench.storage import asked, sealed
from unlearnbench.storage.store import Store

NOTHING = "There is nothing to remove.\n"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Store:
    """Return the results of ft and rl on seeds 1 and 2."""
    shutil.copytree(finished / "results", tmp_path / "results")
    return Store(tmp_path / "results" / "tiny")


def rows(store: Store) -> dict[str, int]:
    """Return how many runs the tables have of each row."""
    labels = ub.load(store.folder).runs["label"]
    return {str(label): int((labels == label).sum()) for label in labels.unique()}


@pytest.mark.slow
def test_one_more_seed_for_one_method_is_added(cli: Cli, tiny: Path, copied: Store) -> None:
    """It emptied the report of 20 rows, and pruning then deleted them."""
    done = cli("run", tiny, "--methods", "ft", "--seeds", "3")
    assert done.code == 0 and "kept apart" not in done.out, done.out + done.err
    assert rows(copied) == {"original": 3, "retrain": 6, "ft": 3, "rl": 2}
    results = ub.load(copied.folder)
    assert "Not complete: 1 of 19 models are still to be made: rl (1)." in results.warnings
    assert "3 runs (retrain 6, rl 2)" in results.condition().table("main").caption
    assert cli("results", "prune", "tiny", "--yes").out == NOTHING
    assert rows(copied) == {"original": 3, "retrain": 6, "ft": 3, "rl": 2}
    fewer = cli("run", tiny, "--methods", "rl", "--seeds", "1", "--budget", "1h")
    assert fewer.code == 0 and "0 to make" not in fewer.out and "8 done" in fewer.out
    assert rows(copied) == {"original": 3, "retrain": 6, "ft": 3, "rl": 2}


@pytest.mark.slow
def test_rows_of_another_recipe_are_kept_and_come_back(
    cli: Cli, inside: Cli, tiny: Path, copied: Store
) -> None:
    before = contents(copied.folder)
    other = ["run", tiny, "--methods", "ft", "--seeds", "1", "--set", "recipe.epochs=1"]
    done = cli(*other, "--set", "references.count=2")
    assert done.code == 0
    line = next(line for line in done.out.splitlines() if "kept apart" in line)
    assert line.startswith("What tiny showed so far was made with recipe.epochs = 4.")
    assert rows(copied) == {"original": 1, "retrain": 2, "ft": 1}
    (said,) = [line for line in ub.load(copied.folder).warnings if line.startswith("Kept in")]
    for row in ("ft (2 runs)", "rl (2 runs)", "retrain (4 runs)", "reference (4 runs)"):
        assert f"with recipe.epochs = 4: {row}" in said or f", {row}" in said
    (name,) = asked.earlier(copied)
    listed = inside("results", "ls").out
    assert f"  earlier {name}: recipe.epochs = 4: ft, rl\n" in listed
    assert inside("results", "prune", "tiny", "--yes").out == NOTHING
    assert contents(copied.folder).items() >= before.items()
    # The same command as at first, for one of its rows: all come back, and nothing is made.
    again = inside("run", tiny, "--methods", "ft", "--jobs-per-device", "1")
    assert again.code == 0 and "12 done" in again.out and "to make" not in again.out
    assert rows(copied) == {"original": 2, "retrain": 4, "ft": 2, "rl": 2}
    (kept,) = asked.earlier(copied)
    shown = inside("results", "rm", "tiny", "--earlier", kept)
    assert "ft: 1 run with recipe.epochs = 1, " in shown.out and "--yes removes them" in shown.out
    assert inside("results", "rm", "tiny", "--earlier", kept, "--yes").code == 0
    assert not asked.earlier(copied) and contents(copied.folder) == before


@pytest.mark.slow
def test_a_row_of_other_settings_takes_the_place_and_the_old_one_is_kept(
    cli: Cli, inside: Cli, tiny: Path, copied: Store
) -> None:
    done = cli("run", tiny, "--methods", "ft", "--seeds", "1", "--set", "ft.epochs=1")
    assert "ft was made with epochs = 2 before. Those runs are kept apart" in done.out
    assert rows(copied) == {"original": 2, "retrain": 4, "ft": 1, "rl": 2}
    said = "shown when asked for again: with epochs = 2: ft (2 runs)."
    assert any(said in line for line in ub.load(copied.folder).warnings)
    assert inside("results", "prune", "tiny", "--yes").out == NOTHING
    back = inside("run", tiny, "--methods", "ft", "--set", "ft.epochs=2")
    assert back.code == 0 and "ft was made with epochs = 1 before" in back.out
    assert rows(copied) == {"original": 2, "retrain": 4, "ft": 2, "rl": 2}


def test_a_row_is_removed_by_its_label(inside: Cli, tiny: Path, copied: Store) -> None:
    shown = inside("results", "rm", "tiny", "--row", "rl")
    assert shown.code == 0 and shown.out.startswith("rl: 2 runs of a row that is not asked for, ")
    assert rows(copied)["rl"] == 2, "only listed"
    assert inside("results", "rm", "tiny", "--row", "rl", "--yes").out.count("Removed 2 files") == 1
    assert rows(copied) == {"original": 2, "retrain": 4, "ft": 2}
    assert "12 runs, 0 damaged" in inside("results", "verify", "tiny").out
    assert (
        "14 models; 12 done; 2 to make"
        in inside("run", tiny, "--methods", "ft,rl", "--dry-run").out
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--row", "retrain"], "The row 'retrain' stays: the others are compared with it."),
        (["--row", "tf"], "Unknown row 'tf'. Did you mean 'ft'?"),
        (["--earlier", "0a1b2c"], "Unknown name of what was asked of tiny earlier: '0a1b2c'."),
        ([], "Nothing was named to remove. Name it: --row LABEL, or --earlier NAME"),
    ],
)
def test_what_cannot_be_removed_is_told(
    inside: Cli, copied: Store, words: list[str], message: str
) -> None:
    done = inside("results", "rm", "tiny", *words, "--yes")
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


def test_pruning_says_what_goes_and_why(inside: Cli, copied: Store) -> None:
    """Of runs that nobody asked for: as of a folder whose file was lost, and made again."""
    path = copied.folder / "benchmark.toml"
    text = path.read_text()
    sealed.write_sealed(path, copied.folder, text.replace("epochs = 4", "epochs = 5"))
    shown = inside("results", "prune", "tiny").out
    for line in (
        "ft: 2 runs with recipe.epochs = 4, ",
        "reference: 4 runs with recipe.epochs = 4, ",
        "2 files with weights of no run, ",
    ):
        assert line in shown
    assert "16 files and folders, " in shown and "--yes removes them" in shown
    text = text.replace('[methods.rl]\nmethod = "rl"\nepochs = 2', "")
    sealed.write_sealed(path, copied.folder, text)
    assert rows(copied)["ft"] == 2


def sealed_again(store: Store, label: str, **changes: object) -> None:
    """Change the records of a row's runs, as if they had been made so."""
    for path in store.folder.glob(f"runs/{label}-*/record.json"):
        path.write_text(seal(unseal(path.read_text()) | changes))


@pytest.mark.slow
def test_a_stale_row_is_marked_in_every_table_it_stands_in(
    inside: Cli, tiny: Path, copied: Store
) -> None:
    sealed_again(copied, "ft", toolkit="0" * 16)
    results = ub.load(copied.folder)
    assert results.findings.stale == {"ft": {"the toolkit": 2}}
    (condition,) = results.conditions
    note = "‡ Stale: made, all or some of its runs, before this changed: the toolkit."
    named = "‡ Stale (ft): made, all or some of its runs, before this changed: the toolkit."
    there = 0
    for design in TABLES.values():
        if (table := design(condition)) is None:
            continue
        rows = [row[0] for row in table.cells()]
        assert not {row for row in rows if "‡" in row} - {"ft ‡", "ft † ‡"}
        marked = any("‡" in row for row in rows)
        assert (note if marked else named) in table.caption or "ft" not in table.labels
        there += marked
    assert there >= 8 and inside("report", "tiny").code == 0
    page = (copied.folder.parents[1] / "reports" / "tiny" / "report.md").read_text()
    assert "| ft ‡ |" in page
    assert "stale (‡), made before the toolkit changed: ft (2 runs). retry_stale=True" in page
    shutil.copytree(copied.folder, copied.folder.parent / "other")
    compared = ub.compare(copied.folder.parent / "other", results).tables["differences-full-10-r1"]
    assert {row[0] for row in compared.cells()} == {"original", "retrain", "ft ‡", "rl"}
    again = inside("run", tiny, "--methods", "ft,rl", "--dry-run", "--retry-stale")
    assert "12 done; 2 to make" in again.out


def test_what_began_with_a_model_that_is_stale_or_was_made_anew_is_stale(copied: Store) -> None:
    planned = planned_of(copied)
    assert planned is not None
    first = planned.plan.cells[0].run
    path = copied.runs()[first] / "record.json"
    record = unseal(path.read_text())
    path.write_text(seal(record | {"toolkit": "0" * 16}))
    begun = {run for run, node in planned.plan.nodes.items() if first in node.needs}
    expected = {first: "the toolkit"} | dict.fromkeys(begun, "the original")
    assert stale_runs(planned, copied) == expected and len(begun) == 2
    weights = copied.model_path(first)
    weights.write_bytes(weights.read_bytes() + b" ")
    files = record["files"] | {"weights": checksum(weights)}
    path.write_text(seal(record | {"files": files}))
    assert stale_runs(planned, Store(copied.folder)) == dict.fromkeys(begun, "the original")
    for run in begun:  # version 0.1 did not note what a run began with
        at = copied.runs()[run] / "record.json"
        old = unseal(at.read_text())
        del old["made from"], old["toolkit"]
        at.write_text(seal(old))
    assert stale_runs(planned, Store(copied.folder)) == {}


def test_rows_of_different_versions_of_torch_are_told(copied: Store) -> None:
    assert not any("versions" in line for line in ub.load(copied.folder).warnings)
    (path, *_) = copied.folder.glob("runs/ft-*/record.json")
    environment = unseal(path.read_text())["environment"]
    sealed_again(copied, "ft", environment=environment | {"torch": "2.4.0"})
    (line,) = (line for line in ub.load(copied.folder).warnings if "versions" in line)
    assert line == (
        "made with different versions of torch, which may tell in the numbers:"
        f" {environment['torch']}: original, retrain, rl; 2.4.0: ft."
    )


def test_findings_of_0_1_0_count_stale_runs_by_row(copied: Store) -> None:
    content = json.loads(ub.load(copied.folder).findings.as_json())
    for before, now in (({"ft": 2}, {"ft": {"the method": 2}}), ({"ft": {"x": 1}},) * 2):
        assert Findings.from_json(json.dumps(content | {"stale": before})).stale == now


def test_merging_brings_the_rows_that_were_asked_for_there(
    inside: Cli, copied: Store, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "tiny"
    shutil.copytree(copied.folder, other)
    assert inside("results", "rm", "tiny", "--row", "rl", "--yes").code == 0
    assert "2 runs copied" in inside("results", "merge", other).out
    assert rows(copied) == {"original": 2, "retrain": 4, "ft": 2, "rl": 2}
