"""A folder of packs becomes a leaderboard: what passes is ranked, what does not is named."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import Cli
from tests.test_packs import Files, changed, edited, record_of
from unlearnbench import registry
from unlearnbench.errors import UserError

FEW = "unlearnbench: There are no packs in"


@pytest.fixture(scope="module")
def folder(finished: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as a repository would hold it: a bank, a benchmark file, a pack."""
    folder = tmp_path_factory.mktemp("board")
    source = finished / "results"
    ub.pack("tiny", folder / "tiny-bank.zip", bank=True, results=source)
    ub.pack("tiny", folder / "ann.zip", by="Ann | <b>lab</b>", note="as it ships", results=source)
    shutil.copy(tiny, folder / "tiny.toml")
    return folder


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(folder, tmp_path / "packs")
    return tmp_path / "packs"


def ranked(review: ub.Review) -> list[dict[str, str]]:
    (name,) = [name for name in review.tables if name.startswith("board-")]
    table = review.tables[name]
    return [dict(zip(table.headings, row, strict=True)) for row in table.cells()]


def left_out(review: ub.Review) -> dict[str, str]:
    table = review.tables.get("left-out")
    return {row[0]: row[1] for row in table.cells()} if table else {}


@pytest.mark.slow
def test_a_line_says_who_how_near_and_how_tuned(inside: Cli, folder: Path, tmp_path: Path) -> None:
    done = inside("report", "--board", folder)
    assert done.code == 0 and f"Report: reports/board-{folder.name}/index.html" in done.out
    made = tmp_path / "reports" / f"board-{folder.name}"
    page, text = (made / "index.html").read_text(), (made / "report.md").read_text()
    assert "Ann | &lt;b&gt;lab&lt;/b&gt;" in page and "<b>lab" not in page
    assert "# Methods entered for tiny" in text and "as it ships" in text
    with (made / "tables" / "board-tiny-full-10-r1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["Method"] for row in rows} == {"ft", "rl"}
    for row in rows:
        assert row["Verdict"] == "inconclusive" and row["References"] == "bank"
        assert row["By"] == "Ann | <b>lab</b>" and row["Tuned"] == "defaults"
        assert row["Notes"] == "–" and "[" in row["FT AUC gap [95 %]"]
    assert "No line is tested against another" in page
    assert "Left out" not in page


@pytest.mark.slow
def test_numbers_are_those_of_the_report(folder: Path, finished: Path) -> None:
    condition = ub.load(finished / "results" / "tiny").condition()
    for row in ranked(ub.board(folder)):
        gap = condition.verdict(row["Method"]).gap
        assert gap is not None and row["FT AUC gap [95 %]"].startswith(f"{gap.value:+.1f} [")
        own = condition.runs[condition.runs["label"] == row["Method"]]
        assert row["Test gap [95 %]"].startswith(f"{own['test_accuracy_gap'].mean() + 0.0:+.1f} [")
        assert row["Time ↓"] == f"{own['time_ratio'].mean():.2f}"


def without(words: Iterable[str]) -> Callable[[Files], None]:
    """Return what takes away the runs whose folders begin with one of the words."""

    def take(files: Files) -> None:
        for name in list(files):
            if any(name.startswith(f"runs/{word}-") for word in words):
                del files[name]

    return take


@pytest.mark.slow
def test_what_does_not_pass_is_named_with_the_reason(own: Path) -> None:
    def another(files: Files) -> None:
        text = files["benchmark.toml"].replace(b"share = 0.33", b"share = 0.63")
        assert text != files["benchmark.toml"]
        files["benchmark.toml"] = text

    def of_other_data(files: Files) -> None:
        for name in [name for name in files if name.endswith("record.json")]:
            edited(files, name, lambda record: record.update(data="0" * 16))

    def unknown(files: Files) -> None:
        files["benchmark.toml"] = files["benchmark.toml"].replace(b'"tiny"', b'"other"', 1)
        edited(files, "pack.json", lambda about: about.update(benchmark="other"))

    def torn(files: Files) -> None:
        files[record_of(files)] = b"{}"

    source = own / "ann.zip"
    changed(source, own / "limits.zip", another)
    changed(source, own / "data.zip", of_other_data)
    changed(source, own / "unknown.zip", unknown)
    changed(source, own / "torn.zip", torn)
    changed(source, own / "few.zip", without(["retrain", "reference"]))
    changed(source, own / "half.zip", without(["rl"]))
    (own / "cut.zip").write_bytes(source.read_bytes()[:5000])
    (own / ".draft-of-a.zip").write_bytes(source.read_bytes()[:5000])  # a killed export's
    review = ub.board(own)
    why = left_out(review)
    assert ".draft-of-a.zip" not in why
    assert why["cut.zip"] == "It is cut short, or is no pack."
    assert "limits.share is 0.333" in why["limits.zip"] and "not 0.633" in why["limits.zip"]
    assert why["limits.zip"].startswith("It is not the standard benchmark: ")
    assert why["data.zip"] == "It was made of other data than the bank."
    assert why["unknown.zip"] == (
        "No benchmark is called 'other': none ships, and there is no other.toml."
    )
    assert "runs/ft-" in why["torn.zip"] and "is torn or has been edited" in why["torn.zip"]
    assert why["few.zip"] == "Runs are missing: 4 of reference, 4 of retrain."
    assert why["rl of half.zip"] == "2 of its runs are not in the pack (rl)"
    by_file = sorted((row["By"], row["Method"]) for row in ranked(review))
    assert [method for _, method in by_file] == ["ft", "ft", "rl"], "of ann.zip and half.zip"


@pytest.mark.slow
def test_parts_are_one_pack_and_other_references_are_said(own: Path, finished: Path) -> None:
    (own / "ann.zip").unlink()
    written = ub.pack("tiny", own / "p.zip", part_size=30 * 2**10, results=finished / "results")
    assert len(written.paths) > 1
    assert [row["By"] for row in ranked(ub.board(own))] == [
        ", ".join(path.name for path in written.paths)
    ] * 2
    (own / "tiny-bank.zip").unlink()
    assert {row["References"] for row in ranked(ub.board(own))} == {"no bank here"}


@pytest.mark.slow
def test_a_method_whose_code_is_not_here_is_judged(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = registry.find

    def methods_but_one(kind: registry.Kind, more: Iterable[registry.Plugin] = ()) -> object:
        found = find(kind)
        return {n: p for n, p in found.items() if (kind, n) != ("methods", "rl")} | {
            plugin.name: plugin for plugin in more
        }

    def unknown(files: Files) -> None:
        edited(files, "pack.json", lambda said: said["methods"].pop("rl"))

    changed(own / "ann.zip", own / "bo.zip", unknown)
    before = ranked(ub.board(own))
    monkeypatch.setattr(registry, "find", methods_but_one)
    review = ub.board(own)
    assert "method 'rl'" in left_out(review)["bo.zip"]
    (row,) = [row for row in ranked(review) if row["Method"] == "rl"]
    assert row in before
    (settings,) = [t for name, t in review.tables.items() if name.startswith("settings-")]
    assert f"rl ({find('methods')['rl'].source_hash()})" in {row[2] for row in settings.cells()}


@pytest.mark.slow
def test_what_takes_from_a_line_is_noted(own: Path) -> None:
    def old(files: Files) -> None:
        for name in [n for n in files if n.startswith("runs/ft-") and n.endswith("record.json")]:
            edited(files, name, lambda r: r["environment"].update(unlearnbench="0.0.9"))
        edited(files, record_of(files), lambda r: r.update(source="0" * 16))

    changed(own / "ann.zip", own / "ann.zip", old)
    review = ub.board(own)
    (row,) = [row for row in ranked(review) if row["Method"] == "ft"]
    assert row["Notes"] == "stale, mixed, other version"
    (notes,) = [t for name, t in review.tables.items() if name.startswith("notes-")]
    assert {f"{row[0]}: {row[2]}" for row in notes.cells()} >= {
        f"ft: made by unlearnbench 0.0.9, judged by {ub.__version__}",
        "ft: its runs are of 2 versions of its code",
    }


def test_a_folder_without_packs_is_a_mistake(inside: Cli, tmp_path: Path) -> None:
    done = inside("report", "--board", tmp_path)
    assert done.code == 2 and done.err.startswith(FEW)
    both = inside("report", "digits", "--board", tmp_path)
    assert both.code == 2 and "--board takes a folder of packs, and nothing beside it." in both.err
    with pytest.raises(UserError, match="There are no packs"):
        ub.board(tmp_path)
