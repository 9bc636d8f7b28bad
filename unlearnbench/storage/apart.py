"""Runs of a results folder that its tables do not show: which rows they are of, and why not."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import Spec
from unlearnbench.storage.asked import in_words, other_settings
from unlearnbench.storage.store import Store
from unlearnbench.units import count

UNFINISHED = "never finished"


@dataclass(frozen=True)
class Apart:
    """Hold runs of one row that are made otherwise than a benchmark asks; row: its method."""

    row: str
    why: str
    runs: list[str]


def apart(store: Store, benchmark: Benchmark, needed: Collection[str]) -> list[Apart]:
    """List the runs that are not needed by row, and say how each row differs from the benchmark."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in sorted(store.runs().keys() - set(needed)):
        found.setdefault(_told(store, benchmark, run), []).append(run)
    return [Apart(row, why, runs) for (row, why), runs in sorted(found.items())]


def _told(store: Store, benchmark: Benchmark, run: str) -> tuple[str, str]:
    """Return which row a run is of, and why it is apart."""
    if not store.exists(run):
        return store.runs()[run].name.rpartition("-")[0].rpartition("-")[0], UNFINISHED
    try:
        spec = Spec.model_validate(store.record(run)["spec"])
    except (ValueError, OSError):
        return store.runs()[run].name, "its record.json is torn, or of another version"
    label = spec.made_by
    if unlike := _unlike(spec, benchmark):
        return label, f"with {in_words(unlike)}"
    if spec.bank is not None or spec.id != run:
        return label, "of version 0.1" if spec.id == run else "whose folder has another's name"
    if spec.method is None:
        return label, "with other seeds"
    return label, _row_said(spec, benchmark)


def _unlike(spec: Spec, benchmark: Benchmark) -> dict[str, Any]:
    """Return how data, model, training and forget set are otherwise than a benchmark has them."""
    own: dict[str, Any] = {"model": spec.model}
    now: dict[str, Any] = {"model": benchmark.model}
    for name in ("data", "recipe"):
        own |= {f"{name}.{key}": value for key, value in getattr(spec, name).model_dump().items()}
        table = getattr(benchmark, name).model_dump()
        now |= {f"{name}.{key}": value for key, value in table.items()}
    if spec.split is not None and spec.split.kind != "shadow":
        keys = ["kind", "requests", *(["target"] if benchmark.forget.target is not None else [])]
        own |= {f"forget.{key}": getattr(spec.split, key) for key in keys}
        now |= {f"forget.{key}": getattr(benchmark.forget, key) for key in keys}
    return {key: value for key, value in own.items() if value != now[key]}


def _row_said(spec: Spec, benchmark: Benchmark) -> str:
    """Say how a run of a method differs from the rows of that method."""
    rows = [row for row in benchmark.methods.values() if row.method == spec.method]
    settings = [
        other_settings(row.model_copy(update={"settings": spec.settings}), row) for row in rows
    ]
    if not rows:
        return "of a row that is not asked for"
    nearest = min(settings, key=len)
    return f"with {in_words(nearest)}" if nearest else "with other seeds, fractions or access"


def apart_said(found: Iterable[Apart]) -> list[str]:
    """Say for a report what its folder holds that it does not show: a line, or none."""
    rows: dict[str, list[str]] = {}
    for one in found:
        if one.why != UNFINISHED:
            rows.setdefault(one.why, []).append(f"{one.row} ({count(len(one.runs), 'run')})")
    kept = "; ".join(f"{why}: {', '.join(labels)}" for why, labels in rows.items())
    return [f"Kept in this folder, and shown when asked for again: {kept}."] if kept else []
