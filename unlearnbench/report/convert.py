"""Vega's work, done by other processes while this one goes on: it holds Python's lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import vl_convert
from loky import ProcessPoolExecutor

from unlearnbench.files import write
from unlearnbench.report.figures import Figure, printed

DPI = 300


class Converter:
    """Turn specifications into files, and hand out Vega's JavaScript."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        """Work in `pool`. The JavaScript takes longest, so it comes first."""
        self._pool = pool
        self._library = pool.submit(vl_convert.javascript_bundle)
        self._drawn: list[tuple[Path, Future[str]]] = []

    def library(self) -> str:
        """Return Vega, Vega-Lite and Vega-Embed as one script that needs no network."""
        return str(self._library.result())

    def draw(self, figure: Figure, folder: Path) -> None:
        """Begin to draw a figure that `finish` will write to `folder`."""
        svg = self._pool.submit(vl_convert.vegalite_to_svg, printed(figure.spec))
        self._drawn.append((folder / figure.name, svg))

    def finish(self) -> None:
        """Write all figures as PDF (fonts embedded) and PNG (300 dpi).

        A PNG has the same bytes each time; in a PDF the fonts get other names.
        """
        made: list[tuple[Path, Future[bytes]]] = []
        for path, svg in self._drawn:
            pdf, png = (path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png"))
            made.append((pdf, self._pool.submit(vl_convert.svg_to_pdf, svg.result())))
            made.append((png, self._pool.submit(vl_convert.svg_to_png, svg.result(), ppi=DPI)))
        for path, content in made:
            write(path, partial(_put, content=content.result()))


@contextmanager
def converter() -> Iterator[Converter]:
    """Open a converter; its processes end with it."""
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield Converter(pool)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
