"""Audits of models of which only outputs are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unlearnbench.api import samples
from unlearnbench.api.own import ONCE
from unlearnbench.api.request import Request, Setup, prepare
from unlearnbench.api.results import Results
from unlearnbench.audits.attacks import usable
from unlearnbench.audits.references import halves
from unlearnbench.data.outputs import HOW, Parts, Table, gathered
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.files import checksum, write_text
from unlearnbench.planning import reading
from unlearnbench.planning.given import Given, GivenModel
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, Node
from unlearnbench.storage.store import Store

REFERENCE = "reference"
UNKNOWN = "unknown"
"""What stands for data set and model, of which nothing is known but outputs."""


def measured(
    files: Mapping[str, list[Path]], parts: Parts, name: str, title: str, results: Path
) -> Results:
    """Store what files of outputs say, as runs store it, and measure it as theirs is measured.

    files: by role or label, see `audit`. Raises UserError for what does not fit.
    """
    table = gathered([path for paths in files.values() for path in paths], parts)
    by_digest: dict[str, Path] = {}

    def told(label: str) -> list[GivenModel]:
        made = []
        for path in files.get(label, ()):
            digest = str(checksum(path))[:16]
            by_digest[digest] = path
            made.append(GivenModel(file=path.name, digest=digest))
        return made

    roles = (ORIGINAL, RETRAIN, REFERENCE)
    originals, retrains, references = map(told, roles)
    given = Given(
        original=originals[0] if originals else None,
        unlearned={label: told(label) for label in files if label not in roles},
        retrains=retrains,
        references=references,
        outputs=True,
    )
    online = _members(table, files.get(REFERENCE, []))
    raw: dict[str, Any] = ONCE | usable({}, references=bool(references), online=online)
    raw |= {"name": name, "title": title, "model": UNKNOWN, "data": {"name": UNKNOWN}}
    raw |= {"forget": {"list": str(parts.forget)}, "references": {"count": 0}}
    raw |= {"seeds": {"originals": [1], "forget": [1], "runs": [1]}}
    raw["seeds"]["retrains"] = max(len(retrains), 1)
    raw["given"] = given.model_dump(mode="json", exclude_none=True)
    planned = prepare(Request(Setup(raw), Path(), results, []))
    store = Store((results / name).resolve())
    store.prepare()
    write_text(store.folder / "benchmark.toml", reading.as_toml(planned.benchmark))
    for node in planned.plan.nodes.values():
        if not store.done(node.spec.id):
            _save(store, node, table, by_digest[str(node.spec.given)])
    frame = pd.DataFrame({"id": table.ids, "label": table.labels})
    train = np.arange(len(frame)) < table.train
    frame.insert(0, "part", np.where(train, "train", "test"))
    samples.write(store, frame.rename_axis("position").reset_index())
    return Results(collect(planned, store), store.folder)


def _members(table: Table, references: list[Path]) -> bool:
    """Say whether each sample is in half of the references, as far as there are any."""
    member = [table.files[path].member for path in references]
    for path, one in zip(references, member, strict=True):
        if one is None:
            problem = f"{path} does not say what the reference was trained on."
            raise UserError(problem, f"It needs an array 'member', a truth value a row. {HOW}")
    stacked = np.array(member, dtype=np.bool_)
    if len(stacked) and stacked.all(0).any():
        raise UserError(
            f"{int(stacked.all(0).sum())} samples are in all of the references given.",
            "An attack compares with models that have not seen a sample: give more of them.",
        )
    return bool(len(stacked)) and halves(stacked[:, table.order])


def _save(store: Store, node: Node, table: Table, path: Path) -> None:
    """Store one file's outputs as a run's."""
    from unlearnbench.data.splits import Indices
    from unlearnbench.execution.execute import Outcome
    from unlearnbench.execution.signals import signals
    from unlearnbench.scheduling.worker import save
    from unlearnbench.toolkit.recorder import Recorder

    outputs, spec = table.files[path], node.spec
    logits, count = outputs.logits[table.order], len(table.order)
    retained = np.setdiff1d(np.arange(table.train), table.forget)
    member = np.isin(np.arange(count), retained)
    if spec.kind == "original":
        member[: table.train] = True
    if spec.kind == "reference" and outputs.member is not None:
        member = outputs.member[table.order]
    indices = Indices(table.forget, table.forget[:0], retained) if spec.split else None
    about = {"data": table.digest, "train": table.train, "test": count - table.train}
    about |= {"classes": logits.shape[1], "peak memory MB": None}
    read = signals(logits, table.labels, member)
    save(store, node, Outcome(read, logits, {}, indices, Recorder(), about), "cpu")
