"""Results that the project publishes: copied from a run, rendered, and read for the guide.

`results/<benchmark>@<machine>/` holds findings, benchmark file, origin and numbers as CSV;
`reports/<benchmark>@<machine>/` what `unlearnbench report` writes of them, with the figures that
pages show. Figures as PDF, every table as a file and the weights of models are left out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Any, get_args

import pandas as pd

import unlearnbench as ub
from docs.builder.markdown import ROOT, WIDTH, table
from unlearnbench.audits.attacks import ULIRA
from unlearnbench.audits.parts import audit_title
from unlearnbench.files import write_text
from unlearnbench.papers import Ending, advantages, mean_interval
from unlearnbench.papers.amun import AMUN
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.planning.reading import as_toml
from unlearnbench.reporting.caveats import of_condition
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.rows import OLD
from unlearnbench.reporting.tables.table import Table, averaged, interval
from unlearnbench.reporting.tables.table import text as text_column
from unlearnbench.reporting.write import write_report

RESULTS, REPORTS = ROOT / "results", ROOT / "reports"
WHOLE = ("digits", "fashion-mnist")
"""Benchmarks whose reports have all figures' data, and that are ranked together."""
FIGURES = ("verdicts", "verdict-map", "gaps", "forgetting-utility", "confidences", "memorisation")
PAGES = ("index.html", "report.md", "attacks.md", "reading.md")
NUMBERS = ("summary.csv", "attacks.csv")


@cache
def load(folder: Path) -> ub.Results:
    """Read published results."""
    return ub.load(folder)


def published(named: str = "*@*") -> list[ub.Results]:
    """Read published results whose folders are so named, in the order of their benchmarks."""
    folders = sorted(RESULTS.glob(named), key=lambda folder: folder.name.partition("@"))
    return [load(folder) for folder in folders]


@cache
def conditions(name: str) -> list[ub.Condition]:
    """List the conditions of published results: of several requests in a row, the last one."""
    results = load(RESULTS / name)
    last = results.findings.benchmark.forget.requests
    return [one for one in results.conditions if one.request == last]


def whole() -> list[ub.Results]:
    """Read those whose reports are published whole."""
    return [one for one in published() if one.findings.benchmark.name in WHOLE]


def figures(results: ub.Results) -> tuple[str, ...]:
    """Name the figures that a published report has."""
    benchmark = results.findings.benchmark
    if benchmark.name in WHOLE:
        return FIGURES
    if benchmark.forget.requests > 1:
        return "verdicts", "after-requests"
    return "verdicts", "after-epochs" if benchmark.curves else "forgetting-utility"


def publish(name: str) -> None:
    """Copy findings of the working folder's results to their place, and render them."""
    results = ub.load(Path("results", name))
    findings, environment = results.findings, _environment(results)
    if name not in WHOLE:  # without what only figures of a whole report need
        kept = [{"references": one.get("references", [])} for one in findings.curves]
        findings.curves = kept
    record = next(results.folder.glob("runs/original-*/record.json"))
    day = datetime.fromtimestamp(record.stat().st_mtime, UTC).date()
    origin = {key: environment[key] for key in ("processor", "cores", "torch")}
    folder = RESULTS / f"{name}@{machine(environment)}"
    write_text(folder / "findings.json", findings.as_json() + "\n")
    write_text(folder / "benchmark.toml", as_toml(findings.benchmark))
    write_text(folder / "origin.json", json.dumps({"made": str(day)} | origin, indent=2) + "\n")
    load.cache_clear()
    _claimed.cache_clear()
    render(load(folder))


def publish_audit(name: str) -> None:
    """Copy what U-LiRA made of each row, of a run that was asked for it."""
    results = ub.load(Path("results", name))
    folder = RESULTS / f"{name}@{machine(_environment(results))}"
    verdicts = results.attacks.rename(columns={"label": "method"})
    columns = ["method", "access", "fraction", "request", "attack", "auc", "low", "high"]
    columns += ["gap", "gap_low", "gap_high", "p", "verdict"]
    audited = verdicts.loc[verdicts["attack"] == ULIRA, columns]
    write_text(folder / f"{ULIRA}.csv", audited.to_csv(index=False, float_format="%.6f"))


def machine(environment: Mapping[str, Any]) -> str:
    """Name a machine by the family of its processor and its cores, or by its GPU: epyc-2, h100."""
    device = str(environment["device"])
    if device.startswith("cuda"):
        return _family(device.partition("(")[2])
    return f"{_family(environment['processor'])}-{environment['cores']}"


def _family(name: str) -> str:
    """Return the word of a product's name that says what it is."""
    words = re.findall(r"\w+", re.sub(r"\((?:R|TM)\)", "", name))
    makers = {"amd", "intel", "nvidia", "apple", "geforce", "cpu"}
    return next((word for word in map(str.lower, words) if word not in makers), "cpu")


def _environment(results: ub.Results) -> dict[str, Any]:
    details = results.findings.details.values()
    return next(one["environment"] for one in details if one.get("environment"))


def render(results: ub.Results) -> None:
    """Write the report of published results, and the numbers beside their findings."""
    with TemporaryDirectory() as place:
        made = Path(place, results.name)  # labels of tables have the name of the folder
        write_report(results.findings, made, figures=figures(results))
        _copy([made / page for page in PAGES], REPORTS / results.name)
        _copy((made / "figures").glob("*.png"), REPORTS / results.name / "figures", fresh=True)
        _copy([made / "tables" / file for file in NUMBERS], results.folder)


def render_all() -> None:
    """Write all published reports, and the one that ranks methods over several benchmarks."""
    for results in published():
        render(results)
    folder = REPORTS / f"overview@{whole()[0].name.partition('@')[2]}"
    with TemporaryDirectory() as place:
        made = ub.rank(whole()).report(Path(place, folder.name)).parent  # its page says its name
        _copy([made / page for page in PAGES[:2]], folder)
        _copy((made / "figures").glob("*.png"), folder / "figures", fresh=True)


def _copy(files: Iterable[Path], folder: Path, *, fresh: bool = False) -> None:
    """Copy files into a folder; fresh: that holds nothing else."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)


def origin(results: ub.Results) -> str:
    """Say when, where and with which seeds results were made."""
    benchmark = results.findings.benchmark
    made = json.loads((results.folder / "origin.json").read_text(encoding="utf-8"))
    seeds, limits, main = benchmark.seeds, benchmark.limits, benchmark.headline
    verdicts = f"equivalent: within {limits.said}"
    if of_before(results):
        points = f"{limits.margins[main]:g} points of {audit_title(main)}"
        verdicts = f"verdicts of 0.1.0 (equivalent: within {points})"
    said = (
        f"Made by `unlearnbench run {benchmark.name}` and `unlearnbench report {benchmark.name}` on"
        f" {made['made']} with {made['cores']} cores ({made['processor']}) and torch"
        f" {made['torch']}. Seeds {seeds.forget[0]} to {seeds.forget[-1]} for originals, forget"
        f" sets and runs; {seeds.retrains} retrained models for each forget set, one of them held"
        f" out; {benchmark.references.count} reference models; {verdicts}."
        " With one request AMUN-adaptive is AMUN by definition."
    )
    return fill(said, WIDTH, break_on_hyphens=False)


def of_before(results: ub.Results) -> bool:
    """Say whether verdicts are those of 0.1.0, see `OLD`."""
    return any(condition.old for condition in results.conditions)


def warned(condition: ub.Condition) -> str:
    """List what takes from the worth of a condition's verdicts; "" for nothing."""
    lines = [*([OLD] if condition.old else []), *of_condition(condition)]
    return "\n".join(f"- Warning: {line}" for line in lines)


@cache
def _claimed(named: str = "*@*") -> list[Table]:
    """Test the claims of papers on published results whose folders are so named, a table each."""
    every = {one.findings.benchmark.name: one.findings for one in published(named)}
    return claims_tables(every)


def claims(named: str = "*@*") -> str:
    """Tabulate what published results whose folders are so named say about claims of papers."""
    shown = [f"{one.to_markdown()}\n\n{one.caption}" for one in _claimed(named)]
    if any(map(of_before, published(named))):
        shown.insert(0, f"- Warning: {OLD} Here: the rows that say (of 0.1.0).")
    return "\n\n".join(shown)


def rivals(results: ub.Results) -> str:
    """Put AMUN beside every other method: average gaps, verdicts and cost, of one condition."""
    condition = results.condition()
    others = [label for label in condition.methods if label != AMUN]
    found = advantages(condition.runs, "avg_gap", AMUN, others)
    rows = {
        label: [f"{(far < 0).sum()} of {len(far)}", *mean_interval(far)]
        for label, far in found.items()
    }
    columns = ["nearer", "apart", "apart_low", "apart_high"]
    apart = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame = condition.table("main").frame
    frame = frame[frame["label"].isin([AMUN, *found])].join(apart, on="label")
    titled = frame.assign(method=[condition.title(label) for label in frame["label"]])
    shown = [
        text_column("Method", "method"),
        text_column("Verdict", "verdict"),
        averaged("avg_gap"),
        interval("AMUN minus it [95 %]", "apart", "+"),
        text_column("Nearer", "nearer"),
        averaged("ft_auc"),
        averaged("test_accuracy", "Test %"),
        averaged("time_ratio", "Time ↓"),
    ]
    return Table("", titled, shown).to_markdown()


def counted() -> str:
    """Count how each claim of a paper ends over all published results."""
    endings = get_args(Ending)
    shown = []
    for one in _claimed():
        counts = one.frame.groupby(["claim", "ending"]).size().unstack(fill_value=0)
        counts = counts.reindex(columns=endings, fill_value=0)
        rows = [[str(claim), *map(str, own)] for claim, own in counts.iterrows()]
        heads = [ending.capitalize() for ending in endings]
        shown.append(table(["The paper's claim", *heads], rows, heads))
    return "\n\n".join(shown)


def tenth(results: ub.Results, label: str = "amun") -> str:
    """Say of a row that its mean AUC hides how it fares on what models memorise most."""
    condition = results.condition()
    right = condition.stacked("decile_accuracy")
    own, ideal = (
        f"{right[row][:, -1].mean():.1f} ±{right[row][:, -1].std(ddof=1):.1f} %"
        for row in (label, RETRAIN)
    )
    aucs = [f"{condition.verdict(row).auc.value:.1f}" for row in (label, RETRAIN)]
    return (
        f"A mean hides much. On {results.findings.benchmark.name},"
        f" {condition.title(label)}'s FT AUC is {aucs[0]} and retrain's {aucs[1]}. But"
        f" of the tenth of the forget samples that models memorise most, {condition.title(label)}'s"
        f" models still get {own} right, retrained ones {ideal} ({len(right[label])} seeds)."
    )


def experiments() -> str:
    """List what is published, each with its report."""
    return "\n".join(
        f"- [{one.findings.benchmark.title}](../reports/{one.name}/report.md)"
        for one in published()
    )
