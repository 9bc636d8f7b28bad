"""How to cite what was compared: BibTeX of the methods' papers, the attacks and this project."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files

from unlearnbench.report.tables import escape

ATTACKS = ("https://arxiv.org/abs/2312.03262", "https://arxiv.org/abs/2112.03570")
"""RMIA, which gives FT AUC, and LiRA."""
OURS = """@software{unlearnbench,
  title = {unlearnbench: machine-unlearning methods measured against retraining},
  author = {{The unlearnbench maintainers}},
  year = {2026}
}"""


def entries(papers: dict[str, str]) -> dict[str, str]:
    """Return the BibTeX entry of each row's paper.

    papers: address by row. A paper that is not in papers.bib is cited by its address; a row without
    one has no entry.
    """
    known = _known()
    return {
        label: known.get(paper) or _by_address(label, paper)
        for label, paper in papers.items()
        if paper
    }


def always() -> list[str]:
    """Return what every report cites: this project, and the attacks behind its numbers."""
    known = _known()
    return [OURS, *(known[paper] for paper in ATTACKS)]


def bibliography(papers: dict[str, str]) -> str:
    """Return a .bib file of everything, each entry once."""
    return "\n\n".join(dict.fromkeys([*always(), *entries(papers).values()])) + "\n"


def _known() -> dict[str, str]:
    text = (files("unlearnbench.report.pages") / "papers.bib").read_text()
    found: Iterable[str] = text.strip().split("\n\n")
    return {re.findall(r"url = \{(.*?)\}", entry)[0]: entry for entry in found}


def _by_address(label: str, paper: str) -> str:
    title = escape.latex(label)
    address = re.sub(r"[{}\\\s]", "", paper)
    return f"@misc{{{escape.label(label)},\n  title = {{{title}}},\n  url = {{{address}}}\n}}"
