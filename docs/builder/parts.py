"""The parts that pages take in: tables of what there is, published numbers, files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill

import pandas as pd

from docs.builder import (
    api,
    markdown,
    parity,
    printed,
    published,
    rates,
    reference,
    short,
    weak_spots,
)
from unlearnbench import registry
from unlearnbench.audits.attacks import ATTACKS
from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.frames import RUN
from unlearnbench.metrics.metric import METRICS, of_kind
from unlearnbench.outline import settings_class
from unlearnbench.planning.reading import read, validate
from unlearnbench.reporting.figures import FIGURES
from unlearnbench.reporting.steps import as_markdown
from unlearnbench.reporting.tables.audit import P_VALUE
from unlearnbench.reporting.tables.table import Table, interval
from unlearnbench.reporting.tables.table import text as text_column
from unlearnbench.reporting.write import bibliography, write_report


def meaning(path: Path) -> str:
    """Say what the numbers of a benchmark mean, as its report does; path: its file."""
    benchmark, nothing = validate(read(path)), pd.DataFrame()
    runs = pd.DataFrame(columns=[*RUN, *of_kind("cost")])
    unmade = Findings(benchmark, runs, nothing, nothing, references=benchmark.references.count)
    with TemporaryDirectory() as place:
        write_report(unmade, Path(place))
        lines = Path(place, "reading.md").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("# ")).strip()


def main_table(path: Path) -> str:
    """Show the main table of published results that have one condition, with its warnings."""
    condition = published.load(path).condition()
    return f"{condition.table('main').to_markdown()}\n\n{published.warned(condition)}".rstrip()


def beside(path: Path) -> str:
    """Put what a paper printed beside published results that have one condition."""
    made = published.load(path).condition().table("published")
    return f"{made.to_markdown()}\n\n{fill(made.caption, markdown.WIDTH, break_on_hyphens=False)}"


def audit(path: Path) -> str:
    """Tabulate what one attack made of each row; path: the CSV that was published of it.

    Of 0.1.0 the AUCs alone: its gaps and verdicts took its retrained models for what is known.
    """
    frame = pd.read_csv(path).rename(columns={"low": "auc_low", "high": "auc_high"})
    columns = [text_column("Method", "method"), interval("AUC % [95 %]", "auc")]
    if published.of_before(published.load(path.parent)):
        left_out = "gaps and verdicts of 0.1.0 are left out, since they were not against 50."
        return f"{Table('', frame, columns).to_markdown()}\n\n- Warning: {left_out}"
    columns += [
        interval("Gap to 50 [95 %]", "gap", "+"),
        P_VALUE,
        text_column("Verdict", "verdict"),
    ]
    return Table("", frame, columns).to_markdown()


def recomputed(path: Path) -> str:
    """Compare printed average gaps with the mean distance to retrain of the columns beside them."""
    columns = ("Method", "Printed gap", "Mean of its columns")
    return markdown.table(columns, printed.gaps(validate(read(path))), columns[1:])


def metrics(_: Path) -> str:
    """List the metrics there are."""
    rows = [[f"`{name}`", one.title, one.heading, one.kind] for name, one in METRICS.items()]
    return markdown.table(["Name", "What it is", "Heading", "Kind"], rows)


def attacks(_: Path) -> str:
    """List the attacks there are."""
    rows = [[f"`{name}`", attack.title, attack.about] for name, attack in ATTACKS.items()]
    return markdown.table(["Name", "Title", "What it does"], rows)


def figures(_: Path) -> str:
    """List the figures of a report with their captions."""
    rows = [[figure.title, figure.caption] for figure in FIGURES.values()]
    return markdown.table(["Figure", "What it shows"], rows)


def bibtex(_: Path) -> str:
    """List what to cite: this project, the attacks, and the paper of every shipped method."""
    methods = registry.find("methods").items()
    papers = {name: settings_class(plugin).paper for name, plugin in methods}
    return f"```bibtex\n{bibliography(papers).strip()}\n```"


PARTS: dict[str, markdown.Part] = {
    "api": api.described,
    "steps": lambda _: as_markdown(),
    "meaning": meaning,
    "code": markdown.code,
    "main": main_table,
    "short": short.table,
    "origin": lambda path: published.origin(published.load(path)),
    "beside": beside,
    "audit": audit,
    "tenth": lambda path: published.tenth(published.load(path)),
    "claims": lambda _: published.claims(),
    "rivals": lambda path: published.rivals(published.load(path)),
    "claims-of": lambda path: published.claims(path.name),
    "counted": lambda _: published.counted(),
    "experiments": lambda _: published.experiments(),
    "weak-spots": lambda _: weak_spots.table(),
    "published": lambda path: printed.tables(validate(read(path))),
    "recomputed": recomputed,
    "rates": rates.table,
    "parity": parity.table,
    "metrics": metrics,
    "attacks": attacks,
    "figures": figures,
    "commands": lambda _: reference.commands(),
    "benchmark-file": lambda _: reference.benchmark_file(),
    "bibtex": bibtex,
}
