"""Build the guide: `python -m docs.site.build` writes build/guide/index.html and all beside it.

Warnings are errors, and so is anything that a page would fetch from another host.
"""

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

from docs.site.receipts import DOCS
from docs.site.stage import REPORT, sources, stage

HERE = Path(__file__).parent
BUILD = DOCS.parent / "build"
SHIM = re.compile(r'<script src="https://[^"]+/iframe-worker/shim"[^>]*></script>')
"""Zensical's own cure for search without a server, which it fetches; worker.js is ours."""
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>"""
)
HARMLESS = re.compile(r'rel="?canonical')


def configuration() -> dict[str, Any]:
    """Return the settings of a build, all recipes and experiments in the navigation."""
    config: dict[str, Any] = tomllib.loads((HERE / "zensical.toml").read_text())
    project = config["project"]
    project |= {"docs_dir": "pages", "site_dir": "guide"}
    project["plugins"]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(DOCS.parent)]
    named = {path.stem: str(path) for path in sources() if path.parent.name == "recipes"}
    recipes = [{name: named[name]} for name in sorted(named) if name != "README"]
    known = json.dumps(project["nav"])
    published = sorted(path.parent.name for path in DOCS.glob("*/findings.json"))
    pages = [{name: f"{name}/README.md"} for name in published if f'"{name}/' not in known]
    for entry in project["nav"]:
        for section, more in (("Recipes", recipes), ("The paper's experiments", pages)):
            if section in entry:
                entry[section] += more
    project["nav"] = json.loads(json.dumps(project["nav"]).replace("README.md", "index.md"))
    return config


def finish(site: Path) -> None:
    """Leave nothing that asks another host. Raises SystemExit naming the page that would."""
    shim = f"<script>{(HERE / 'worker.js').read_text()}</script>"
    for page in site.rglob("*.html"):
        if page.name == REPORT:  # its own tests see to it that it asks nobody
            continue
        text = SHIM.sub(lambda _: shim, page.read_text())
        asked = [tag for tag in FETCHED.findall(text) if not HARMLESS.search(tag)]
        if asked:
            raise SystemExit(f"{page.relative_to(site)} asks another host: {asked[0]}")
        page.write_text(text)


def build(target: Path) -> None:
    """Write the site to `target`/guide. Raises SystemExit if Zensical has a warning."""
    pages, site = target / "pages", target / "guide"
    for folder in (pages, site):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    stage(pages)
    config = target / "zensical.toml"
    config.write_text(tomli_w.dumps(configuration()))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(config)]
    if subprocess.run(command, cwd=target, check=False).returncode:
        raise SystemExit("The guide has warnings: see above.")
    finish(site)


def main() -> None:
    """Build it into ./build."""
    build(BUILD)
    print(f"Guide: {BUILD / 'guide' / 'index.html'}")


if __name__ == "__main__":
    main()
