"""All that is printed goes through here: what others have named does nothing to a terminal."""

import inspect
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from unlearnbench.errors import plain

WIDEST = 100
"""Columns of a paragraph: longer lines are hard to read."""
NARROW = 4
"""Columns by which lines are set in where the terminal has too few for more."""


def say(*lines: object, err: bool = False, hang: int = 0) -> None:
    """Print lines; a line break inside one is written out, so that nobody can forge another.

    A line that is too long for a terminal goes on below between words, `hang` columns set in.
    """
    for line in lines:
        for part in _folded(plain(str(line)), sys.stderr if err else sys.stdout, hang):
            typer.echo(part, err=err)


def copied(text: str) -> None:
    """Print what is to be copied or read by a program: no line of it is folded."""
    for line in text.splitlines():
        typer.echo(plain(line))


def paragraphs(text: str) -> list[str]:
    """Return the lines of a docstring with each paragraph as wide as it is read with ease."""
    width = min(shutil.get_terminal_size((WIDEST + 1, 24)).columns - 1, WIDEST)
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines += ["", *textwrap.wrap(paragraph, width, break_on_hyphens=False)]
    return lines[1:]


def _folded(line: str, stream: Any, hang: int) -> list[str]:
    if not stream.isatty():
        return [line]
    # One column less: some terminals go to the next line by themselves after the last.
    columns = shutil.get_terminal_size().columns - 1
    inset = " " * (hang if hang <= columns // 2 else NARROW)
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=inset,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]


@contextmanager
def moving(what: str = "Starting") -> Iterator[None]:
    """Show on a terminal that something goes on, such as reading libraries, which takes seconds."""
    if sys.stdout.isatty():
        with safe_console().status(f"{what} ...", spinner_style="cyan"):
            yield
    else:
        yield


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
