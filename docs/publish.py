"""Put finished reports into docs/ and README.

`python docs/publish.py digits` copies what the project publishes of a report from ./reports and
./results to docs/digits/, and of several names also the report over all of them to docs/overview/;
with --audit only U-LiRA's table, of a run that was asked for it; with --again everything from the
findings in docs/, after a change to how reports are written. What stands in README between
markers is then filled from docs/; docs/recipes/ and what pages of the guide take in are written
anew. `tests/test_gallery.py` writes every published report again from its findings and compares.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import groups
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.reading import read, validate
from unlearnbench.report.overview import overview
from unlearnbench.report.pages.story import outcome
from unlearnbench.report.write import write, write_sections

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TABLES = {"main": "table", "attacks": "attacks", "controls": "controls", "pairs": "pairs"}
COLUMNS = ("AUC % [95 %]", "Gap to retrain [95 %]", "p", "Verdict")
FIGURES = ("gaps", "forgetting-utility", "confidences", "memorisation")
OVERVIEW = ("rank-map", "critical-difference")
PAGE = """# {title}

{origin}

**[The whole report as one page](index.html)**, to be downloaded and opened; it needs no network.
The same from the command line: `unlearnbench run {name}`, then `unlearnbench report {name}`.

{outcome}

{table}

![Distance to retrain, metric by metric](gaps.png)

![Forgetting against utility](forgetting-utility.png)

![Confidence before and after](confidences.png)

An average can hide what becomes of the samples that models memorise most: forget samples in ten
groups, to be compared with retrain's line.

![Effects by memorisation](memorisation.png)

## Attacks

AUC % of each attack with its 95 % interval; = equivalent to retrain, ≠ different, ? inconclusive.

{attacks}

## Methods in pairs

{pairs}

## Controls

{controls}
"""


def origin(benchmark: Benchmark, results: Path) -> str:
    """Say when, where and with which seeds results were made."""
    record = next(results.glob("runs/original-*/record.json"))
    machine = json.loads(record.read_text())["environment"]
    day = datetime.fromtimestamp(record.stat().st_mtime, UTC).date()
    seeds, margin = benchmark.seeds, benchmark.limits.equivalence
    return (
        f"Made by `unlearnbench run {benchmark.name}` and `unlearnbench report {benchmark.name}` on"
        f" {day}: seeds {seeds.forget[0]} to {seeds.forget[-1]} for originals, forget sets and"
        f" runs, {seeds.retrains} retrained models a forget set, one of them held out,"
        f" {benchmark.references.count} references, equivalence within {margin:g} points of FT AUC,"
        f" {machine['cores']} cores ({machine['processor']}), torch {machine['torch']}. ± is the"
        " standard deviation over runs. With one request AMUN-adaptive is AMUN by definition."
    )


def publish_origin(name: str) -> None:
    """Write down when, where and with which seeds results were made."""
    results, folder = Path("results", name), DOCS / name
    folder.mkdir(exist_ok=True)
    benchmark = validate(read(results / "benchmark.toml"))
    (folder / "origin.md").write_text(origin(benchmark, results) + "\n")


def publish(name: str, report: Path) -> None:
    """Copy page, tables, figures and findings of one report, and put a page together."""
    folder = DOCS / name
    for file in ("findings.json", "index.html"):
        shutil.copy(report / file, folder / file)
    for figure in FIGURES:
        shutil.copy(report / "figures" / f"{figure}-full-10-r1.png", folder / f"{figure}.png")
    for file, text in texts(report, folder).items():
        (folder / file).write_text(text)


def texts(report: Path, folder: Path) -> dict[str, str]:
    """Return what is published of a report as text, by file name; folder: where its origin is."""
    made = {
        f"{file}.md": (report / "tables" / f"{table}-full-10-r1.md").read_text()
        for table, file in TABLES.items()
    }
    parts = {file.removesuffix(".md"): text.rstrip() for file, text in made.items()}
    for file in ("summary.csv", "attacks.csv"):
        made[file] = (report / "tables" / file).read_text()
    findings = Findings.from_json((report / "findings.json").read_text())
    told = "\n\n".join(line for group in groups(findings) for line in outcome(findings, group))
    about = {"name": findings.benchmark.name, "title": findings.benchmark.title, "outcome": told}
    about["origin"] = (folder / "origin.md").read_text().rstrip()
    return made | {"README.md": PAGE.format(**parts, **about)}


def publish_overview(report: Path) -> None:
    """Copy what is said of several benchmarks together."""
    folder = DOCS / "overview"
    folder.mkdir(exist_ok=True)
    shutil.copy(report / "index.html", folder / "index.html")
    for figure in OVERVIEW:
        shutil.copy(report / "figures" / f"{figure}.png", folder / f"{figure}.png")
    page = (report / "report.md").read_text().replace("](figures/", "](")
    (folder / "README.md").write_text(page)


def publish_audit(name: str) -> None:
    """Copy what U-LiRA found: method, AUC, distance to retrain and verdict."""
    table = Path("reports", name, "tables", "attack-u-lira-full-10-r1.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    wanted = [rows[0].index(column) for column in ("Method", *COLUMNS)]
    lines = [f"| {' | '.join(row[place] for place in wanted)} |" for row in rows]
    (DOCS / name / "u-lira.md").write_text("\n".join(lines) + "\n")


def fill(text: str, name: str, content: str) -> str:
    """Replace what stands between a marker and the next end."""
    pattern = rf"(<!-- generated by `make readme`: {name} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.S)


def write_again(names: list[str], reports: Path) -> None:
    """Write reports from the findings that were published of them."""
    found = {n: Findings.from_json((DOCS / n / "findings.json").read_text()) for n in names}
    for name, one in found.items():
        write(one, reports / name)
    if len(names) > 1:
        write_sections(*overview(found), reports / "+".join(names))


def publish_all(names: list[str], reports: Path) -> None:
    """Copy each report, and the one over all of them."""
    for name in names:
        publish(name, reports / name)
    if len(names) > 1:
        publish_overview(reports / "+".join(names))


def write_what_takes_it_in() -> None:
    """Write recipes and pages of the guide anew."""
    for written in ("recipes", "inserts"):
        subprocess.run([sys.executable, "-m", f"docs.site.{written}"], cwd=ROOT, check=True)


def main() -> None:
    """Publish one report and fill README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="+")
    parser.add_argument("--audit", action="store_true", help="only U-LiRA's table")
    parser.add_argument("--again", action="store_true", help="from the findings in docs/")
    asked = parser.parse_args()
    names = asked.benchmarks
    if asked.audit:
        for name in names:
            publish_audit(name)
    elif asked.again:
        with TemporaryDirectory() as folder:
            write_again(names, Path(folder))
            publish_all(names, Path(folder))
    else:
        for name in names:
            publish_origin(name)
        publish_all(names, Path("reports"))
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name in ("table", "origin"):
        text = fill(text, name, (DOCS / "digits" / f"{name}.md").read_text().rstrip())
    readme.write_text(text)
    write_what_takes_it_in()


if __name__ == "__main__":
    main()
