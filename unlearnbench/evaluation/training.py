"""How models were trained, epoch by epoch, as the records of their runs have it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from unlearnbench.storage.store import Store

OF = ["label", "kind", "access", "fraction", "request", "forget_seed", "seed", "run", "name"]
"""Columns that say whose epoch a row is."""


def training(store: Store, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return one row a run and epoch, of every run of a store whose epochs were noted.

    labels: of rows, by run; other runs are called after what was made. Columns are OF, name being
    that of the run's folder, epoch, mean loss, and accuracies in percent where the benchmark asked
    for `curves`.
    """
    rows = []
    for run, folder in sorted(store.runs().items(), key=lambda item: item[1].name):
        if store.done(run):
            record = store.record(run)
            of = _of(record["spec"]) | {"run": run, "name": folder.name}
            of["label"] = labels.get(run, of["label"])
            rows += [epoch | of for epoch in record["trace"]]
    made = pd.DataFrame(rows, columns=None if rows else [*OF, "epoch", "loss"])
    whole = {"request": "Int64", "forget_seed": "Int64"}  # of which originals have none
    return made[[*OF, *made.columns.difference(OF, sort=False)]].astype(whole)


def _of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Say what was trained, on what, from which seeds."""
    split = spec["split"] or {}
    return {
        "label": spec.get("audit") or spec["method"] or spec["kind"],
        "kind": spec["kind"],
        "access": spec["access"] if split else None,
        "fraction": split.get("fraction"),
        "request": split.get("request"),
        "forget_seed": split.get("seed"),
        "seed": spec["seed"],
    }
