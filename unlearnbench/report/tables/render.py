"""Tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO

import pandas as pd

from unlearnbench.evaluation.findings import Findings
from unlearnbench.report.tables import escape
from unlearnbench.report.tables.table import Table, is_number

ONE_COLUMN, TWO_COLUMNS = 52, 118
"""Characters that fit in a column and in the text width of a two-column article, in \\small."""
MARKS = {
    "markdown": {"best": "**{}**", "tied": "<ins>{}</ins>"},
    "latex": {"best": r"\textbf{{{}}}", "tied": r"\underline{{{}}}"},
}


def markdown(table: Table) -> str:
    """Write a pipe table, numbers to the right."""
    rules = ["---:" if one == "r" else "---" for one in alignment(table)]
    lines = [[escape.markdown(cell) for cell in table.columns], rules]
    lines += _emphasised(table, "markdown", escape.markdown)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def alignment(table: Table) -> str:
    """Return l or r for each column: numbers go to the right."""
    columns = [[row[i] for row in table.rows] for i in range(len(table.columns))]
    return "".join("r" if any(map(is_number, cells)) else "l" for cells in columns)


def latex(table: Table) -> str:
    """Write a complete booktabs table with caption and label, as wide as it needs to be.

    What is too wide for both columns of an article is scaled down to them.
    """
    top, bottom = latex_frame(table)
    return "\n".join([*top, *latex_rows(table), *bottom, ""])


def latex_frame(table: Table) -> tuple[list[str], list[str]]:
    """Return what stands before and after the rows of a LaTeX table."""
    cells = zip(table.columns, *table.rows, strict=True)
    width = sum(max(map(len, column)) + 2 for column in cells)
    star = "*" if width > ONE_COLUMN else ""
    scale = [r"\resizebox{\textwidth}{!}{%"] if width > TWO_COLUMNS else []
    head = " & ".join(map(escape.latex, table.columns)) + r" \\"
    top = [
        "% needs \\usepackage{booktabs" + (",graphicx}" if scale else "}"),
        rf"\begin{{table{star}}}",
        r"\centering",
        rf"\caption{{{escape.latex(table.caption)}}}",
        rf"\label{{tab:{escape.label(table.name)}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        *scale,
        rf"\begin{{tabular}}{{{alignment(table)}}}",
        r"\toprule",
        head,
        r"\midrule",
    ]
    end = r"\end{tabular}" + ("}" if scale else "")
    return top, [r"\bottomrule", end, rf"\end{{table{star}}}"]


def latex_rows(table: Table) -> list[str]:
    """Return the rows of a LaTeX table."""
    return [" & ".join(row) + r" \\" for row in _emphasised(table, "latex", escape.latex)]


def _emphasised(table: Table, kind: str, safe: Callable[[str], str]) -> list[list[str]]:
    made = []
    for number, row in enumerate(table.rows):
        cells = []
        for place, cell in enumerate(row):
            mark = table.marks.get((number, place))
            form = MARKS[kind][mark] if mark else "{}"
            cells.append(form.format(safe(cell)))
        made.append(cells)
    return made


def table_csv(table: Table) -> str:
    """Write a table's cells as they are shown, without emphasis."""
    return "".join(f"{line}\n" for line in csv_lines(table))


def csv_lines(table: Table) -> list[str]:
    """Return the header and the rows of a table as CSV, one by one."""
    made = []
    for row in (table.columns, *table.rows):
        text = StringIO()
        csv.writer(text, lineterminator="").writerow(map(escape.csv, row))
        made.append(text.getvalue())
    return made


def tidy(findings: Findings) -> dict[str, str]:
    """Return the tidy CSV files of a report, by name."""
    return {
        "summary": summary_csv(findings),
        "attacks": attacks_csv(findings),
        "pairs": pairs_csv(findings),
        "runs": runs_csv(findings),
        "cost": cost_csv(findings),
    }


def summary_csv(findings: Findings) -> str:
    """Write the tidy summary: one line a method and metric; no time in it."""
    benchmark = findings.benchmark
    frame = findings.summary.rename(columns={"label": "method"})
    frame.insert(0, "benchmark", benchmark.name)
    frame.insert(1, "dataset", benchmark.data.name)
    frame.insert(2, "model", benchmark.model)
    order = ["benchmark", "dataset", "model", "access", "fraction", "request", "method", "metric"]
    return _csv(frame[[*order, "n", "mean", "std", "low", "high", "gap", "band"]])


def attacks_csv(findings: Findings) -> str:
    """Write one line a method and attack: errors, intervals, tests, verdict, rates, flags."""
    return _csv(findings.attacks.rename(columns={"label": "method"}))


def pairs_csv(findings: Findings) -> str:
    """Write one line a pair of methods and attack: the difference, its errors, p."""
    return _csv(findings.pairs)


def runs_csv(findings: Findings) -> str:
    """Write one line a run: seeds, id, metrics and gaps."""
    costs = ["seconds", "time_ratio", "gradients", "memory"]
    return _csv(findings.runs.drop(columns=costs))


def cost_csv(findings: Findings) -> str:
    """Write one line a run with what it cost: seconds by part, gradients, memory in MB."""
    keys = ["label", "access", "fraction", "request", "original_seed", "forget_seed", "run_seed"]
    frame = findings.runs[[*keys, "run", "seconds", "time_ratio", "gradients", "memory"]]
    parts = [findings.details[run]["seconds"] for run in frame["run"]]
    names = sorted({name for part in parts for name in part} - {"total"})
    for name in names:
        frame = frame.assign(**{f"seconds: {name}": [part.get(name, 0.0) for part in parts]})
    return _csv(frame)


def _csv(frame: pd.DataFrame) -> str:
    safe = escape.csv_frame(frame)
    return safe.to_csv(index=False, float_format="%.6f", lineterminator="\n")
