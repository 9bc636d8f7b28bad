"""Published reports are what the code of today makes of their findings; links lead somewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import pandas as pd
import pytest

import unlearnbench as ub
from docs.builder import published
from docs.builder.markdown import DOCS, ROOT
from unlearnbench.evaluation.findings import Findings
from unlearnbench.planning.reading import read, validate
from unlearnbench.reporting.write import write_report

FOLDERS = [folder.name for folder in sorted(published.RESULTS.glob("*@*"))]
AGAIN = "render it again: python -m docs.builder --reports"


def check(name: str, place: Path) -> Path:
    """Render a published report and compare its text and numbers with what is committed."""
    made = place / name
    results = published.load(published.RESULTS / name)
    write_report(results.findings, made, figures=published.figures(results))
    for file in published.PAGES:
        assert (published.REPORTS / name / file).read_bytes() == (made / file).read_bytes(), AGAIN
    for file in published.NUMBERS:
        assert (results.folder / file).read_bytes() == (made / "tables" / file).read_bytes(), AGAIN
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_published_reports_are_current(name: str, tmp_path: Path) -> None:
    made = check(name, tmp_path)
    drawn = {path.name for path in (published.REPORTS / name / "figures").iterdir()}
    assert drawn == {path.name for path in (made / "figures").glob("*.png")}, AGAIN


@pytest.mark.parametrize("name", FOLDERS)
def test_published_folders_are_whole_and_small(name: str) -> None:
    results = published.load(published.RESULTS / name)
    asked, made = validate(read(results.folder / "benchmark.toml")), results.findings.benchmark
    # Old findings name an attack otherwise than their file does, see `Findings.from_json`.
    assert asked == made.model_copy(update={"attacks": asked.attacks})
    assert published.origin(results).startswith("Made by `unlearnbench run ")
    titles = results.findings.titles
    assert titles.get("amun", "AMUN") == "AMUN"
    environments = [one["environment"] for one in results.findings.details.values()]
    assert {published.machine(one) for one in environments} == {name.partition("@")[2]}
    assert (published.REPORTS / name / "index.html").stat().st_size < 4_000_000


def with_methods(findings: Findings, count: int) -> Findings:
    """Return findings of so many methods, those that are there standing in for the others."""
    methods = findings.conditions[0].methods
    origins = {f"{methods[n % len(methods)]}-{n}": methods[n % len(methods)] for n in range(count)}

    def copied(frame: pd.DataFrame) -> pd.DataFrame:
        parts = [frame[frame["label"] == one].assign(label=name) for name, one in origins.items()]
        return pd.concat([frame[~frame["label"].isin(methods)], *parts])

    runs = copied(findings.runs)
    pair = findings.pairs.iloc[0].to_dict()
    every = product(findings.pairs["attack"].unique(), combinations(origins, 2))
    pairs = [pair | {"attack": attack, "nearer": a, "farther": b} for attack, (a, b) in every]
    return replace(
        findings,
        runs=runs.reset_index(drop=True),
        attacks=copied(findings.attacks).reset_index(drop=True),
        pairs=pd.DataFrame(pairs),
        curves=[findings.curves[place] for place in runs.index],
    )


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "most"), [(10, 2_000_000), (30, 4_000_000)])
def test_pages_stay_small(methods: int, most: int, tmp_path: Path) -> None:
    findings = with_methods(published.load(published.RESULTS / "digits@epyc-2").findings, methods)
    page = write_report(findings, tmp_path, refresh=5)  # without figures beside it
    assert page.read_text().count("<svg") > 8
    assert page.stat().st_size < most


def test_the_report_over_several_is_current(tmp_path: Path) -> None:
    made = ub.rank(published.whole()).report(tmp_path / "overview@epyc-2").parent
    for file in published.PAGES[:2]:
        committed = published.REPORTS / made.name / file
        assert committed.read_bytes() == (made / file).read_bytes(), AGAIN


@pytest.mark.parametrize(
    ("processor", "device", "name"),
    [
        ("AMD EPYC", "cpu (AMD EPYC)", "epyc-2"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "cpu", "xeon-2"),
        ("AMD EPYC", "cuda:0 (NVIDIA H100 80GB HBM3)", "h100"),
        ("", "cpu", "cpu-2"),
    ],
)
def test_machines_have_short_names(processor: str, device: str, name: str) -> None:
    assert published.machine({"processor": processor, "cores": 2, "device": device}) == name


@pytest.mark.slow
def test_publishing_copies_findings_and_renders_them(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(published, "REPORTS", tmp_path / "reports")
    monkeypatch.chdir(finished)
    published.publish("tiny")
    (results,) = (tmp_path / "results").iterdir()
    names = {"findings.json", "benchmark.toml", "origin.json", *published.NUMBERS}
    assert {path.name for path in results.iterdir()} == names
    assert results.name.startswith("tiny@")
    (report,) = (tmp_path / "reports").iterdir()
    assert report.name == results.name
    assert {path.name for path in report.iterdir()} == {*published.PAGES, "figures"}
    assert ub.load(results).summary.equals(ub.load(Path("results", "tiny")).summary)


def test_every_link_leads_to_a_file() -> None:
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    folders = (ROOT / "reports").glob("*@*/*.md")
    for page in [*own, *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md"), *folders]:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"
