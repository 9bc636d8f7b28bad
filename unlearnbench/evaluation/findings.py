"""What a report is made of."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import pandas as pd

from unlearnbench import registry
from unlearnbench.metrics.curves import Curves
from unlearnbench.metrics.gaps import summarise
from unlearnbench.metrics.kinds import GROUP
from unlearnbench.metrics.metric import of_kind
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.reading import validate
from unlearnbench.planning.rows import controls, titles
from unlearnbench.verdicts.verdict import Expectation

FRAMES = ("runs", "attacks", "pairs")
RUN = ["label", *GROUP, "original_seed", "forget_seed", "run_seed", "run"]
"""Columns that say which run a row is of."""


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as dictionaries, None for what is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


@dataclass
class Findings:
    """Hold all that a report is made of; nothing else is read to write one.

    runs: one row a finished cell, with metrics, gaps and costs; attacks: one row a method and
    attack, with intervals, tests, verdicts, ranks and flags; pairs: one row a pair of methods under
    one attack; summary: one row a method and metric; curves: beside each row of `runs`, what
    figures show of it; details: of a run, by id, what its record says beside numbers: seconds by
    part, what its adversarial search found, hash of the method's source, environment; skipped and
    failures: rows that have no runs, runs that have no record, and why; papers: address of each
    row's; titles: display names of rows that have one, by label; controls: labels of rows that are
    no methods, and what must come out of them; references, models: how many the
    plan has; open: how many models are still to be made; broken: what cannot be used and why;
    offline_a: the constant chosen for RMIA's offline form; lacking: references still to be made,
    without which there is no membership AUC; stale: by row, how many runs were made with another
    source of their method.
    """

    benchmark: Benchmark
    runs: pd.DataFrame
    attacks: pd.DataFrame
    pairs: pd.DataFrame
    curves: list[Curves] = field(default_factory=list)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    papers: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    controls: dict[str, Expectation] = field(default_factory=controls)
    references: int = 0
    models: int = 0
    open: int = 0
    broken: list[str] = field(default_factory=list)
    offline_a: float | None = None
    lacking: int = 0
    stale: dict[str, int] = field(default_factory=dict)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Reduce the runs to means, spreads, intervals and gaps."""
        return summarise(self.runs)

    @cached_property
    def cost(self) -> pd.DataFrame:
        """One row a run with what it cost: seconds, by part too, gradients, memory in MB."""
        cost = self.runs[[*RUN, *of_kind("cost")]]
        parts = [self.details[run]["seconds"] for run in cost["run"]]
        for name in sorted({name for part in parts for name in part} - {"total"}):
            cost = cost.assign(**{f"seconds: {name}": [part.get(name, 0.0) for part in parts]})
        return cost

    def as_json(self) -> str:
        """Write everything as JSON, from which `from_json` makes it again, to the last bit."""
        content = {name: value for name, value in vars(self).items() if name in self._fields()}
        content["benchmark"] = self.benchmark.model_dump(mode="json", exclude_none=True)
        content["controls"] = {name: vars(must) for name, must in self.controls.items()}
        return json.dumps(content | {name: listed(content[name]) for name in FRAMES})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote."""
        content = json.loads(text)
        content |= {name: frame(content[name]) for name in FRAMES}
        content["benchmark"] = benchmark = validate(content["benchmark"])
        if "controls" in content:
            expected = content["controls"].items()
            content["controls"] = {name: Expectation(**must) for name, must in expected}
        # Findings of before rows had titles: those that their methods have now.
        content.setdefault("titles", titles(benchmark, registry.find("methods")))
        return cls(**content)

    @classmethod
    def _fields(cls) -> set[str]:
        return set(cls.__dataclass_fields__)


def listed(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a frame's columns as plain values, None for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return {str(name): [_plain(value) for value in plain[name]] for name in plain}


def frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Make a frame of columns that `listed` has written."""
    made = pd.DataFrame(
        {
            name: pd.Series(values, dtype=float if all(v is None for v in values) else None)
            for name, values in columns.items()
        }
    )
    if "original_seed" in made:
        made["original_seed"] = made["original_seed"].astype("Int64")  # a retrain has none
    return made


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value  # a number of numpy's
