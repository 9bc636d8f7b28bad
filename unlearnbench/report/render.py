"""Tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import pandas as pd

from unlearnbench.report.findings import Findings
from unlearnbench.report.tables import Table

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "–": "--",
    "≠": r"$\neq$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "<": r"$<$",
    ">": r"$>$",
}


def markdown(table: Table) -> str:
    """Write a pipe table, numbers to the right."""
    rules = ["---:" if one == "r" else "---" for one in alignment(table)]
    lines = [table.columns, rules, *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def alignment(table: Table) -> str:
    """Return l or r for each column: numbers go to the right."""
    columns = [[row[i] for row in table.rows] for i in range(len(table.columns))]
    return "".join("r" if any(map(_is_number, cells)) else "l" for cells in columns)


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-±≤≥< ")[:1].isdigit()


def latex(table: Table) -> str:
    """Write a complete booktabs table with caption and label."""
    body = [_row(table.columns), r"\midrule", *map(_row, table.rows)]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{alignment(table)}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


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
    parts = [findings.records[run]["seconds"] for run in frame["run"]]
    names = sorted({name for part in parts for name in part} - {"total"})
    for name in names:
        frame = frame.assign(**{f"seconds: {name}": [part.get(name, 0.0) for part in parts]})
    return _csv(frame)


def escape(text: str) -> str:
    """Make text safe for LaTeX."""
    return "".join(LATEX.get(character, character) for character in text)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def _row(cells: list[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
