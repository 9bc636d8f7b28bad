"""What is in a results folder: list it, verify it, prune it, merge another into it."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT, abandoned, opened, read_text, visible
from unlearnbench.planning.plan import Plan, Spec
from unlearnbench.planning.reading import benchmark_name
from unlearnbench.storage import asked, inside, sealed
from unlearnbench.storage.finding import results_folder
from unlearnbench.storage.leases import ASKED
from unlearnbench.storage.plugins import known_plugins
from unlearnbench.storage.store import Store
from unlearnbench.units import count

Unfit = Callable[[Spec, Mapping[str, Any]], str | None]
"""Says of a run's spec and record why it may not be taken over; None if it may."""


def stock(results: Path) -> Iterator[tuple[str, int, int, int]]:
    """Yield each benchmark of a results folder: name, runs finished and failed, bytes of all."""
    for folder in sorted(path.parent for path in results.glob("*/runs")):
        done = {path.parent for path in folder.glob("runs/*/record.json")}
        failed = {path.parent for path in folder.glob("runs/*/error.txt")} - done
        yield folder.name, len(done), len(failed), size_of([folder])


def open_store(results: Path, benchmark: str) -> Store:
    """Return the store of a benchmark that has been run, by the name, file or path of it.

    Raises UserError if it has not been run, if its runs are not there, or as `inside.require_own`.
    """
    folder = results_folder(benchmark, results)
    if not (folder / "runs").is_dir():
        raise UserError(f"{folder} holds findings only: its runs are not there.")
    store = Store(folder)
    inside.require_own(folder)
    return store


def verify(store: Store) -> dict[str, str]:
    """Say what is wrong with which run or file, by its name; nothing if all is as written."""
    found: dict[str, str] = {}
    needed: dict[str, str] = {}
    for run, folder in store.runs().items():
        with suppress(FileNotFoundError):  # it was just removed
            if what := _wrong(store, run):
                store.renew([run])  # it may have been written while it was read
                what = _wrong(store, run)
            if what:
                found[folder.name] = what
            elif store.exists(run):
                needed |= dict.fromkeys(store.record(run).get("made from", ()), folder.name)
    for run in needed.keys() - store.runs().keys():
        found[run] = f"is missing, though {needed[run]} began with it"
    return found | asked.damage(store) | _metrics_damage(store.folder)


def _wrong(store: Store, run: str) -> str | None:
    """Say what is wrong with a run; None too where it failed, or is just being made."""
    if store.exists(run):
        return store.damage(run) or store.split_damage(run)
    if store.error(run) is not None or store.leases.is_held(run):
        return None
    if not store.runs()[run].exists():  # it was just removed
        return None
    return "record.json is missing: it never finished, or lost it"


def _metrics_damage(folder: Path) -> dict[str, str]:
    """Say whether kept metrics are not what was computed; those of 0.1.0 had no checksum."""
    try:
        text = read_text(folder / sealed.METRICS, folder, sealed.MOST)
        if text.startswith("{") and not text.startswith(sealed.FIRST):
            return {}
        sealed.without_checksum(text)
    except FileNotFoundError:
        return {}
    except ValueError:
        what = "is not what was written; it is not shown, and the next report mends it"
        return {sealed.METRICS: what}
    return {}


def leftovers(
    store: Store, plans: Iterable[Plan], made: Set[str] = frozenset()
) -> dict[str, list[Path]]:
    """List files beside runs that none of these plans is about: by what they are.

    made: runs that other processes are making. Which forget set one has that is in no plan, only
    its record will say: until then all are kept.
    """
    nodes = {run: node for plan in plans for run, node in plan.nodes.items()}
    splits = {node.spec.split_id for node in nodes.values()}
    weights, sets = (visible(store.folder, f"{part}/*") for part in ("models", "splits"))
    kept = nodes.keys() | made
    loose = sets if made <= nodes.keys() else ()
    files = {
        "with weights of no run": [path for path in weights if path.stem not in kept],
        "with forget sets of no run": [path for path in loose if path.stem not in splits],
        "left half written": abandoned(store.folder.rglob(f"{DRAFT}*")),
    }
    files = {what: inside.ours(paths, store.folder) for what, paths in files.items()}
    return {f"{count(len(paths), 'file')} {what}": paths for what, paths in files.items() if paths}


def remove_unasked(paths: Iterable[Path], store: Store) -> None:
    """Remove files and folders that nobody asked for, as what was asked is held and read.

    Raises as `Leases.require` where another process may have asked for them by now.
    """
    for path in paths:
        store.leases.require(ASKED)
        inside.remove(path, store.folder)


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files and of all files in folders, of what is there while it is read."""
    every = [p for path in paths for p in (_inside(path) if path.is_dir() else [path])]
    return sum(map(_size, every))


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; one that is removed meanwhile has none."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # a draft that a run beside has just finished
        return path.lstat().st_size  # of a link, which may lead anywhere, its own
    return 0


def merge_runs(source: Path, store: Store) -> tuple[int, list[str]]:
    """Copy the runs that another folder of the same benchmark has and this one lacks.

    source: such as OTHER/results/digits. Returns how many were copied, and what is left out because
    it is damaged there. A run's files are copied before its record, which says that it is whole.
    """
    if not (source / "runs").is_dir():
        raise UserError(f"There are no results in {source}.", "Name a folder like results/digits.")
    benchmark_name(source.resolve().name)
    store.prepare()
    other = Store(source)
    there = asked.known_methods(other), known_plugins(other)
    asked.take_in(store, asked.every(other), *there)
    return _take_over(other, store, {run: False for run in other.runs() if not store.done(run)})


def copy_models(store: Store, other: Store, plan: Plan, unfit: Unfit) -> tuple[int, Counter[str]]:
    """Copy the originals and references of a plan that another folder has and this one lacks.

    Models of one data set, net and recipe, and one seed, are the same whatever is forgotten of
    them. unfit: says why one of a record may not be taken, None if it may. Returns how many were
    copied, and counts those that were left there by the reason.
    """
    wanted = shareable(store, plan)
    left: Counter[str] = Counter()

    def fits(run: str) -> bool:
        why = unfit(plan.nodes[run].spec, other.record(run))
        left.update([why] if why else [])
        return why is None

    copied, damaged = _take_over(other, store, wanted, fits)
    store.refresh()
    return copied, left + Counter({"damaged": len(damaged)})


def shareable(store: Store, plan: Plan) -> dict[str, bool]:
    """Return the models of a plan that are lacking, and that another benchmark may have made.

    Of each, whether its weights are needed.
    """
    return {
        run: node.keep_weights
        for run, node in plan.nodes.items()
        if node.spec.kind in ("original", "reference") and not store.exists(run)
    }


def neighbours(store: Store, plan: Plan) -> dict[str, int]:
    """Count by folder what benchmarks beside this one seem to have of what it lacks.

    By the names of their runs alone: nothing in them is read.
    """
    wanted = shareable(store, plan)
    found: dict[str, int] = {}
    for runs in sorted(store.folder.parent.glob("*/runs")) if wanted else ():
        if runs.parent != store.folder:
            found[runs.parent.name] = len(wanted.keys() & Store(runs.parent).runs().keys())
    return {name: many for name, many in found.items() if many}


def _take_over(
    other: Store,
    store: Store,
    wanted: dict[str, bool],
    fits: Callable[[str], bool] = lambda run: True,
) -> tuple[int, list[str]]:
    """Copy the wanted runs that another store has, with their weights where these are needed.

    fits: says of a run that is whole whether it may be copied. Returns how many were copied, which
    are wanted no more, and what is damaged there.
    """
    copied, damaged = 0, []
    for run, folder in other.runs().items():
        if run not in wanted or not other.exists(run):
            continue
        damage = other.damage(run) or other.split_damage(run)
        if damage is None and store.disagrees(*other.split_of(run)):
            damage = "its forget set is another than that of the same name here"
        if damage:
            damaged.append(f"{folder.name}: {damage}")
        elif not other.has_weights(run) and wanted[run]:
            continue
        elif fits(run):
            with store.claim(store.folder / "runs" / folder.name) as ours:
                if ours and not store.done(run):
                    _copy(run, other, store)
                    del wanted[run]
                    copied += 1
    return copied, damaged


def _copy(run: str, other: Store, store: Store) -> None:
    """Copy the files that a record names, and nothing else that lies beside it; it comes last."""
    for file in [other.place(run, name) for name in other.record(run)["files"]]:
        with opened(file, other.folder) as source:
            place = store.folder / file.relative_to(other.folder)
            inside.put_file(place, store.folder, partial(_pour, source))
    record = other.place(run, "record.json")
    text = read_text(record, other.folder)
    store.conclude(store.folder / record.parent.relative_to(other.folder), text)


def _pour(source: BufferedReader, draft: Path) -> None:
    with draft.open("wb") as target:
        shutil.copyfileobj(source, target)
