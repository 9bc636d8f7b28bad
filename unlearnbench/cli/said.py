"""All that is printed goes through here: what others have named does nothing to a terminal."""

from collections.abc import Iterable
from typing import Any

import typer

from unlearnbench.errors import plain


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
