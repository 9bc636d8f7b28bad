"""Unlearn a model of one's own, to be used: weights, a record and a page come out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unlearnbench
from unlearnbench.api.audit import given_files, try_files
from unlearnbench.api.own import Own
from unlearnbench.api.request import Setup, Wanted, prepare
from unlearnbench.api.results import Results, whole
from unlearnbench.api.session import Listener, follow
from unlearnbench.audits.attacks import usable
from unlearnbench.errors import UserError
from unlearnbench.files import checksum, write_text
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.applied import NO_GUARANTEE, NOT_MEASURED, measures, write_page
from unlearnbench.storage.store import Store

if TYPE_CHECKING:
    from torch import nn

RECORD = "record.json"


@dataclass(frozen=True)
class Applied:
    """Hold what came out: the folder with weights, record and page; the record; the results."""

    folder: Path
    record: dict[str, Any]
    results: Results

    def model(self) -> nn.Module:
        """Return the unlearned model, on the CPU and in eval mode."""
        return self.results.model(self.record["row"])


def apply(
    method: Wanted,
    *,
    original: str | Path,
    out: str | Path,
    forget: str | Path | None = None,
    benchmark: str | Path | Setup | None = None,
    model: str | None = None,
    dataset: str | None = None,
    path: str | None = None,
    plugins: Sequence[str | Path] = (),
    assignments: Sequence[str] = (),
    data: str | Path = "data",
    seed: int = 1,
    devices: str = "auto",
    listener: Listener | None = None,
) -> Applied:
    """Have a method unlearn a model made elsewhere; write its weights, a record and a page.

    method: a name, file, class or instance; original: a file of weights (.pt, .pth, .safetensors);
    out: the folder that is written; forget: a list of what is to be forgotten; the others as in
    `audit`. Nothing is shown by this: see the record's "guarantee". Raises UserError for what
    cannot be used, or if the method fails.
    """
    own = Own(benchmark, model, dataset, path, forget, plugins, assignments, data)
    return carry_out(own, method, Path(original), Path(out), listener or Listener(), seed, devices)


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
    given, files = given_files({ORIGINAL: [original]})
    named = (
        Path(method).name.removesuffix(".py")
        if isinstance(method, (str, Path))
        else type(method).__name__
    )
    setup = own.setup("apply", "results", f"{named} on {original.name}")
    raw = setup.raw | usable(setup.raw, references=False, online=False)
    raw |= {"references": {"count": 0}, "given": given.model_dump(mode="json", exclude_none=True)}
    raw["seeds"] = raw["seeds"] | {"runs": [seed]}
    request = own.request(
        Setup(raw), out, methods=[method], devices=devices, given=files, keep_weights=True
    )
    labels = [label for label in prepare(request).benchmark.methods if label != RETRAIN]
    if not labels:
        raise UserError(
            "Retraining takes no original.", "Train on the retained samples by your own program."
        )
    seen, _ = try_files(request, files)
    results = whole(follow(request, listener, seen)[0])
    if results.findings.failures:
        failed = results.findings.failures[0]
        raise UserError(f"{failed['label']} failed: {failed['error']}", f"See {results.folder}.")
    from unlearnbench.execution.checkpoint import hand_out  # torch, which is slow to import

    store = Store(results.folder)
    run = str(results.runs.set_index("label")["run"][labels[0]])
    record = _record(results, store.record(run), labels[0], original)
    record["files"] = hand_out(store.model_path(run), out)
    write_text(out / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    write_page(f"{record['title']} applied to {original.name}", record, out)
    return Applied(out, record, results)


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
        "recipe": spec["recipe"],
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
        "guarantee": f"none. {NO_GUARANTEE}",
    }
