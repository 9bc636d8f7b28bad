"""What papers printed of a method, as tables for its page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.reading import read, shipped_benchmarks, validate
from unlearnbench.report.tables.printed import shown
from unlearnbench.report.tables.table import ABSENT, is_number


def table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a pipe table, numbers to the right; a bar inside a cell is escaped."""
    header, cells = list(columns), list(rows)
    rules = [
        "---:" if any(is_number(row[place]) for row in cells) else "---"
        for place in range(len(header))
    ]
    made = [[cell.replace("|", "\\|") for cell in row] for row in (header, rules, *cells)]
    return "\n".join(f"| {' | '.join(row)} |" for row in made)


def belonging(methods: dict[str, dict[str, Any]], name: str) -> list[str]:
    """List the rows of a benchmark that run this method, under whatever label."""
    return [label for label, entry in methods.items() if entry.get("method", label) == name]


def published(name: str) -> str:
    """Write what papers printed of this method, from the benchmark files.

    What two tables of a paper say of one row stands in one line, unless they disagree.
    """
    lines: list[Printed] = []
    for benchmark in _benchmarks():
        labels = {name, *belonging(benchmark.methods, name)}
        by_trades = ", trained by TRADES" if benchmark.recipe.trades else ""
        for entry in benchmark.published:
            if entry.method in labels:
                on = f"{benchmark.data.name}, {benchmark.model}{by_trades}"
                about = (on, entry.method, f"{100 * entry.fraction:g} %, {entry.access} access")
                _add(lines, Printed(about, [entry.source], dict(entry.values)))
    if not lines:
        return "No benchmark file has published numbers for it."
    groups: dict[str, list[Printed]] = {}
    for line in sorted(lines, key=lambda line: _natural(min(line.sources, key=_natural))):
        groups.setdefault(f"{line.about[0]}; {_joined(line.sources)}:", []).append(line)
    return "\n\n".join(f"{head}\n\n{_printed_table(of)}" for head, of in groups.items())


@cache
def _benchmarks() -> list[Benchmark]:
    return [validate(read(path)) for path in shipped_benchmarks().values()]


def _printed_table(lines: list[Printed]) -> str:
    metrics = [m for m in METRICS if any(m in line.values for line in lines)]
    rows = [[*line.about[1:], *(printed(line.values.get(m)) for m in metrics)] for line in lines]
    return table(["Row", "Forgotten", *(METRICS[m].heading for m in metrics)], rows)


@dataclass(frozen=True)
class Printed:
    """Hold what a paper printed: data and model, row, setting; in which tables; the numbers."""

    about: tuple[str, str, str]
    sources: list[str]
    values: dict[str, list[float]]


def _add(lines: list[Printed], new: Printed) -> None:
    for line in lines:
        same = [line.values[m] == value for m, value in new.values.items() if m in line.values]
        if line.about == new.about and all(same):
            line.values.update(new.values)
            line.sources.extend(source for source in new.sources if source not in line.sources)
            return
    lines.append(new)


def _joined(sources: list[str]) -> str:
    """Name a paper once: "AMUN (arXiv 2503.00917), Table 1, Table 10"."""
    first, *others = sorted(sources, key=_natural)
    paper = first.rpartition(", ")[0]
    return ", ".join([first, *(other.removeprefix(f"{paper}, ") for other in others)])


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which Table 2 comes before Table 10."""
    return [(int(part or 0), word) for word, part in re.findall(r"([^0-9]+)([0-9]*)", text)]


def printed(value: list[float] | None) -> str:
    """Write a printed mean with its spread, or that there is none."""
    return shown(value) if value else ABSENT
