"""Take packs over into a results folder: all of a pack is checked before any of it is written."""

from dataclasses import dataclass, field
from pathlib import Path

from unlearnbench.errors import UserError
from unlearnbench.files import seal
from unlearnbench.planning import joining
from unlearnbench.storage import asked, inside
from unlearnbench.storage.pack import Pack, PackedRun, model_place
from unlearnbench.storage.records import PRUNED, SPLIT
from unlearnbench.storage.store import Store

BANK = ("data", "model", "recipe", "references")
"""Tables that originals and references depend on."""
ELSEWHERE = "Take it over elsewhere: --results DIR."


@dataclass
class Taken:
    """Say what came of a pack: how many runs were copied, and how many were there already.

    differing: those that were there with other signals than the pack's, and are left as they are;
    weightless: how many copied ones had a model that is not in the pack; missing: how many runs of
    the whole pack are still not here.
    """

    what: str
    benchmark: str
    copied: int = 0
    there: int = 0
    differing: list[str] = field(default_factory=list)
    weightless: int = 0
    missing: int = 0


def take_over_pack(path: Path, results: Path) -> Taken:
    """Copy the runs of a pack that a results folder lacks.

    Raises PackError where the pack is not as it was written, and UserError where the folder has
    results of other settings or of other data; nothing is written then.
    """
    with Pack(path) as pack:
        store = Store(results / pack.contents.benchmark)
        _require_same_settings(pack, store)
        taken = Taken(pack.contents.what, pack.contents.benchmark)
        wanted = _wanted(pack, store, taken)
        store.prepare()
        _note(pack, store)
        for run in pack.runs():
            if run.id not in wanted:
                continue
            with store.claim(store.run_folder(run.spec)) as ours:
                if not ours:
                    continue
                if not _lacks(run, store, taken):  # another process has just made it
                    taken.there += 1
                    continue
                _write(run, pack, store)
            taken.copied += 1
            taken.weightless += not run.weights and "weights" in run.record["files"]
        store.refresh()
        taken.missing = sum(not store.exists(name[-12:]) for name in pack.contents.runs)
    return taken


def _require_same_settings(pack: Pack, store: Store) -> None:
    """Raise UserError where the folder's tables are of other settings: of a bank, what it is of."""
    here, own = asked.in_view(store), pack.benchmark
    unlike = joining.differing(here, own) if here else {}
    if pack.contents.what == "bank":
        unlike = {key: both for key, both in unlike.items() if key.partition(".")[0] in BANK}
    if unlike:
        (key, (now, packed)), *more = unlike.items()
        raise UserError(
            f"{pack.path.name} is of other settings than {store.folder}: here {key} is {now!r}, not"
            f" {packed!r}{f', and {len(more)} more' if more else ''}.",
            ELSEWHERE,
        )


def _note(pack: Pack, store: Store) -> None:
    """Note what the pack's tables show, and what is known of its methods; a bank has neither."""
    if pack.contents.what == "results":
        packed = {name: one.model_dump() for name, one in pack.contents.methods.items()}
        asked.take_in(store, [pack.benchmark], packed, pack.contents.plugins)


def _wanted(pack: Pack, store: Store, taken: Taken) -> set[str]:
    """Check all of a pack, models too; return the runs that the folder lacks, or their weights.

    Raises PackError, and UserError where they are made of other data than those that are there.
    """
    digest = next(filter(None, map(store.digest, filter(store.done, store.runs()))), None)
    wanted = set()
    for run in pack.runs():
        digest = digest or run.record.get("data")
        if run.record.get("data") != digest:
            raise UserError(
                f"{pack.path.name} was made of other data than {store.folder}: other images or"
                " labels, or another version of the data set.",
                ELSEWHERE,
            )
        if store.disagrees(run.record["split"], run.record["files"].get(SPLIT)):
            problem = f"{pack.path.name} has another forget set under a name of {store.folder}."
            raise UserError(problem, ELSEWHERE)
        if run.weights:
            pack.read(model_place(run.id))
        if _lacks(run, store, taken):
            wanted.add(run.id)
    taken.there = len(pack.folders) - len(wanted)
    return wanted


def _lacks(run: PackedRun, store: Store, taken: Taken) -> bool:
    """Say whether the folder lacks a run, or its weights; note one that differs from the pack's."""
    if not store.done(run.id):
        return True
    if run.signals != store.record(run.id)["files"].get("signals.npz"):
        taken.differing.append(run.id)
        return False
    return run.weights and not store.has_weights(run.id)


def _write(run: PackedRun, pack: Pack, store: Store) -> None:
    """Write a run as it was, its record last, which no longer promises weights left behind."""
    folder, record = store.run_folder(run.spec), run.record
    if run.weights:
        model = pack.read(model_place(run.id))
        inside.put_bytes(store.model_path(run.id), store.folder, model)
    elif "weights" in record["files"]:
        kept = {name: digest for name, digest in record["files"].items() if name != "weights"}
        record = record | {"files": kept, PRUNED: {"weights": record["files"]["weights"]}}
    for name, data in run.files.items():
        split = store.split_path(str(run.spec.split_id))
        inside.put_bytes(split if name == SPLIT else folder / name, store.folder, data)
    store.conclude(folder, seal(record))
