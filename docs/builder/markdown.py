"""Pipe tables, and the places of a page that are filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[2]
WIDTH = 118
"""Letters in a line of text."""
DOCS = ROOT / "docs"
PLACE = re.compile(r"^(( *)<!-- fill: (\S+)(?: (\S+))? -->)$.*?^( *<!-- end -->)$", re.M | re.S)
"""What stands between `<!-- fill: PART FILE -->` and `<!-- end -->`; not every part has a file."""

LANGUAGES = {".py": "python", ".toml": "toml", ".cff": "yaml"}

Part = Callable[[Path], str]


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = ()
) -> str:
    """Write a pipe table; numbers: the columns that are set to the right."""
    rules = ["---:" if column in numbers else "---" for column in columns]
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (columns, rules, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(path: Path) -> str:
    """Show a file."""
    return f"```{LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8').strip()}\n```"


def pages() -> list[Path]:
    """List the pages that take something in."""
    candidates = [ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("guide/*.md")]
    return sorted(path for path in candidates if PLACE.search(path.read_text(encoding="utf-8")))


def filled(page: Path, parts: Mapping[str, Part]) -> str:
    """Return a page's text with all its places filled again.

    The path of a part is relative to its page. Raises KeyError for a part that there is not.
    """

    def fill(place: re.Match[str]) -> str:
        opened, space, name, file, closed = place.groups()
        return f"{opened}\n\n{indent(parts[name](page.parent / (file or '')), space)}\n\n{closed}"

    return PLACE.sub(fill, page.read_text(encoding="utf-8"))
