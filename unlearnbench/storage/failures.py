"""Which code a run has failed with: what failed says nothing of code that has changed since."""

import os
import re
from collections.abc import Iterable, Mapping

from unlearnbench import registry
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import Spec
from unlearnbench.planning.sources import Now
from unlearnbench.storage.store import Store

CODE = re.compile(r"Made by code ([0-9a-f]{16})\.\n")
"""The first line of error.txt. A failure that is older, or that nothing was noted of, has none."""


def codes(planned: Planned, runs: Iterable[str]) -> dict[str, str]:
    """Return by run the hash of the code of its method or audit as it is now, if it has any."""
    now = Now(planned.plugins | registry.find("controls"), planned.benchmark.plugins)
    found = {run: now.code(planned.plan.nodes[run].spec) for run in runs}
    return {run: code for run, code in found.items() if code}


def of_other_code(planned: Planned, store: Store) -> set[str]:
    """Return the runs that have failed with code that has changed since."""
    texts = {run: text for run in planned.plan.nodes if (text := store.error(run)) is not None}
    noted = {run: found[1] for run, text in texts.items() if (found := CODE.match(text))}
    return {run for run, code in codes(planned, noted).items() if code != noted[run]}


def note_code(planned: Planned, store: Store, made_by: Mapping[str, str]) -> None:
    """Write into the text of each run that has failed which code it was made by; see `codes`."""
    store.refresh()
    for run, code in made_by.items():
        if store.error(run) is not None:
            _note(store, planned.plan.nodes[run].spec, code)


def _note(store: Store, spec: Spec, code: str) -> None:
    folder = store.run_folder(spec)
    with store.claim(folder) as claimed:
        text = store.error(spec.id) or ""
        # A text that cannot be read, as it is too long, is told of in a line without an end.
        if claimed and text.endswith("\n") and not CODE.match(text):
            failed = (folder / "error.txt").stat()
            store.fail(spec, f"Made by code {code}.\n{text}")
            # When it failed stays: by that, another process sees what has happened since it looked.
            os.utime(folder / "error.txt", ns=(failed.st_atime_ns, failed.st_mtime_ns))
