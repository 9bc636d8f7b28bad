"""Vega's work, done by other processes while this one goes on: it holds Python's lock."""

from __future__ import annotations

import os
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from typing import Any

import vl_convert
from loky import ProcessPoolExecutor, get_reusable_executor

from unlearnbench.files import write

DPI = 300
IDLE = 60
"""Seconds after which the processes end; until then the next report finds them warm."""


def _pool() -> ProcessPoolExecutor:
    return get_reusable_executor(min(4, os.cpu_count() or 1), timeout=IDLE)


@cache
def begin() -> Future[str]:
    """Start the processes, one of them on Vega's JavaScript, which takes longest.

    Done before anything else is imported, it costs no time of its own.
    """
    script: Future[str] = _pool().submit(vl_convert.javascript_bundle)
    return script


class Converter:
    """Turn specifications into files, and hand out Vega's JavaScript."""

    def __init__(self) -> None:
        """Begin with what takes longest."""
        begin()
        self._drawn: list[tuple[Path, Future[str]]] = []

    def library(self) -> str:
        """Return Vega, Vega-Lite and Vega-Embed as one script that needs no network."""
        return begin().result()

    def draw(self, spec: dict[str, Any], path: Path) -> None:
        """Begin to draw what `finish` will write to `path`.pdf and .png."""
        self._drawn.append((path, _pool().submit(vl_convert.vegalite_to_svg, spec)))

    def finish(self) -> None:
        """Write all figures as PDF (fonts embedded) and PNG (300 dpi).

        A PNG has the same bytes each time; in a PDF the fonts get other names.
        """
        made: list[tuple[Path, Future[bytes]]] = []
        for path, svg in self._drawn:
            pdf, png = (path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png"))
            made.append((pdf, _pool().submit(vl_convert.svg_to_pdf, svg.result())))
            made.append((png, _pool().submit(vl_convert.svg_to_png, svg.result(), ppi=DPI)))
        for path, content in made:
            write(path, partial(_put, content=content.result()))


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
