"""Tables and figures in a two-column article, compiled with Debian's TeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.hand import by_hand
from tests.test_page import HOSTILE
from unlearnbench.reporting.tables import section_tables
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.results import settings_table
from unlearnbench.reporting.write import write_report

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
CLASSES = {
    "NeurIPS": (r"\documentclass{article}", "textwidth=5.5in"),
    "ICML": (r"\documentclass[twocolumn]{article}", "textwidth=6.75in,columnsep=0.25in"),
    "CVPR": (r"\documentclass[twocolumn]{article}", "textwidth=6.875in,columnsep=0.3125in"),
}
"""Which class and which widths papers have there."""
WIDTHS = [("NeurIPS", 5.5), ("ICML", 6.75), ("ICML", 3.25), ("CVPR", 6.875), ("CVPR", 3.25)]
"""Inches that a table may have there."""
ARTICLE = r"""%s
\usepackage[T1]{fontenc}
\usepackage{times}
\usepackage[textheight=8.875in,%s]{geometry}
\usepackage{array,booktabs,longtable,graphicx,textcomp}
\extrafloats{200}
\begin{document}
%s
\bibliographystyle{plain}
\nocite{*}
\bibliography{references}
\end{document}
"""
WIDE = r"\begin{figure*}\centering\includegraphics[width=\textwidth]{figures/%s}\end{figure*}"
SINGLE = r"\begin{figure}\centering\includegraphics[width=\columnwidth]{figures/%s}\end{figure}"


def compile_article(folder: Path, where: str) -> str:
    """Compile everything a report has into one article; return TeX's log."""
    tables = sorted(path.stem for path in (folder / "tables").glob("*.tex"))
    parts = [_page(folder / "tables" / f"{name}.tex") for name in tables]
    for path in sorted((folder / "figures").glob("*.pdf")):
        wide = path.stem.startswith(("gaps", "confidences", "classes", "memorisation"))
        parts.append((WIDE if wide else SINGLE) % path.name + r"\clearpage")
    (folder / "article.tex").write_text(ARTICLE % (*CLASSES[where], "\n".join(parts)))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article"]
    for command in (latex, ["bibtex", "article"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "article.log").read_text(errors="replace")


def _page(file: Path) -> str:
    """Read a table in; one that is longer than a page stands in one column, as its comment says."""
    read = rf"\input{{tables/{file.stem}}}"
    long = r"\begin{longtable}" in file.read_text()
    return rf"\onecolumn{read}\twocolumn" if long else rf"{read}\clearpage"


def overfull(log: str) -> list[float]:
    """List by how many points lines are too wide, and floats too tall for a page."""
    wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)
    tall = re.findall(r"Float too large for page by ([\d.]+)pt", log)
    return [size for size in map(float, [*wide, *tall]) if size > 1]


@pytest.mark.parametrize("where", CLASSES)
def test_everything_compiles_and_fits(where: str, tmp_path: Path) -> None:
    assert shutil.which("pdflatex"), "install texlive-latex-recommended and -extra"
    found = by_hand({"leaky": HOSTILE})
    found.papers = {"my_method": "https://arxiv.org/abs/2503.00917", HOSTILE: "https://x.org"}
    found.failures = [{"label": HOSTILE, "access": "full", "run": "x_1", "error": HOSTILE}]
    write_report(found, tmp_path)
    log = compile_article(tmp_path, where)
    assert "Reference" not in log or "undefined" not in log
    own = log.partition("article.bbl")[0]  # what follows is the style's, and a name without a space
    assert overfull(own) == []
    fonts = subprocess.run(
        ["pdffonts", "article.pdf"], cwd=tmp_path, capture_output=True, text=True
    )
    rows = [line.split() for line in fonts.stdout.splitlines()[2:]]
    assert rows and all("no" not in row[-5:-4] for row in rows), "every font is embedded"


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
@pytest.mark.parametrize(("where", "width"), WIDTHS)
def test_published_tables_fit_every_width(
    name: str, where: str, width: float, tmp_path: Path
) -> None:
    results = ub.load(ROOT / "results" / f"{name}@epyc-2")
    made = [table for part in section_tables(results.condition()) for table in part]
    made += [settings_table(results.findings), *claims_tables({name: results.findings})]
    (tmp_path / "tables").mkdir()
    (tmp_path / "references.bib").write_text("@misc{a, title = {A}}")
    for table in made:
        text = table.to_latex(width=width)
        (tmp_path / "tables" / f"{table.name}.tex").write_text(text)
        if width < 4:
            assert r"\begin{table*}" not in text
    log = compile_article(tmp_path, where)
    assert overfull(log) == [] and "multiply defined" not in log
