"""The page of one model that was unlearned to be used: what was done, measured, and not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.plan import ORIGINAL
from unlearnbench.reporting.tables.table import Table, number, text
from unlearnbench.reporting.write import FORMS, PLAIN, ROOM, Section, write_sections

TABLE = "measured"
FILES = (*PLAIN, *(f"{ROOM}/{TABLE}.{kind}" for kind in FORMS))
"""What is written of a page."""
MEASURED = (
    "forget_accuracy",
    "retain_accuracy",
    "test_accuracy",
    "forget_confidence",
    "retain_confidence",
    "test_confidence",
)
NO_GUARANTEE = (
    "This gives no guarantee: an approximate method was applied, and nothing here shows that the"
    " model is one that never saw these samples."
)
NOT_MEASURED = (
    "whether an attack can still recognise the forgotten samples, what comes back when the model"
    " goes on learning, and how far it is from a model retrained without them, which is the only"
    " yardstick. An audit (unlearnbench audit) measures these."
)


def measures(runs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return what was measured, before and after, by metric; runs: of the original and a method."""
    found = {}
    for when, before in (("before", True), ("after", False)):
        row = runs[(runs["label"] == ORIGINAL) == before].iloc[0]
        found[when] = {name: float(row[name]) for name in MEASURED if name in runs}
    return found


def write_page(title: str, record: Mapping[str, Any], folder: Path) -> Path:
    """Write the page beside the weights; record: as `apply` writes it."""
    measured, done = record["measured"], record["seconds"]
    frame = pd.DataFrame(
        [
            {"metric": METRICS[name].title} | {when: measured[when][name] for when in measured}
            for name in measured["after"]
        ]
    )
    columns = [text("Metric", "metric"), *(number(when.title(), when, ".3f") for when in measured)]
    caption = "Accuracies in percent and mean confidences of the model before and after."
    settings = ", ".join(f"{key} = {value}" for key, value in record["settings"].items())
    forgotten, digests = record["forget"], record["files"]
    said = [
        NO_GUARANTEE,
        f"Done: {record['title']} with {settings or 'no settings'}, seed {record['seed']}, in"
        f" {done:.1f} s, on {record['original']['file']}: {forgotten['count']} samples were to be"
        f" forgotten, {forgotten['retained']} retained. Measured: accuracies and confidences."
        f" Settings: {record['settings from']}.",
        f"Not measured: {NOT_MEASURED}",
        "record.json says all of this for programs. SHA-256: "
        + "; ".join(f"{name} {digest}" for name, digest in digests.items())
        + ".",
    ]
    table = Table(caption, frame, columns, TABLE, "Measured")
    return write_sections(title, said, [Section("Before and after", [table])], folder)
