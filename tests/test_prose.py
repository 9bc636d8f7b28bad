"""Turns of phrase that read as translated are in nothing that users read.

`make lint` runs proselint over the same pages for what is common to all English prose.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from docs.builder.markdown import DOCS, ROOT

BANNED = {
    r"\banew\b": "again",
    r"\bafresh\b": "again",
    r"\black(s|ing)?\b": "is missing, has no",
    r"\b(cannot|can|could|can hardly) be told\b(?! apart)": "can be distinguished",
    r"\b(is|are|was|were) told\b": "is reported, gets",
    r"\btold (in|at once|so|of)\b": "reported",
    r"\bwhoever is (closest|nearest|best)\b": "the method that is closest",
    r"\bmethods? who\b": "a method that",
    r"\b(speaks?|spoke) to\b": "has a gradient for",
    r"\bWhat came out\b": "Summary, Results",
    r"\bmust come out\b": "is expected",
    r"\bAsk harder\b": "A stronger attack",
    r"\bTo be read with\b": "Warnings",
    r"\bneither shown to be\b": "inconclusive",
    r"\bshare of retraining's\b": "multiple of retraining's",
    r"\bcombined by (zip|product)\b": "repetition i uses the i-th seed of each",
    r"\bof which nearby\b": "of the perturbation ball",
    r"\bof one's own\b": "of your own",
    r"\bare to be found\b": "are",
    r"\bis (not|never) there any more\b": "is gone",
    r"\bby whom\b": "who",
    r"\bin the (place|stead) of\b": "in place of",
    r"\bTake heed\b|\bbeware of\b": "Warnings",
    r"\bwhat takes from the worth\b": "what limits the value",
}
"""What is not written, and what to write instead."""
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "docs/guide/*.md")
TEMPLATES = ("unlearnbench/reporting/pages/*.j2", "benchmarks/*.toml")
CODE = ("unlearnbench/**/*.py", "methods/*.py")
EXPLAINED = ("methods/*.py", "unlearnbench/cli/*.py", "unlearnbench/controls/*.py")
"""Code whose docstrings are shown: in help, in lists and on the pages of methods."""
LATEX = re.compile(r"\\[a-z]+")


def shown() -> Iterator[tuple[str, str]]:
    """Yield what users read, piece by piece, each with its place."""
    for pattern in (*PAGES, *TEMPLATES):
        for path in sorted(ROOT.glob(pattern)):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield f"{path.relative_to(ROOT)}:{number}", line
    unreleased = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    yield "CHANGELOG.md", unreleased
    explained = {path for pattern in EXPLAINED for path in ROOT.glob(pattern)}
    for pattern in CODE:
        for path in sorted(ROOT.glob(pattern)):
            for number, text in strings(path.read_text(), docstrings=path in explained):
                yield f"{path.relative_to(ROOT)}:{number}", text


def strings(source: str, *, docstrings: bool) -> Iterator[tuple[int, str]]:
    """Yield the strings of code with their lines, those that are no sentence left out."""
    tree = ast.parse(source)
    notes = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = docstrings or id(node) not in notes
            if said and " " in node.value and not LATEX.search(node.value):
                yield node.lineno, " ".join(node.value.split())


@cache
def all_shown() -> list[tuple[str, str]]:
    """Return all that users read; once, as it takes a second."""
    return list(shown())


@pytest.mark.parametrize("banned", BANNED)
def test_nothing_reads_as_translated(banned: str) -> None:
    found = [f"{place}: {text[:100]}" for place, text in all_shown() if re.search(banned, text)]
    assert found == [], f"write instead: {BANNED[banned]}"


def test_a_banned_turn_is_found_in_code() -> None:
    source = (
        'def f():\n    """Made anew: no user reads it."""\n    raise Error("It is made anew.")\n'
    )
    assert list(strings(source, docstrings=False)) == [(3, "It is made anew.")]
    assert len(list(strings(source, docstrings=True))) == 2
    assert [banned for banned in BANNED if re.search(banned, "It is made anew.")] == [r"\banew\b"]


def test_pages_help_and_messages_are_looked_at() -> None:
    assert len(all_shown()) > 4000
    places = {place.partition(":")[0] for place, _ in all_shown()}
    for path in ("README.md", "docs/guide/install.md", "methods/amun.py", "CHANGELOG.md"):
        assert path in places
    text = " ".join(text for _, text in all_shown())
    assert "Print the version." in text, "help"
    assert "Climb the loss of the forget set." in text, "docstrings of methods"
    assert "Fix that, then type the same command again." in text, "messages"
    assert len(list(DOCS.glob("guide/*.md"))) == sum(p.startswith("docs/guide/") for p in places)
