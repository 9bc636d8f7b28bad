"""Unlearn a model of one's own, to be used: weights, a record and a page come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import unlearnbench
from unlearnbench.api import arguments
from unlearnbench.api.arguments import RECORD, WEIGHTS, File, Files
from unlearnbench.api.audit import given_files, try_files
from unlearnbench.api.listener import Listener, usual_listener
from unlearnbench.api.own import Own
from unlearnbench.api.request import Setup, Wanted, prepare
from unlearnbench.api.results import AGAIN, Results, failed_said, whole
from unlearnbench.api.samples import DataSeen
from unlearnbench.api.session import follow
from unlearnbench.audits.attacks import usable
from unlearnbench.authoring import Method
from unlearnbench.data.lists import ForgetList
from unlearnbench.errors import UserError
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.files import checksum, write_text
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.planning.reading import benchmark_name
from unlearnbench.reporting.applied import (
    FILES,
    NO_GUARANTEE,
    NOT_MEASURED,
    measures,
    write_page,
)
from unlearnbench.scheduling.progress import progress
from unlearnbench.storage import asked
from unlearnbench.storage.store import OTHER_VERSION, Store

if TYPE_CHECKING:
    from torch import nn

WRITTEN = ("model.pt", WEIGHTS, *FILES)
"""What is written beside the record."""
YARDSTICKS = (ORIGINAL, RETRAIN)
OTHER = "Name another folder: out=FOLDER (--out)."


@dataclass(frozen=True, repr=False)
class Applied:
    """Hold what came out: the folder with weights, record and page; the record; the results.

    It stands for its folder where a path is asked for, as by `audit(unlearned=...)`.
    """

    folder: Path
    record: dict[str, Any]
    results: Results

    def __fspath__(self) -> str:
        """Return the path of its folder."""
        return str(self.folder)

    def model(self) -> nn.Module:
        """Return the unlearned model, on the CPU and in eval mode."""
        return self.results.model(self.record["row"], seed=self.record["seed"])

    @property
    def measured(self) -> list[str]:
        """What was measured before and after, a line each: Forget accuracy: 100.0 % -> 97.2 %."""
        found = self.record["measured"]
        lines = []
        for name, after in found["after"].items():
            metric = METRICS[name]
            form = f".{metric.digits}f"
            ends = (
                f"{value:{form}} {metric.unit}".strip() for value in (found["before"][name], after)
            )
            lines.append(f"{metric.title}: {' -> '.join(ends)}")
        return lines

    def __repr__(self) -> str:
        """Name the method and the folder, and say what was measured."""
        said = f"{self.record['title']} applied to {self.record['original']['file']}"
        return "\n".join([f"{said}: {self.folder}", *self.measured])


def apply(
    method: Wanted,
    *,
    original: File,
    out: str | Path,
    forget: ForgetList | None = None,
    benchmark: str | Path | Setup | None = None,
    model: str | None = None,
    dataset: str | None = None,
    path: str | None = None,
    plugins: Files = (),
    assignments: str | Iterable[str] = (),
    data: str | Path = "data",
    seed: int = 1,
    devices: str = "auto",
    listener: Listener | None = None,
) -> Applied:
    """Have a method unlearn a model made elsewhere; write its weights, a record and a page.

    method: a name, file, class or instance; original: a file of weights (.pt, .pth, .safetensors);
    out: the folder that is written; forget: what is to be forgotten, numbers or file names, [n], or
    a file that lists them; the others as in `audit`. Settings are those of the benchmark's row of
    the method if it has one, or else the method's defaults, with the assignments. Nothing is shown
    by this: see the record's "guarantee". Raises UserError for what cannot be used, if `out` holds
    what another request has left, or if the method fails.
    """
    own = Own.of(benchmark, model, dataset, path, forget, plugins, assignments, data)
    file = arguments.file(original, "original", arguments.SAVE)
    return carry_out(own, method, file, Path(out), listener or usual_listener(), seed, devices)


def carry_out(
    own: Own,
    method: Wanted,
    original: Path,
    out: Path,
    listener: Listener,
    seed: int = 1,
    devices: str = "auto",
) -> Applied:
    """Do what `apply` says."""
    named = (
        Path(method).name.removesuffix(".py")
        if isinstance(method, (str, Path))
        else getattr(method, "__name__", type(method).__name__)
    )
    _require_rows(own.assignments, named)
    original = arguments.weights(original)
    given, files = given_files({ORIGINAL: [original]})
    setup = own.setup("apply", "results", f"{named} applied to {original.name}")
    raw = setup.raw | usable(setup.raw, references=False, online=False)
    raw |= {"references": {"count": 0}, "given": given.model_dump(mode="json", exclude_none=True)}
    raw["seeds"] = raw["seeds"] | {"runs": [seed]}
    request = own.request(
        Setup(raw), out, methods=[method], devices=devices, given=files, keep_weights=True
    )
    planned = prepare(request)
    runs = {cell.label: cell.run for cell in planned.plan.cells if cell.label not in YARDSTICKS}
    if not runs:
        raise UserError(
            "Retraining takes no original.", "Train on the retained samples by your own program."
        )
    (label, run), store = next(iter(runs.items())), Store(out / planned.benchmark.name)
    chosen = _settings_said(own, label, setup.raw.get("methods", {}), method)
    if planned.benchmark.methods[label].settings:
        listener.told(f"Settings of {label}: {chosen}.")
    _require_own(out, run, store, planned.plan.nodes[run].spec.model_dump(mode="json"))
    seen, _ = try_files(request, files)
    _require_alike(out, planned, store, seen)
    for folder in (out, store.folder):
        _require_writable(folder)
    if what := stale_runs(planned, store).get(run):
        listener.told(f"{label} is made again: {what} has changed since it was made.")
    results = _require_made(follow(request, listener, seen)[0])
    from unlearnbench.execution.checkpoint import hand_out  # torch, which is slow to import

    store.refresh()
    record = _record(results, store.record(run), label, original) | {
        "run": run,
        "settings from": chosen,
    }
    record["files"] = hand_out(store.model_path(run), out)
    write_text(out / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    write_page(f"{record['title']} applied to {original.name}", record, out)
    return Applied(out, record, results)


def _settings_said(own: Own, label: str, rows: Mapping[str, Any], method: Wanted) -> str:
    """Say where a row's settings are from, and what was changed of them.

    rows: of the benchmark, whose settings hold where it has any for this row.
    """
    changed = [one for one in own.assignments if one.lower().startswith(f"{label}.")]
    if isinstance(method, Method):
        changed += [f"{label}.{key}={getattr(method, key)}" for key in method.model_fields_set]
    if rows.get(label):
        given = own.benchmark
        named = given.raw["name"] if isinstance(given, Setup) else benchmark_name(str(given))
        said = f"those of {label} in the benchmark {named}"
    else:
        said = "its defaults, which nobody chose for this model"
        said += (
            ""
            if own.benchmark
            else "; benchmark='NAME' (--benchmark NAME) takes those of a benchmark"
        )
    return f"{said}; changed: {', '.join(changed)}" if changed else said


def _require_rows(assignments: Iterable[str], label: str) -> None:
    """Raise UserError for a setting that does not say which row it is of: there is one."""
    for assignment in assignments:
        key, equals, _ = assignment.partition("=")
        if equals and "." not in key and key.strip() not in Benchmark.model_fields:
            own = "Use seed=1 (--seed 1)." if key.strip() == "seed" else ""
            hint = own or f"Write it with its row: {label}.{assignment}."
            raise UserError(f"Cannot read --set {assignment}.", hint)


def _require_own(out: Path, run: str, store: Store, spec: Mapping[str, Any]) -> None:
    """Raise UserError where a folder holds what another request has left, or files of others.

    run, spec: what is asked for.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file.", OTHER)
    if (out / asked.FILE).is_file():
        raise UserError(f"{out} holds the results of a benchmark.", OTHER)
    if (out / RECORD).is_file():
        try:
            found = json.loads((out / RECORD).read_text(encoding="utf-8"))
            made, of = found.get("run"), f"a record of {found['row']}{_otherwise(found, spec)}"
        except (ValueError, KeyError, AttributeError):
            made, of = None, f"another {RECORD}"
        if made != run:
            raise UserError(f"{out} already holds {of}.", OTHER)
    elif (there := [name for name in WRITTEN if (out / name).exists()]) and not store.done(run):
        raise UserError(f"{out} already holds {there[0]}, which would be overwritten.", OTHER)


def _otherwise(record: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Say which settings a record of the same method has otherwise, "" if none."""
    if record["method"] != spec["method"]:
        return ""
    old, new = record["settings"], spec["settings"]
    others = [f"{key} {old[key]}, not {new[key]}" for key in new if old.get(key) != new[key]]
    return f" with other settings: {'; '.join(others)}" if others else ""


def _require_alike(out: Path, planned: Planned, store: Store, seen: DataSeen) -> None:
    """Raise UserError where a folder holds what was made of other data or by another version."""
    made = [run for run in planned.plan.nodes if store.exists(run)]
    if OTHER_VERSION in map(store.damage, made):
        raise UserError(f"{out} holds records of another version of unlearnbench.", OTHER)
    earlier = progress(planned.plan, store, set()).data
    if seen.data is not None and earlier not in (None, seen.data.digest):
        raise UserError(f"{out} holds what was made of other images or labels.", OTHER)


def _require_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(f"Cannot write to {out}: {error.strerror}.", OTHER) from error


def _require_made(results: Results) -> Results:
    """Return results of which all is made. Raises UserError where something has failed."""
    for failed in results.findings.failures:
        raise UserError(
            failed_said(failed),
            f"{AGAIN} All that it said is in"
            f" {results.folder / 'runs' / failed['run'] / 'error.txt'}.",
        )
    return whole(results)


def _record(results: Results, made: dict[str, Any], label: str, original: Path) -> dict[str, Any]:
    """Say what was done, for programs; made: the record of the run of a row."""
    spec, split = made["spec"], Store(results.folder).split(made["split"])
    forget = {"count": len(split["forget"]), "retained": made["train"] - len(split["forget"])}
    forget |= {
        "list": results.findings.benchmark.forget.list,
        "positions": split["forget"].tolist(),
    }
    table = results.samples
    if not table.empty:
        chosen = table[table["position"].isin(split["forget"])]
        forget |= {name: chosen[name].tolist() for name in ("id", "file") if name in chosen}
    return {
        "unlearnbench": unlearnbench.__version__,
        "row": label,
        "method": spec["method"],
        "title": results.findings.titles.get(label, label),
        "settings": spec["settings"],
        "paper": results.findings.papers.get(label, ""),
        "source": made["source"],
        "seed": spec["seed"],
        "original": {"file": original.name, "sha256": checksum(original)},
        "model": spec["model"],
        "data": {
            "name": spec["data"]["name"],
            "digest": made["data"],
            "path": spec["data"]["path"],
        },
        "forget": forget,
        "seconds": made["seconds"]["total"],
        "environment": made["environment"],
        "measured": measures(results.runs),
        "not measured": NOT_MEASURED,
        "guarantee": NO_GUARANTEE,
    }
