"""Write a report: one folder with pages, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl

from unlearnbench.files import write_text
from unlearnbench.report import audit, figures, ledger, render, style, tables
from unlearnbench.report.findings import Findings
from unlearnbench.report.tables import Group, Table
from unlearnbench.store import Store

TITLES = {
    "gaps": "Distance to retrain, metric by metric",
    "forgetting-utility": "Forgetting against utility",
    "confidences": "Confidence before and after",
    "time-gap": "Cost against distance to retrain",
}


def write(findings: Findings, store: Store, folder: Path) -> Path:
    """Write report.md, attacks.md, reading.md, tables/ and figures/; return report.md's path."""
    main, details = [], []
    with mpl.rc_context(style.RC):
        for group in tables.groups(findings):
            shown = _present(
                tables.main_table(findings, group),
                audit.attacks_table(findings, group),
                audit.control_table(findings, group),
                audit.distance_table(findings, group),
                tables.gap_table(findings, group),
                tables.more_table(findings, group),
                tables.published_table(findings, group),
                ledger.cost_table(findings, group),
            )
            every = [
                audit.attack_table(findings, group, attack)
                for attack in audit.shown_attacks(findings, group)
            ]
            every += _present(audit.pairs_table(findings, group))
            _write_tables([*shown, *every], folder)
            drawn = _figures(findings, group, store, folder)
            main.append(_section(findings, group, shown) | {"figures": drawn})
            details.append(_section(findings, group, every))
    whole = _present(ledger.settings_table(findings), ledger.failures_table(findings, store))
    _write_tables(whole, folder)
    for name, text in {
        "summary": render.summary_csv(findings),
        "attacks": render.attacks_csv(findings),
        "pairs": render.pairs_csv(findings),
        "runs": render.runs_csv(findings),
        "cost": render.cost_csv(findings),
    }.items():
        write_text(folder / "tables" / f"{name}.csv", text)
    about = _about(findings)
    for name, sections in (("report", main), ("attacks", details), ("reading", [])):
        write_text(folder / f"{name}.md", _page(f"{name}.md.j2", about | {"sections": sections}))
    return folder / "report.md"


def _write_tables(made: list[Table], folder: Path) -> None:
    for table in made:
        write_text(folder / "tables" / f"{table.name}.tex", render.latex(table))
        write_text(folder / "tables" / f"{table.name}.md", render.markdown(table) + "\n")


def _present(*made: Table | None) -> list[Table]:
    return [table for table in made if table is not None]


def _section(findings: Findings, group: Group, shown: list[Table]) -> dict[str, Any]:
    return {
        "heading": tables.heading(group, findings.benchmark),
        "tables": [(table.caption, render.markdown(table)) for table in shown],
    }


def _figures(findings: Findings, group: Group, store: Store, folder: Path) -> list[tuple[str, str]]:
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


def _page(template: str, about: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unlearnbench.report", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(about)


def _about(findings: Findings) -> dict[str, Any]:
    """Return what pages say of a benchmark beside its tables."""
    benchmark = findings.benchmark
    machines = {
        tuple(sorted(record["environment"].items(), key=lambda item: item[0]))
        for record in findings.records.values()
    }
    return {
        "b": benchmark,
        "notes": findings.notes,
        "repetitions": findings.runs[findings.runs["label"] != "retrain"]["forget_seed"].nunique(),
        "references": len(findings.plan.references),
        "machines": [dict(machine) for machine in sorted(machines, key=repr)],
        "settings": {
            label: {key: value for key, value in entry.items() if key != "method"}
            for label, entry in benchmark.methods.items()
        },
        "searches": _searches(findings),
    }


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
