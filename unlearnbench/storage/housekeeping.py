"""What is in a results folder: list it, verify it, prune it, merge another into it."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from unlearnbench.errors import UserError
from unlearnbench.files import DRAFT, write
from unlearnbench.planning.plan import Plan
from unlearnbench.planning.sources import Now
from unlearnbench.storage.asked import take_in
from unlearnbench.storage.store import Store
from unlearnbench.units import count


def stock(results: Path) -> Iterator[tuple[str, int, int, int]]:
    """Yield each benchmark of a results folder: name, runs finished and failed, bytes of all."""
    for folder in sorted(path.parent for path in results.glob("*/runs")):
        done = {path.parent for path in folder.glob("runs/*/record.json")}
        failed = {path.parent for path in folder.glob("runs/*/error.txt")} - done
        yield folder.name, len(done), len(failed), size_of([folder])


def open_store(results: Path, name: str) -> Store:
    """Return the store of a benchmark that has been run. Raises UserError if it has not."""
    names = [path.parent.name for path in results.glob("*/runs")]
    if name not in names:
        there = f"There are: {', '.join(sorted(names))}." if names else ""
        raise UserError(f"There are no results of '{name}' in the folder {results}.", there)
    return Store(results / name)


def verify(store: Store) -> dict[str, str]:
    """Say what is wrong with which run, by its folder's name; nothing if all is as written."""
    return {
        folder.name: damage
        for run, folder in store.runs().items()
        if store.exists(run) and (damage := store.damage(run) or store.split_damage(run))
    }


def leftovers(store: Store, plans: Iterable[Plan]) -> dict[str, list[Path]]:
    """List files beside runs that none of these plans is about: by what they are."""
    nodes = {run: node for plan in plans for run, node in plan.nodes.items()}
    splits = {node.spec.split_id for node in nodes.values()}
    weights, sets = store.folder.glob("models/[!.]*"), store.folder.glob("splits/[!.]*")
    files = {
        "with weights of no run": [path for path in weights if path.stem not in nodes],
        "with forget sets of no run": [path for path in sets if path.stem not in splits],
        "left half written": list(store.folder.rglob(f"{DRAFT}*")),
    }
    return {f"{count(len(paths), 'file')} {what}": paths for what, paths in files.items() if paths}


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of files and of all files in folders."""
    every = [p for path in paths for p in (path.rglob("*") if path.is_dir() else [path])]
    return sum(path.stat().st_size for path in every if path.is_file())


def merge_runs(source: Path, store: Store) -> tuple[int, list[str]]:
    """Copy the runs that another folder of the same benchmark has and this one lacks.

    source: such as OTHER/results/digits. Returns how many were copied, and what is left out because
    it is damaged there. A run's files are copied before its record, which says that it is whole.
    """
    if not (source / "runs").is_dir():
        raise UserError(f"There are no results in {source}.", "Name a folder like results/digits.")
    store.prepare()
    other = Store(source)
    take_in(store, other)
    return _take_over(other, store, {run: False for run in other.runs() if not store.done(run)})


def adopt(store: Store, plan: Plan) -> dict[str, int]:
    """Copy the originals and references of a plan that benchmarks beside this one have made.

    Models of one data set, net and recipe, and one seed, are the same whatever is forgotten of
    them. Returns how many come from which benchmark; what is damaged there, or was made before
    data set, model or toolkit changed, is left there.
    """
    now = Now({})
    wanted = {
        run: node.keep_weights
        for run, node in plan.nodes.items()
        if node.spec.kind in ("original", "reference") and not store.exists(run)
    }
    adopted: dict[str, int] = {}
    # Nothing is wanted whenever a command is typed again: other folders are not looked through.
    for runs in sorted(store.folder.parent.glob("*/runs")) if wanted else ():
        other = Store(runs.parent)
        if other.folder == store.folder:
            continue

        def fresh(run: str, other: Store = other) -> bool:
            return now.changed(plan.nodes[run].spec, other.record(run)) is None

        if copied := _take_over(other, store, wanted, fresh)[0]:
            adopted[other.folder.name] = copied
    store.refresh()
    return adopted


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
        if damage := other.damage(run) or other.split_damage(run):
            damaged.append(f"{folder.name}: {damage}")
        elif not other.has_weights(run) and wanted[run]:
            continue
        elif fits(run) and store.leases.take(run):
            _copy(run, other, store)
            store.leases.drop(run)
            del wanted[run]
            copied += 1
    return copied, damaged


def _copy(run: str, other: Store, store: Store) -> None:
    record, files = other.record(run), list(other.runs()[run].iterdir())
    if "weights" in record["files"]:
        files.append(other.model_path(run))
    if record["split"]:
        files.append(other.folder / "splits" / f"{record['split']}.npz")
    for file in sorted(files, key=lambda file: file.name == "record.json"):  # that comes last
        if file.exists():
            target = store.folder / file.relative_to(other.folder)
            write(target, partial(shutil.copyfile, file))
