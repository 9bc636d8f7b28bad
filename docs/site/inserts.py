"""What pages take in from elsewhere, so that nothing is typed twice.

`python -m docs.site.inserts` fills what stands between a comment that names one of `INSERTS` and a
file, and the next comment `end`; `tests/test_guide.py` sees to it that all are current.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

from docs.site import commands, settings
from docs.site.printed import printed, table
from docs.site.receipts import DOCS
from unlearnbench import registry
from unlearnbench.evaluation.findings import Findings
from unlearnbench.metrics.attacks import ATTACKS
from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.planning.published import Published
from unlearnbench.planning.reading import read, validate
from unlearnbench.report.figures.figure import DRAWN
from unlearnbench.report.pages import citations, story
from unlearnbench.report.pages import page as report_pages
from unlearnbench.report.tables.printed import gap_of_columns

PLACE = re.compile(
    r"^(( *)<!-- filled by `python -m docs\.site\.inserts`: (\w+) (\S+) -->)$.*?^( *<!-- end -->)$",
    re.M | re.S,
)
LANGUAGES = {".py": "python", ".toml": "toml", ".cff": "yaml"}


def text(path: Path) -> str:
    """Take in Markdown as it is."""
    return path.read_text().strip()


def code(path: Path) -> str:
    """Show a file."""
    return f"```{LANGUAGES[path.suffix]}\n{path.read_text().strip()}\n```"


def published(path: Path) -> str:
    """Tabulate what a paper printed with FT AUC for a benchmark's fractions, table by table."""
    benchmark = validate(read(path))
    tables: dict[str, list[Published]] = {}
    for entry in benchmark.published:
        if entry.fraction in benchmark.forget.fractions and "ft_auc" in entry.values:
            tables.setdefault(f"{entry.source}, {entry.access} access", []).append(entry)
    made = []
    for source, rows in tables.items():
        names = [name for name in METRICS if any(name in row.values for row in rows)]
        cells = [[row.method, *(printed(row.values.get(name)) for name in names)] for row in rows]
        columns = ["Method", *(METRICS[name].heading for name in names)]
        made.append(f"{source}:\n\n{table(columns, cells)}")
    return "\n\n".join(made)


def recomputed(path: Path) -> str:
    """Compare printed average gaps with the mean distance to retrain of the columns beside them."""
    benchmark = validate(read(path))
    entries = [
        entry
        for entry in benchmark.published
        if "ft_auc" in entry.values
        and entry.access == "full"
        and entry.fraction in benchmark.forget.fractions
    ]
    retrain = next(entry.values for entry in entries if entry.method == RETRAIN)
    rows = []
    for entry in entries:
        if "avg_gap" in entry.values:
            mean = gap_of_columns(entry.values, retrain, benchmark.gap_terms)
            rows.append([entry.method, f"{entry.values['avg_gap'][0]:.2f}", f"{mean:.2f}"])
    return table(["Method", "Printed gap", "Mean of its columns"], rows)


def reading(path: Path) -> str:
    """Say what each number means, as the report of a benchmark does; path: its findings."""
    findings = Findings.from_json(path.read_text())
    page = report_pages.markdown_pages(story.about(findings), [])["reading"]
    return "\n".join(line for line in page.splitlines() if not line.startswith("# ")).strip()


def figures(path: Path) -> str:
    """List the figures of a report with their captions."""
    return table(["Figure", "What it shows"], [[title, told] for _, title, told in DRAWN])


def metrics(path: Path) -> str:
    """List the metrics there are."""
    rows = [
        [f"`{name}`", metric.title, metric.heading, metric.kind] for name, metric in METRICS.items()
    ]
    return table(["Name", "What it is", "Heading", "Kind"], rows)


def attacks(path: Path) -> str:
    """List the attacks there are."""
    rows = [[f"`{name}`", attack.title, attack.about] for name, attack in ATTACKS.items()]
    return table(["Name", "Title", "What it does"], rows)


def command_line(path: Path) -> str:
    """Describe every command."""
    return commands.reference()


def benchmark_file(path: Path) -> str:
    """Describe every key of a benchmark file."""
    return settings.reference()


def bibtex(path: Path) -> str:
    """List what to cite: this project, the attacks, and the paper of every shipped method."""
    found = registry.find("methods").items()
    papers = {name: registry.settings_class(plugin).paper for name, plugin in found}
    return f"```bibtex\n{citations.bibliography(papers).strip()}\n```"


INSERTS: dict[str, Callable[[Path], str]] = {
    "text": text,
    "code": code,
    "published": published,
    "recomputed": recomputed,
    "reading": reading,
    "figures": figures,
    "metrics": metrics,
    "attacks": attacks,
    "commands": command_line,
    "settings": benchmark_file,
    "bibtex": bibtex,
}


def taking() -> list[Path]:
    """List the pages that take something in, as paths below docs/."""
    found = [path.relative_to(DOCS) for part in ("*.md", "guide/*.md") for path in DOCS.glob(part)]
    return sorted(path for path in found if PLACE.search((DOCS / path).read_text()))


def filled(page: Path) -> str:
    """Return a page's Markdown with all its places filled anew; page: below docs/."""
    path = DOCS / page

    def fill(place: re.Match[str]) -> str:
        opened, space, name, file, closed = place.groups()
        made = indent(INSERTS[name](path.parent / file), space)
        return f"{opened}\n\n{made}\n\n{closed}"

    return PLACE.sub(fill, path.read_text())


def main() -> None:
    """Fill all pages."""
    for page in taking():
        (DOCS / page).write_text(filled(page))


if __name__ == "__main__":
    main()
