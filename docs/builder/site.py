"""One site of all pages by Zensical, at build/guide/index.html, that asks no other host."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from latex2mathml.converter import convert

from docs.builder.markdown import DOCS, ROOT, code

HERE = Path(__file__).parent
PAGES = ("*.md", "guide/*.md", "recipes/*.md", "speed/*.md")
ASSETS = ("reports/*/index.html", "reports/*/figures/*.png", "docs/speed/*.svg")
MATH = re.compile(r"^```math\n(.*?)\n```$", re.M | re.S)
INLINE = re.compile(r"(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\w$])")
METHOD = re.compile(r"^\[methods/[^\]]+\]\((\S+)\)$", re.M)
SHIM = re.compile(r'<script src="https://[^"]+/iframe-worker/shim"[^>]*></script>')
"""Zensical's own cure for search without a server, which it fetches; worker.js is ours."""
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>"""
)
HARMLESS = re.compile(r'rel="?canonical')
SPELLINGS = {
    "data set": "dataset",
    "settings": "hyperparameters",
    "memoris": "memorization",
    "optimiser": "optimizer",
}
"""What readers type who spell a word otherwise than these pages do."""


def sources() -> list[Path]:
    """List the pages, as paths below docs/."""
    return sorted(path.relative_to(DOCS) for pattern in PAGES for path in DOCS.glob(pattern))


def page(path: Path) -> str:
    """Return a page's Markdown as the site has it.

    README.md is its folder's index; a recipe's link to its method becomes the code; a link to a
    published report leads to its page, which lies below the site; formulas are MathML.
    """
    here = (DOCS / path).parent
    text = METHOD.sub(lambda link: code(here / link[1]), (DOCS / path).read_text(encoding="utf-8"))
    text = re.sub(r"(\]\((?:\.\./)*)\.\./(reports/)", r"\1\2", text)
    text = re.sub(r"(\]\((?:\.\./)*reports/[^)\s]*)report\.md\)", r"\1index.html)", text)
    text = re.sub(r"(\]\((?!https?:)[^)\s]*?)README\.md", r"\1index.md", text)
    return with_mathml(text)


def with_mathml(text: str) -> str:
    """Replace ```math blocks and $...$ outside of code by MathML."""
    parts = re.split(r"(^```.*?^```$|`[^`\n]+`)", text, flags=re.M | re.S)
    return "".join(_block(part) if place % 2 else _inline(part) for place, part in enumerate(parts))


def _block(text: str) -> str:
    return MATH.sub(lambda m: f'<div class="equation">{convert(m[1], display="block")}</div>', text)


def _inline(text: str) -> str:
    # A formula may run over the end of a line of the source.
    joined = re.sub(r"\$[^$]+\$", lambda m: m[0].replace("\n", " "), text)
    # In a span, or Markdown would take one at the start of a line for a block.
    return INLINE.sub(lambda m: f"<span>{convert(m[1])}</span>", joined)


def stage(folder: Path) -> None:
    """Write all pages, and what they show, below `folder`."""
    for path in sources():
        target = folder / str(path).replace("README.md", "index.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page(path), encoding="utf-8")
    for pattern in ASSETS:
        for asset in ROOT.glob(pattern):
            target = folder / str(asset.relative_to(ROOT)).removeprefix("docs/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(asset, target)
    shutil.copy(HERE / "guide.css", folder)


def configuration() -> dict[str, Any]:
    """Return the settings of a build."""
    config: dict[str, Any] = tomllib.loads((HERE / "zensical.toml").read_text(encoding="utf-8"))
    project = config["project"]
    project |= {"docs_dir": "pages", "site_dir": "guide"}
    project["nav"] = json.loads(json.dumps(project["nav"]).replace("README.md", "index.md"))
    return config


def finish(site: Path) -> None:
    """Leave nothing that asks another host. Raises SystemExit naming the page that would."""
    shim = f"<script>{(HERE / 'worker.js').read_text(encoding='utf-8')}</script>"
    for path in site.rglob("*.html"):
        if "reports" in path.relative_to(site).parts:  # a test of their own sees to those
            continue
        text = SHIM.sub(lambda _: shim, path.read_text(encoding="utf-8"))
        asked = [tag for tag in FETCHED.findall(text) if not HARMLESS.search(tag)]
        if asked:
            raise SystemExit(f"{path.relative_to(site)} asks another host: {asked[0]}")
        path.write_text(text, encoding="utf-8")


def respell(site: Path) -> None:
    """Have search find a section by other spellings of its words too."""
    index = json.loads((site / "search.json").read_text(encoding="utf-8"))
    for item in index["items"]:
        text = f"{item['title']} {item['text']}".lower()
        other = {new for old, new in SPELLINGS.items() if old in text and new not in text}
        if other:
            item["text"] += f"<p>Other spellings: {', '.join(sorted(other))}.</p>"
    written = json.dumps(index, ensure_ascii=False)
    (site / "search.json").write_text(written, encoding="utf-8")
    (site / "search.js").write_text(f"var __index = {written};", encoding="utf-8")


def build(target: Path) -> Path:
    """Write the site to `target`/guide; return its first page.

    Raises SystemExit if Zensical has a warning.
    """
    pages, site = target / "pages", target / "guide"
    for folder in (pages, site):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    stage(pages)
    config = target / "zensical.toml"
    config.write_text(tomli_w.dumps(configuration()), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(config)]
    if subprocess.run(command, cwd=target, check=False).returncode:
        raise SystemExit("The guide has warnings: see above.")
    finish(site)
    respell(site)
    return site / "index.html"
