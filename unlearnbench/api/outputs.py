"""Audits of models of which only outputs are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench import registry
from unlearnbench.api import samples
from unlearnbench.api.own import ONCE
from unlearnbench.api.request import Setup
from unlearnbench.api.results import Results
from unlearnbench.audits.attacks import usable
from unlearnbench.audits.references import of_halves
from unlearnbench.data.outputs import HOW, Aligned, Parts, gathered, read_outputs
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.planning import rows
from unlearnbench.planning.expansion import expand
from unlearnbench.planning.given import REFERENCE, Given, GivenModel
from unlearnbench.planning.plan import Node, digest
from unlearnbench.storage import asked
from unlearnbench.storage.store import Store

UNKNOWN = "unknown"
"""What stands for data set and model, of which nothing is known but outputs."""


def measured_outputs(
    files: Mapping[str, list[Path]],
    parts: Parts,
    name: str,
    title: str,
    results: Path,
    tell: Callable[[str], None],
) -> Results:
    """Store what files of outputs say, as runs store it, and measure it as theirs is measured.

    files: by role or label, see `audit`; tell: is told what is odd. Raises UserError for what does
    not fit.
    """
    table = gathered([path for paths in files.values() for path in paths], parts)
    for line in table.odd:
        tell(line)
    by_digest: dict[str, Path] = {}

    def told(role: str, path: Path, found: str) -> GivenModel:
        # The same outputs are another run where labels or parts of the samples are others.
        which = digest([found, table.digest])
        by_digest[which] = path
        return GivenModel(file=path.name, digest=which)

    given = Given.of(files, told, outputs=True)
    online = _members(table, files.get(REFERENCE, []))
    raw: dict[str, Any] = ONCE | usable({}, references=bool(given.references), online=online)
    raw |= {"name": name, "title": title, "model": UNKNOWN, "data": {"name": UNKNOWN}}
    raw["forget"] = {"list": str(parts.forget), "listed": table.digest}
    raw["references"] = {"count": 0}
    raw |= {"seeds": {"originals": [1], "forget": [1], "runs": [1]}}
    raw["seeds"]["retrains"] = max(given.every_retrain, 1)
    raw["given"] = given.model_dump(mode="json", exclude_none=True)
    methods = registry.find("methods")
    planned = expand(rows.resolve(Setup(raw).benchmark, methods, [])[0], methods)
    store = Store((results / name).resolve())
    store.prepare()
    facts = asked.facts_of(planned.benchmark, planned.plugins)
    for line in asked.remember(store, planned.benchmark, facts):
        tell(line)
    for run, node in planned.plan.nodes.items():
        with store.leases.hold(run):
            if not store.done(run):
                _save(store, node, table, by_digest[str(node.spec.given)])
    frame = pd.DataFrame({"id": table.ids, "label": table.labels})
    train = np.arange(len(frame)) < table.train
    frame.insert(0, "part", np.where(train, "train", "test"))
    samples.write_samples(store, frame.rename_axis("position").reset_index())
    return Results(collect(planned, store), store.folder)


def _members(table: Aligned, references: list[Path]) -> bool:
    """Say whether each sample is in half of the references, as far as there are any."""
    member = [table.members[path] for path in references]
    for path, one in zip(references, member, strict=True):
        if one is None:
            problem = f"{path} does not say what the reference was trained on."
            raise UserError(problem, f"It needs an array 'member', a truth value a row. {HOW}")
    return bool(member) and of_halves(np.array(member, dtype=np.bool_), table.order)


def _save(store: Store, node: Node, table: Aligned, path: Path) -> None:
    """Store one file's outputs as a run's."""
    from unlearnbench.data.splits import Indices
    from unlearnbench.execution.execute import Outcome
    from unlearnbench.execution.signals import signals
    from unlearnbench.scheduling.worker import save
    from unlearnbench.toolkit.recorder import Recorder

    spec, given, count = node.spec, table.members[path], len(table.order)
    logits = read_outputs(path).logits[table.order]
    retained = np.setdiff1d(np.arange(table.train), table.forget)
    member = np.isin(np.arange(count), retained)
    if spec.kind == "original":
        member[: table.train] = True
    if spec.kind == "reference" and given is not None:
        member = given[table.order]
    indices = Indices(table.forget, table.forget[:0], retained) if spec.split else None
    about = {"data": table.digest, "train": table.train, "test": count - table.train}
    about |= {"classes": logits.shape[1], "peak memory MB": None}
    read = signals(logits, table.labels, member)
    save(store, node, Outcome(read, logits, {}, indices, Recorder(), about), "cpu")
