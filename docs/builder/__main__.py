"""Fill the guide and README; before that publish, render, simulate, compare; or build the site."""

from __future__ import annotations

import argparse

from docs.builder import markdown, parity, rates, recipes, site, sizes
from docs.builder.parts import PARTS
from docs.builder.published import publish, publish_audit, render_all


def fill() -> None:
    """Write the recipes and the sizes of benchmarks, and fill what pages take in."""
    sizes.write()
    texts = recipes.pages()
    for path in recipes.FOLDER.glob("*.md"):
        if path.name not in texts:  # of a method that is gone
            path.unlink()
    for name, text in texts.items():
        (recipes.FOLDER / name).write_text(text, encoding="utf-8")
    for page in markdown.pages():
        page.write_text(markdown.filled(page, PARTS), encoding="utf-8")


def main() -> None:
    """Do what is asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.builder", description=__doc__)
    parser.add_argument("--publish", metavar="NAME", nargs="+", default=[], help="of ./results")
    parser.add_argument("--audit", action="store_true", help="publish U-LiRA's table alone")
    parser.add_argument("--reports", action="store_true", help="render all published results again")
    parser.add_argument(
        "--rates", action="store_true", help="simulate the rule's error rates again"
    )
    parser.add_argument(
        "--parity", action="store_true", help="compare methods with derivations and ports again"
    )
    parser.add_argument("--site", action="store_true", help="build build/guide/index.html, no more")
    asked = parser.parse_args()
    if asked.site:
        print(f"Guide: {site.build(markdown.ROOT / 'build')}")
        return
    for name in asked.publish:
        (publish_audit if asked.audit else publish)(name)
    if asked.rates:
        rates.write()
    if asked.parity:
        parity.write()
    if asked.reports:
        render_all()
    fill()


if __name__ == "__main__":
    main()
