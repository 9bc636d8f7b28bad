"""Tables of what audits of models find: after relearning, in features, next to forget samples."""

from functools import partial
from typing import Any

import pandas as pd

from unlearnbench.evaluation.collect import AGAIN
from unlearnbench.evaluation.findings import Condition
from unlearnbench.metrics.metric import METRICS
from unlearnbench.reporting.tables import register, table
from unlearnbench.reporting.tables.rows import LABEL, audits_said, kind, mean_and_std
from unlearnbench.verdicts.audit import columns_of

NOTED = {
    "cka_forget": "CKA, forget",
    "cka_test": "CKA, test",
    "perturbed.accuracy": "Accuracy % nearby",
    "perturbed.retrain.accuracy": "Retrain's there",
    "perturbed.confidence": "Confidence nearby",
    "perturbed.retrain.confidence": "Retrain's there",
}
"""What audits note of a model beside its outputs, and under which heading."""


@register("relearning", "Relearning, before and after", place=35)
def relearning_table(condition: Condition) -> table.Table | None:
    """Show what audits that train on, such as relearning, change; None where none was made."""
    ends = tuple(f": {name}" for name in AGAIN)
    runs = condition.every_run.dropna(axis=1, how="all")
    columns = [str(name) for name in runs if str(name).endswith(ends)]
    rows = []
    for audit in dict.fromkeys(name.partition(": ")[0] for name in columns):
        after = [name for name in columns if name.startswith(f"{audit}: ")]
        audited = runs.dropna(subset=after, how="all")
        for label, own in audited.groupby("label", sort=False):
            row: dict[str, Any] = {"label": str(label), "kind": kind(condition, str(label))}
            paired = own.rename(columns={f"{audit}: {name}": f"{name}_after" for name in AGAIN})
            numbers = mean_and_std(paired, [*AGAIN, *(f"{name}_after" for name in AGAIN)])
            row |= numbers | {"audit": audit, "n": len(own)}
            for name, compared in AGAIN.items():
                found = condition.audits.get(f"{audit}-{compared}", {}).get(str(label))
                row |= columns_of(f"{name}_gap", found.gap if found else None)
            rows.append(row)
    if not rows:
        return None
    several = len({row["audit"] for row in rows}) > 1
    shown = [LABEL, *([table.text("Audit", "audit")] if several else [])]
    for name in AGAIN:
        shown.append(table.Column(METRICS[name].heading, partial(_changed, name)))
        shown.append(table.interval("Gap after [95 %]", f"{name}_gap", "+"))
    caption = (
        f"{condition.heading}. Means before → after training on the retain set alone, the same for"
        f" all rows, over the n runs that were audited: {audits_said(condition.benchmark)}. Gap"
        " after: to retrain after the same training, paired, in points. Samples that return without"
        " being shown again were not forgotten. The retrain row shows the natural return."
    )
    return table.Table(caption, pd.DataFrame(rows), [*shown, table.number("n", "n")])


def _changed(name: str, row: table.Entry) -> str:
    digits = METRICS[name].digits
    before, after = (
        table.ABSENT if row[one] is None else f"{row[one]:.{digits}f}"
        for one in (name, f"{name}_after")
    )
    return f"{before} → {after}"


@register("noted", "Features, and points next to forget samples", place=36)
def noted_table(condition: Condition) -> table.Table | None:
    """Show what probes and perturbed samples note of models; None where no such audit was made."""
    rows: list[dict[str, Any]] = []
    for label in map(str, condition.every_run["label"].unique()):
        made = [one["audits"] for one in condition.details(label) if "audits" in one]
        noted = pd.DataFrame(
            [{k: v for own in one.values() for k, v in own.items()} for one in made]
        )
        if len(known := noted.filter(list(NOTED)).dropna(how="all")):
            row = {"label": label, "kind": kind(condition, label), "n": len(known)}
            rows.append(row | mean_and_std(known, NOTED))
    if not rows:
        return None
    frame = pd.DataFrame(rows).dropna(axis=1, how="all")
    columns = [
        table.number(heading, name, ".1f" if name.endswith("accuracy") else ".2f")
        for name, heading in NOTED.items()
        if name in frame
    ]
    caption = (
        f"{condition.heading}. Means over the n runs that were audited:"
        f" {audits_said(condition.benchmark)}. CKA: how similar features below the last layer are"
        " to a retrain's on the same samples; 1 is equal up to rotation and scale. Nearby: at a"
        " random point of a ball around each forget sample; compare with what a retrain says of the"
        " same points."
    )
    return table.Table(caption, frame, [LABEL, *columns, table.number("n", "n")])
