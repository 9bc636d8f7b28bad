"""What the command `report` does: one benchmark, several, two against each other, or live."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from unlearnbench.commands import past
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Findings
from unlearnbench.report.write import write, write_sections

EVERY = 5
"""Seconds between two looks at a run that goes on."""


def report(names: list[str], plugins: list[Path], results: Path, reports: Path) -> Path:
    """Write the report of each benchmark, and of several one over all; return the last page."""
    found = {name: past.findings(results / name, plugins) for name in names}
    pages = [write(one, reports / name) for name, one in found.items()]
    if len(found) == 1:
        return pages[0]
    from unlearnbench.report.overview import overview

    title, said, sections = overview(found)
    return write_sections(title, said, sections, reports / "+".join(found))


def compare(folders: list[str], plugins: list[Path], results: Path, reports: Path) -> Path:
    """Write results folders side by side; return the page.

    A folder is given by its path, or by its name below `results`.
    """
    if len(folders) < 2:
        raise UserError("--compare takes two results folders or more.", "Name them after report.")
    paths = [Path(one) if Path(one).is_dir() else results / one for one in folders]
    names = _names(paths)
    found = {name: past.findings(path, plugins) for name, path in zip(names, paths, strict=True)}
    from unlearnbench.report.compare import comparison

    title, said, sections = comparison(found)
    folder = "-".join(["compare", *names]).replace("/", "-")
    return write_sections(title, said, sections, reports / folder)


def _names(paths: list[Path]) -> list[str]:
    """Name folders by their last part, or by as many as tell them apart."""
    whole = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-count:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    raise UserError("--compare was given one folder twice.")


def watch(
    name: str, plugins: list[Path], results: Path, reports: Path, tell: Callable[[str], None]
) -> Path:
    """Write a report again whenever there is more, until everything has been made or has failed."""
    folder, seen = reports / name, -1
    found: Findings | None = None
    try:
        while True:
            started = time.monotonic()
            try:
                found = past.findings(results / name, plugins)
            except UserError as error:
                if seen < 0:
                    tell(f"Waiting: {error}")
                    seen = 0
            else:
                made = found.models - found.open
                if made != seen:
                    page = write(found, folder, refresh=EVERY if found.open else 0)
                    tell(f"{made} of {found.models} models: {page}")
                    seen = made
                if not found.open:
                    return folder / "index.html"
            # What takes long is done less often: a quarter of the time at most goes into looking.
            time.sleep(max(EVERY, 3 * (time.monotonic() - started)))
    except KeyboardInterrupt:
        if found is not None:
            write(found, folder)  # a page that is no longer read again
        raise
