"""Publish what the paper's experiments gave: short pages, and one table of its claims.

`python docs/publish_paper.py digits-requests digits-ablation` makes docs/<name>/ of results and
reports in ./results and ./reports: tables of every setting (of the last request, where there are
several), figures over requests and epochs, and findings.json with every run. With --again all is
made from the findings in docs/. docs/claims/ is then written from all published findings.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from publish import DOCS, publish_origin, write_again, write_what_takes_it_in

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, groups, heading, suffix
from unlearnbench.report.pages.story import outcome
from unlearnbench.report.tables.claims import claims, claims_table
from unlearnbench.report.tables.render import markdown
from unlearnbench.report.tables.results import main_table

FIGURES = ("after-requests", "after-epochs", "forgetting-utility")
CLAIMS = """# What the AMUN paper claims, and what is seen here

Each claim is looked for wherever a published run can say something about it: handwritten digits and
Fashion-MNIST on two cores, not the paper's CIFAR-10. What is not seen here may be seen there, and
the other way round. Settings were tuned for a tenth of the samples drawn at random, with the retain
set given; all other experiments take them over, so what is not seen there may be for want of
tuning. `unlearnbench report` puts the same table into the report of any benchmark.

{table}

## The experiments

{pages}
"""


def shown(findings: Findings) -> list[Group]:
    """List the settings whose tables are published."""
    last = findings.benchmark.forget.requests
    return [group for group in groups(findings) if group[2] == last]


def page(findings: Findings, folder: Path) -> str:
    """Return the Markdown of one benchmark; folder: where its origin and figures are."""
    benchmark = findings.benchmark
    parts = [f"# {benchmark.title}", (folder / "origin.md").read_text().rstrip()]
    table = claims_table({benchmark.name: claims(findings)})
    if table is not None:
        parts += [f"## {table.title}", markdown(table), table.caption]
    for group in shown(findings):
        main = main_table(findings, group)
        parts += [f"## {heading(group, benchmark)}", *outcome(findings, group)[1:]]
        parts += [markdown(main), main.caption]
        figures = [f"{name}{suffix(group)}.png" for name in FIGURES]
        parts += [f"![{name}]({name})" for name in figures if (folder / name).exists()]
    return "\n\n".join(parts) + "\n"


def published() -> dict[str, Findings]:
    """Read all published findings."""
    return {
        path.parent.name: Findings.from_json(path.read_text())
        for path in sorted(DOCS.glob("*/findings.json"))
    }


def claims_pages(found: dict[str, Findings]) -> dict[str, str]:
    """Return the Markdown of all claims by file: the table alone, which the guide takes in too."""
    table = claims_table({name: claims(one) for name, one in found.items()})
    assert table is not None, "digits can say something about the paper"
    text = f"{markdown(table)}\n\n{table.caption}"
    pages = "\n".join(
        f"- [{one.benchmark.title}](../{name}/README.md)" for name, one in found.items()
    )
    return {"table.md": f"{text}\n", "README.md": CLAIMS.format(table=text, pages=pages)}


def publish_findings(name: str, report: Path) -> None:
    """Copy findings, without what only figures of a whole report need, and say where from."""
    publish_origin(name)
    findings = Findings.from_json((report / "findings.json").read_text())
    findings.curves = [{"references": one.get("references", [])} for one in findings.curves]
    (DOCS / name / "findings.json").write_text(findings.as_json() + "\n")


def publish(name: str, report: Path) -> None:
    """Copy tables and the figures that matter, and write the page."""
    folder = DOCS / name
    findings = Findings.from_json((folder / "findings.json").read_text())
    for table in ("summary.csv", "attacks.csv"):  # which recipes read
        shutil.copy(report / "tables" / table, folder / table)
    for old in folder.glob("*.png"):
        old.unlink()
    kinds = FIGURES[:1] if findings.benchmark.forget.requests > 1 else FIGURES[1:]
    for group in shown(findings):
        for kind in kinds:
            figure = report / "figures" / f"{kind}{suffix(group)}.png"
            if figure.exists():
                shutil.copy(figure, folder / figure.name)
                break
    (folder / "README.md").write_text(page(findings, folder))


def main() -> None:
    """Publish and write the table of claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*")
    parser.add_argument("--again", action="store_true", help="from the findings in docs/")
    asked = parser.parse_args()
    for name in asked.benchmarks:
        with TemporaryDirectory() as folder:
            if asked.again:
                write_again([name], Path(folder))
            else:
                publish_findings(name, Path("reports", name))
            publish(name, Path(folder if asked.again else "reports", name))
    (DOCS / "claims").mkdir(exist_ok=True)
    for file, text in claims_pages(published()).items():
        (DOCS / "claims" / file).write_text(text)
    write_what_takes_it_in()


if __name__ == "__main__":
    main()
