"""All that is printed goes through here: what others have named does nothing to a terminal."""

import re
from collections.abc import Iterable
from typing import Any

import typer

UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys, or that turn the order of others round; a tab is none."""


def plain(text: str) -> str:
    """Return a line in which such characters are written out: an escape as its number."""
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def say(*lines: object, err: bool = False) -> None:
    """Print lines; a line break inside one is written out, so that nobody can forge another."""
    for line in lines:
        typer.echo(plain(str(line)), err=err)


def safe_console() -> Any:
    """Return a console of rich's for which the same holds; square brackets are text there too."""
    from rich.console import Console, ConsoleOptions, RenderableType  # slow to import
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control is None:
                    parts = map(plain, segment.text.split("\n"))
                    segment = segment._replace(text="\n".join(parts))
                yield segment

    return SafeConsole(markup=False, emoji=False)
