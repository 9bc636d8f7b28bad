"""Packs of results or of a bank: written to hand on, and taken over."""

from datetime import date
from pathlib import Path

import unlearnbench
from unlearnbench.api import arguments
from unlearnbench.api.arguments import Files
from unlearnbench.api.results import planned_of
from unlearnbench.errors import UserError
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.facts import MethodFacts
from unlearnbench.planning.known import PluginFacts
from unlearnbench.storage import asked, housekeeping
from unlearnbench.storage.pack import Contents
from unlearnbench.storage.packing import Written, to_pack, write_packs
from unlearnbench.storage.plugins import known_plugins
from unlearnbench.storage.unpacking import Taken, take_over_pack


def pack(
    benchmark: str,
    file: str | Path | None = None,
    *,
    bank: bool = False,
    weights: bool = False,
    part_size: int | None = None,
    by: str = "",
    note: str = "",
    plugins: Files = (),
    results: str | Path = "results",
) -> Written:
    """Pack the results of a benchmark, or its bank, with checksums; return what was written.

    benchmark: its name below `results`; file: NAME.zip or NAME-bank.zip here if None; bank:
    originals and references only; weights: with the models that were kept; part_size: bytes of
    each part at most, where one run is less; by, note: who made it, and what should be said of it.
    Raises UserError where nothing is there to be packed.
    """
    store = housekeeping.open_store(Path(results), benchmark)
    planned = planned_of(store, arguments.plugins(plugins))
    if planned is None:
        raise asked.nothing_asked(store)
    runs, left_out = to_pack(store, planned.plan, bank=bank)
    if not runs:
        raise UserError(f"No finished run of '{store.folder.name}' is there to be packed.")
    path = Path(file or f"{store.folder.name}{'-bank' if bank else ''}.zip")
    contents = Contents(
        what="bank" if bank else "results",
        benchmark=store.folder.name,
        by=by,
        note=note,
        made=date.today().isoformat(),
        version=unlearnbench.__version__,
        runs=[store.runs()[run].name for run in runs],
        methods={} if bank else _facts(planned),
        plugins=PluginFacts() if bank else known_plugins(store),
        files={},
    )
    named = planned.benchmark.model_copy(update={"name": store.folder.name})
    written = write_packs(store, runs, contents, named, path, weights=weights, part_size=part_size)
    written.left_out[:0] = left_out
    return written


def _facts(planned: Planned) -> dict[str, MethodFacts]:
    """Return what others need to know of the methods, so that rows can be judged without them."""
    known = asked.facts_of(planned.benchmark, planned.plugins)
    return {
        name: MethodFacts.model_validate(told | {"path": Path(told["path"]).name})
        for name, told in known.items()
    }


def unpack(*files: str | Path, results: str | Path = "results") -> list[Taken]:
    """Take over what packs hold and `results` does not have; return what came of each.

    A pack, or a part of one, is checked before any of it is written. Raises UserError where it is
    not as it was written, or where the results that are there are of other settings or data.
    """
    return [take_over_pack(Path(file), Path(results)) for file in files]
