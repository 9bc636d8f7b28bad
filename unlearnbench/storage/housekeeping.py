"""What is in a results folder: list it, verify it, prune it, merge another into it."""

import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from unlearnbench.entries import enter
from unlearnbench.errors import UserError, unknown
from unlearnbench.files import DRAFT, write
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import Plan
from unlearnbench.storage.store import Store


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
        raise unknown(f"benchmark with results in {results}", name, names)
    return Store(results / name)


def remembered(store: Store) -> Benchmark | None:
    """Return the benchmark that a store was made by; None if it does not say which.

    The metrics and attacks in its plugins are entered, which it may name.
    """
    path = store.folder / "benchmark.toml"
    if not path.exists():
        return None
    raw = reading.read(path)
    enter(raw.get("plugins", ()))
    return reading.validate(raw)


def verify(store: Store) -> dict[str, str]:
    """Say what is wrong with which run, by its folder's name; nothing if all is as written."""
    return {
        folder.name: damage
        for run, folder in store.runs().items()
        if store.exists(run) and (damage := store.damage(run) or store.split_damage(run))
    }


def superfluous(store: Store, plan: Plan) -> list[Path]:
    """List what a benchmark does not need: runs of other settings, and what was left half made."""
    splits = {node.spec.split_id for node in plan.nodes.values()}
    needed = {run for node in plan.nodes.values() for run in node.needs}
    needed |= {run for run, node in plan.nodes.items() if node.keep_weights}
    paths = [folder for run, folder in store.runs().items() if run not in plan.nodes]
    paths += [p for p in store.folder.glob("models/*") if p.stem not in needed]
    paths += [p for p in store.folder.glob("splits/*") if p.stem not in splits]
    paths += store.folder.rglob(f"{DRAFT}*")
    return sorted(set(paths))


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
    if not (store.folder / "benchmark.toml").exists():
        shutil.copy(source / "benchmark.toml", store.folder / "benchmark.toml")
    other = Store(source)
    return _take_over(other, store, {run: False for run in other.runs() if not store.done(run)})


def adopt(store: Store, plan: Plan) -> dict[str, int]:
    """Copy the originals and references of a plan that benchmarks beside this one have made.

    Models of one data set, net and recipe, and one seed, are the same whatever is forgotten of
    them. Returns how many come from which benchmark; what is damaged there is left there.
    """
    wanted = {
        run: node.keep_weights
        for run, node in plan.nodes.items()
        if node.spec.kind in ("original", "reference") and not store.exists(run)
    }
    adopted: dict[str, int] = {}
    # Nothing is wanted whenever a command is typed again: other folders are not looked through.
    for runs in sorted(store.folder.parent.glob("*/runs")) if wanted else ():
        other = Store(runs.parent)
        if other.folder != store.folder and (copied := _take_over(other, store, wanted)[0]):
            adopted[other.folder.name] = copied
    store.refresh()
    return adopted


def _take_over(other: Store, store: Store, wanted: dict[str, bool]) -> tuple[int, list[str]]:
    """Copy the wanted runs that another store has, with their weights where these are needed.

    Returns how many were copied, which are wanted no more, and what is damaged there.
    """
    copied, damaged = 0, []
    for run, folder in other.runs().items():
        if run not in wanted or not other.exists(run):
            continue
        if damage := other.damage(run) or other.split_damage(run):
            damaged.append(f"{folder.name}: {damage}")
        elif (other.has_weights(run) or not wanted[run]) and store.leases.take(run):
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
