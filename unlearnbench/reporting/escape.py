"""Text of anyone's made harmless: method names, paths and error messages in every format."""

import re
from typing import Any

import pandas as pd

LATEX = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "–": "--",
    "≠": r"$\neq$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "ᵃ": r"$^\mathrm{a}$",
    "ᵇ": r"$^\mathrm{b}$",
    "ᶜ": r"$^\mathrm{c}$",
    "ᵈ": r"$^\mathrm{d}$",
    "ᵉ": r"$^\mathrm{e}$",
    "ᶠ": r"$^\mathrm{f}$",
    "ᵍ": r"$^\mathrm{g}$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "\n": " ",
    "\t": " ",
}
# Marks only where they would do something: "50.7 [46.4, 55.0]" and my_method stay as they are.
MARKDOWN = re.compile(
    r"[\\`*|~$]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:])|^[#>+-](?=\s)|^\d+[.)](?=\s)"
)
ENTITIES = {"<": "&lt;", "&": "&amp;", "|": "&#124;"}
"""Of marks before which a backslash would not hold, in HTML and in tables."""
NUMBER = re.compile(r"[+-]\d[\d.,]*(e[+-]\d+)?( ±[\d.?]+| \[[\d.,+ -]+\]| [=≠?])*")
"""A number of ours with its spread or interval: it may begin with a sign and is no formula."""


def latex(text: str) -> str:
    """Make text safe for LaTeX; a character that pdflatex may lack becomes a question mark."""
    safe = "".join(LATEX.get(c, c if " " <= c <= "~" or "À" <= c <= "ž" else "?") for c in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", safe)  # a minus, not a hyphen


def markdown(text: str) -> str:
    """Make text stand in Markdown as it is, on one line, as prose or in a table's cell."""
    return MARKDOWN.sub(_held, re.sub(r"[\r\n\t]+", " ", text))


def _held(found: re.Match[str]) -> str:
    mark = found[0]
    return ENTITIES.get(mark, f"{mark[:-1]}\\{mark[-1]}")  # the last: "1." begins a list


def csv(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula: a quote before the first character."""
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") and not NUMBER.fullmatch(value):
        return "'" + value
    return value


def csv_text(frame: pd.DataFrame) -> str:
    """Write a frame as CSV of which no spreadsheet takes text, the header's too, for a formula."""
    safe = frame.rename(columns=csv)
    words = safe.select_dtypes(exclude="number").columns
    safe[words] = safe[words].map(csv)
    return safe.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def label(text: str) -> str:
    """Make text fit for a LaTeX label or the name of a file."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)
