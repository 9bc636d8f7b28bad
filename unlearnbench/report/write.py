"""Write a report: one folder with a page, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl

from unlearnbench.report import figures, render, style, tables
from unlearnbench.report.collect import Findings
from unlearnbench.store import Store, write_text

TITLES = {
    "gaps": "Distance to retrain, metric by metric",
    "forgetting-utility": "Forgetting against utility",
    "confidences": "Confidence before and after",
    "time-gap": "Cost against distance to retrain",
}


def write(findings: Findings, store: Store, folder: Path) -> Path:
    """Write report.md, tables/ and figures/ below `folder`; return the page's path."""
    sections = []
    with mpl.rc_context(style.RC):
        for group in tables.groups(findings):
            made = [
                tables.main_table(findings, group),
                tables.gap_table(findings, group),
                tables.more_table(findings, group),
                tables.published_table(findings, group),
            ]
            shown = [table for table in made if table is not None]
            for table in shown:
                write_text(folder / "tables" / f"{table.name}.tex", render.latex(table))
                write_text(folder / "tables" / f"{table.name}.md", render.markdown(table) + "\n")
            sections.append(
                {
                    "heading": tables.heading(group, findings.benchmark),
                    "tables": [(table.caption, render.markdown(table)) for table in shown],
                    "figures": _figures(findings, group, store, folder),
                }
            )
    write_text(folder / "tables" / "summary.csv", render.summary_csv(findings))
    write_text(folder / "tables" / "runs.csv", render.runs_csv(findings))
    write_text(folder / "tables" / "cost.csv", render.cost_csv(findings))
    page = folder / "report.md"
    write_text(page, _page(findings, sections))
    return page


def _figures(
    findings: Findings, group: tables.Group, store: Store, folder: Path
) -> list[tuple[str, str]]:
    """Draw what the finished runs allow; without a retrain or an AUC there are no distances."""
    runs = tables.select(findings.runs, group)
    labels = set(runs["label"])
    distances = "retrain" in labels and "ft_auc" in runs
    drawn = {}
    if distances:
        drawn["gaps"] = figures.gaps(findings, group)
        drawn["forgetting-utility"] = figures.forgetting_against_utility(findings, group)
    if "original" in labels and len(labels) > 1:
        drawn["confidences"] = figures.confidences(findings, group, store)
    if distances and runs["avg_gap"].notna().any():
        drawn["time-gap"] = figures.time_against_gap(findings, group)
    links = []
    for name, figure in drawn.items():
        file = f"{name}{tables.suffix(group)}"
        style.save(figure, folder / "figures" / f"{file}.png")
        links.append((TITLES[name], f"figures/{file}.png"))
    return links


def _page(findings: Findings, sections: list[dict[str, Any]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unlearnbench.report", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    benchmark = findings.benchmark
    machines = {
        tuple(sorted(record["environment"].items(), key=lambda item: item[0]))
        for record in findings.records.values()
    }
    return environment.get_template("report.md.j2").render(
        b=benchmark,
        sections=sections,
        notes=findings.notes,
        repetitions=findings.runs[findings.runs["label"] != "retrain"]["forget_seed"].nunique(),
        references=len(findings.plan.references),
        machines=[dict(machine) for machine in sorted(machines, key=repr)],
        settings={
            label: {key: value for key, value in entry.items() if key != "method"}
            for label, entry in benchmark.methods.items()
        },
        searches=_searches(findings),
    )


def _searches(findings: Findings) -> list[tuple[str, int, int, float]]:
    """Sum up each method's adversarial search: samples, how many did not flip, mean distance."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in findings.runs.to_dict("records"):
        note = findings.records[row["run"]]["notes"].get("adversarial search")
        if note:
            found.setdefault(row["label"], []).append(note)
    rows = []
    for label, notes in found.items():
        distances = [d for note in notes for d in note["distances"]]
        mean = sum(distances) / len(distances) if distances else float("nan")
        samples = sum(note["samples"] for note in notes)
        rows.append((label, samples, sum(note["not flipped"] for note in notes), mean))
    return rows
