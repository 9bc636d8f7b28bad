"""The border to foreign code: what it raises is told in one line, and ends nothing else."""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unlearnbench.errors import UnlearnBenchError
from unlearnbench.guarding import LOADED

LONGEST = 500
"""Characters of a message that are told."""


def told(error: BaseException) -> str:
    """Say in a line what went wrong, and in which line of a plugin or a cell, if it was in one."""
    text = printable(_message(error).partition("\n")[0])
    if not isinstance(error, UnlearnBenchError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    inside: list[str] = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(LOADED):
            inside.append(f"{Path(frame.f_code.co_filename).name}, line {line}")
        elif module == "__main__":  # whose classes go to workers by value, and leave their file
            inside.append(f"{frame.f_code.co_qualname}, line {line}")
    return f"{text} ({inside[-1]})" if inside else text


def traced(error: BaseException) -> str:
    """Return the whole story of an error, such as can be written anywhere."""
    story = "".join(traceback.format_exception(error))
    return story.encode(errors="backslashreplace").decode()


def printable(text: str) -> str:
    """Return a line that any terminal and any file takes: no control characters, no halves."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:LONGEST])
    return shown + ("..." if text[LONGEST:] else "")


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # whatever the author of an exception does in there
        return "(its message cannot be read)"


@contextmanager
def border(
    failure: Callable[[str], Exception], *, passes: type[Exception] | tuple[()] = ()
) -> Iterator[None]:
    """Turn whatever a block of foreign code raises into a failure of ours.

    What ends programs too, such as SystemExit, but for Ctrl-C. failure: makes it from a line;
    passes: what is let through as it is.
    """
    with _listening() as heard:
        try:
            yield
        except BaseException as error:
            if isinstance(error, passes) or (heard and isinstance(error, KeyboardInterrupt)):
                raise
            raise failure(told(error)) from error


@contextmanager
def _listening() -> Iterator[list[int]]:
    """Note in a list each Ctrl-C that is real, and have it do what it would do."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: Any) -> None:
        heard.append(number)
        if callable(before):
            before(number, frame)

    main = threading.current_thread() is threading.main_thread()
    if not (callable(before) and main):  # no other thread hears any
        yield heard
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        if signal.getsignal(signal.SIGINT) is hear:
            signal.signal(signal.SIGINT, before)
