"""Reports: of one benchmark, of several side by side or ranked together, of one that still runs."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unlearnbench.api import arguments
from unlearnbench.api.arguments import Files
from unlearnbench.api.results import Results, load
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Findings
from unlearnbench.planning.reading import benchmark_name
from unlearnbench.reporting.several import comparison, overview
from unlearnbench.reporting.tables.table import Table
from unlearnbench.reporting.write import Section, write_sections
from unlearnbench.storage.finding import require_above, results_folder
from unlearnbench.storage.store import Store

EVERY = 5
"""Seconds between two looks at a run that goes on."""
IDLE = 120
"""Seconds without any lease on a run after which none goes on: it may be about to start."""

Reported = str | Path | Results
"""Results, or the folder that holds them."""


@dataclass(frozen=True)
class Review:
    """Hold what is said of several results together: sentences, tables, figures."""

    title: str
    said: list[str]
    sections: list[Section]
    names: list[str]

    @property
    def tables(self) -> dict[str, Table]:
        """Its tables by name."""
        return {table.name: table for section in self.sections for table in section.tables}

    def report(self, folder: str | Path) -> Path:
        """Write it as a page with tables and figures; return the page."""
        return write_sections(self.title, self.said, self.sections, Path(folder))

    def _repr_html_(self) -> str:
        """Show its tables in a notebook."""
        return "".join(table._repr_html_() for table in self.tables.values())


def report(
    source: Reported,
    folder: str | Path | None = None,
    *,
    results: str | Path = "results",
    plugins: Files = (),
) -> Path:
    """Write the report of a benchmark; return the page.

    source: results, a folder, or the name of one below `results`; folder: reports/NAME if None.
    """
    return loaded(source, results, plugins).report(folder)


def compare(*sources: Reported, results: str | Path = "results", plugins: Files = ()) -> Review:
    """Put results side by side; what others are compared to is the first.

    Paired run by run where all three seeds are the same. Raises UserError for fewer than two.
    """
    if len(sources) < 2:
        raise UserError(
            "A comparison takes two results folders or more.",
            "Name them: ub.compare(ONE, OTHER) (unlearnbench report --compare ONE OTHER).",
        )
    return _review(comparison, [loaded(one, results, plugins) for one in sources])


def rank(sources: Reported | Iterable[Reported], *, results: str | Path = "results") -> Review:
    """Rank methods over several benchmarks, with the critical difference between mean ranks."""
    return _review(overview, [loaded(one, results) for one in arguments.several(sources)])


def _review(
    write: Callable[[Mapping[str, Findings]], tuple[str, list[str], list[Section]]],
    several: list[Results],
) -> Review:
    """Name each by the last part of its folder, or by as many as tell them apart."""
    whole = [one.folder.resolve().parts for one in several]
    for count in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-count:]) for parts in whole]
        findings = {name: one.findings for name, one in zip(names, several, strict=True)}
        if len(findings) == len(several):
            return Review(*write(findings), names)
    raise UserError(
        "One folder was given twice.", "Give each run its own folder: results=FOLDER (--results)."
    )


def loaded(source: Reported, results: str | Path, plugins: Files = ()) -> Results:
    """Return results as they are, or read them from a folder, given by path or by name."""
    if isinstance(source, Results):
        return source
    return load(results_folder(source, Path(results)), plugins=plugins)


def watch(
    named: str, plugins: list[Path], results: Path, reports: Path, tell: Callable[[str], None]
) -> Path:
    """Write a report again whenever there is more, until everything has been made or has failed.

    Or until no process makes more: rows that were asked for by different commands end up with
    unequal numbers of runs, and what would make them equal is never made.
    """
    require_above(results)
    try:
        place = results_folder(named, results)
    except UserError:  # it may be about to be made
        place = results / benchmark_name(named)
    name, seen = place.resolve().name, -1
    folder = reports / name
    latest: Results | None = None
    leases, busy = Store(place).leases, time.monotonic()
    try:
        while True:
            started = time.monotonic()
            try:
                latest = load(place, plugins=plugins)
            except UserError as error:
                if seen < 0:
                    tell(f"Waiting: {error}")
                    seen = 0
            else:
                left, models = latest.findings.open, latest.findings.models
                more = models - left != seen
                if more or leases.in_use():
                    busy = time.monotonic()
                ended = not left or time.monotonic() - busy > IDLE
                if more or ended:
                    page = latest.report(folder, refresh=0 if ended else EVERY)
                    if more:
                        tell(f"{models - left} of {models} models: {page}")
                        seen = models - left
                if ended:
                    if left:
                        tell(
                            f"No process is making the other {left}: unlearnbench run {name} would."
                        )
                    return folder / "index.html"
            # What takes long is done less often: a quarter of the time at most goes into looking.
            time.sleep(max(EVERY, 3 * (time.monotonic() - started)))
    except KeyboardInterrupt:
        if latest is not None:
            latest.report(folder)  # a page that is no longer read again
        raise
