"""From docs/ to the pages of a site: names, links, code of methods, formulas."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from docs.site.formulas import with_mathml
from docs.site.inserts import code
from docs.site.receipts import DOCS

PAGES = ("*.md", "guide/*.md", "recipes/*.md", "*/README.md")
ASSETS = ("*/*.png", "*/*.svg", "*/index.html")
REPORT = "report.html"
"""What a published report is called: its own name is taken by the page about it."""
SOURCE = re.compile(r"^\[methods/[^\]]+\]\((\S+)\)$", re.M)


def sources() -> list[Path]:
    """List the pages, as paths below docs/."""
    found = {path.relative_to(DOCS) for pattern in PAGES for path in DOCS.glob(pattern)}
    return sorted(found)


def page(path: Path) -> str:
    """Return a page's Markdown as the site has it.

    A recipe's link to its method becomes the code. README.md is its folder's index.
    """
    here = (DOCS / path).parent
    text = SOURCE.sub(lambda m: code(here / m[1]), (DOCS / path).read_text())
    text = re.sub(r"(\]\((?!https?:)[^)\s]*?)index\.html\)", rf"\1{REPORT})", text)
    text = re.sub(r"(\]\((?!https?:)[^)\s]*?)README\.md", r"\1index.md", text)
    return with_mathml(text)


def stage(folder: Path) -> None:
    """Write all pages, and what they show, below `folder`."""
    for path in sources():
        target = folder / str(path).replace("README.md", "index.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(path))
    for pattern in ASSETS:
        for asset in DOCS.glob(pattern):
            target = folder / asset.relative_to(DOCS)
            name = REPORT if asset.name == "index.html" else asset.name
            shutil.copy(asset, target.with_name(name))
    shutil.copy(Path(__file__).with_name("guide.css"), folder / "guide.css")
