"""What papers printed, as tables: of one benchmark file, and of one method."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from docs.builder.markdown import table
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.benchmark import Benchmark, Published
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.planning.reading import read, shipped_benchmarks, validate
from unlearnbench.reporting.tables.papers import gap_of_columns, shown
from unlearnbench.reporting.tables.table import ABSENT

Values = dict[str, list[float]]


@dataclass(frozen=True)
class Line:
    """Hold what a paper printed of a row.

    on: data and model; row: its label and what is forgotten; sources: in which tables.
    """

    on: str
    row: tuple[str, str]
    sources: list[str]
    values: Values


def tables(benchmark: Benchmark) -> str:
    """Tabulate what a paper printed with FT AUC for a benchmark's fractions, table by table."""
    by_source: dict[str, list[Published]] = {}
    for entry in _with_auc(benchmark):
        by_source.setdefault(f"{entry.source}, {entry.access} access", []).append(entry)
    return "\n\n".join(
        f"{source}:\n\n{_table(['Method'], [([entry.method], entry.values) for entry in entries])}"
        for source, entries in by_source.items()
    )


def gaps(benchmark: Benchmark) -> list[list[str]]:
    """List each row with its printed average gap and the one that its columns give."""
    entries = {one.method: one.values for one in _with_auc(benchmark) if one.access == "full"}
    return [
        [method, f"{values['avg_gap'][0]:.2f}", f"{mean:.2f}"]
        for method, values in entries.items()
        if "avg_gap" in values
        for mean in [gap_of_columns(values, entries[RETRAIN], benchmark.gap_terms)]
    ]


def of_method(name: str) -> str:
    """Tabulate what papers printed of a method, from all benchmark files.

    What two tables of a paper say of one row stands in one line, unless they disagree.
    """
    lines: list[Line] = []
    for benchmark in _benchmarks():
        labels = {name, *rows_of(benchmark, name)}
        trades = ", trained by TRADES" if benchmark.recipe.trades else ""
        own = f"{benchmark.data.name}, {benchmark.model}"
        for entry in benchmark.published:
            if entry.method in labels:
                row = (entry.method, f"{100 * entry.fraction:g} %, {entry.access} access")
                on = (entry.on or own) + trades
                _add(lines, Line(on, row, [entry.source], dict(entry.values)))
    groups: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: _natural(min(line.sources, key=_natural))):
        groups.setdefault(f"{line.on}; {_joined(line.sources)}:", []).append(line)
    return "\n\n".join(
        f"{head}\n\n{_table(['Row', 'Forgotten'], [(line.row, line.values) for line in group])}"
        for head, group in groups.items()
    )


def rows_of(benchmark: Benchmark, name: str) -> list[str]:
    """List the rows of a benchmark that run this method, under whatever label."""
    return [label for label, row in benchmark.methods.items() if row.method == name]


@cache
def _benchmarks() -> list[Benchmark]:
    return [validate(read(path)) for path in shipped_benchmarks().values()]


def _with_auc(benchmark: Benchmark) -> list[Published]:
    return [
        entry
        for entry in benchmark.published
        if entry.fraction in benchmark.forget.fractions and "ft_auc" in entry.values
    ]


def _table(first: Sequence[str], rows: Iterable[tuple[Sequence[str], Values]]) -> str:
    """Write rows of means with their spreads below the headings of their metrics."""
    printed = list(rows)
    metrics = [name for name in METRICS if any(name in values for _, values in printed)]
    headings = [METRICS[name].heading for name in metrics]
    cells = [
        [*row, *(shown(values.get(name, [])) or ABSENT for name in metrics)]
        for row, values in printed
    ]
    return table([*first, *headings], cells, headings)


def _add(lines: list[Line], new: Line) -> None:
    """Add a line, to one that agrees with it in what both have if there is one."""
    for line in lines:
        shared = line.values.keys() & new.values.keys()
        agree = all(line.values[name] == new.values[name] for name in shared)
        if (line.on, line.row) == (new.on, new.row) and agree:
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
