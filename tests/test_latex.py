"""Tables and figures in a two-column article, compiled with Debian's TeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hand import by_hand
from tests.test_page import HOSTILE
from unlearnbench.reporting.write import write_report

pytestmark = pytest.mark.slow
CLASSES = {
    "NeurIPS": (r"\documentclass{article}", "textwidth=5.5in"),
    "ICML": (r"\documentclass[twocolumn]{article}", "textwidth=6.75in,columnsep=0.25in"),
    "CVPR": (r"\documentclass[twocolumn]{article}", "textwidth=6.875in,columnsep=0.3125in"),
}
"""Which class and which widths papers have there."""
ARTICLE = r"""%s
\usepackage[T1]{fontenc}
\usepackage{times}
\usepackage[textheight=9in,%s]{geometry}
\usepackage{array,booktabs,graphicx,textcomp}
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
    parts = [rf"\input{{tables/{name}}}\clearpage" for name in tables]
    for path in sorted((folder / "figures").glob("*.pdf")):
        wide = path.stem.startswith(("gaps", "confidences", "classes", "memorisation"))
        parts.append((WIDE if wide else SINGLE) % path.name + r"\clearpage")
    (folder / "article.tex").write_text(ARTICLE % (*CLASSES[where], "\n".join(parts)))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article"]
    for command in (latex, ["bibtex", "article"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "article.log").read_text(errors="replace")


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
    wide = [float(size) for size in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", own)]
    assert [size for size in wide if size > 1] == []
    fonts = subprocess.run(
        ["pdffonts", "article.pdf"], cwd=tmp_path, capture_output=True, text=True
    )
    rows = [line.split() for line in fonts.stdout.splitlines()[2:]]
    assert rows and all("no" not in row[-5:-4] for row in rows), "every font is embedded"
