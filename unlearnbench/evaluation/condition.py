"""One condition of a benchmark: its runs and verdicts, which rows are what, how it is called."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearnbench.audits.attacks import HEADLINE, ULIRA
from unlearnbench.evaluation.findings import Findings, as_rows
from unlearnbench.metrics.gaps import noise_band
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.verdicts.verdict import Expectation, Verdict

Floats = NDArray[np.float64]
FORGOTTEN = {
    "random": "",
    "class": "of a class ",
    "subclass": "of a subclass ",
    "most-memorised": "(of the most memorised) ",
    "least-memorised": "(of the least memorised) ",
}
EXPECTED = {ORIGINAL: Expectation("told"), HELD_OUT: Expectation("alike")}
"""What must come out of rows that every benchmark has; `Findings.controls` has the others."""


@dataclass(frozen=True)
class Condition:
    """One access x fraction x request of a benchmark: what one table and one figure are about."""

    findings: Findings
    access: str
    fraction: float
    request: int

    @property
    def key(self) -> tuple[str, float, int]:
        """Access, fraction, request."""
        return self.access, self.fraction, self.request

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark it is of."""
        return self.findings.benchmark

    @property
    def heading(self) -> str:
        """Its name for people."""
        kind = FORGOTTEN[self.benchmark.forget.kind]
        text = f"{100 * self.fraction:g} % {kind}forgotten, {self.access} access"
        return text if self.benchmark.forget.requests == 1 else f"{text}, request {self.request}"

    @property
    def suffix(self) -> str:
        """The part of a file's name that says which condition it shows."""
        return f"-{self.access}-{100 * self.fraction:g}-r{self.request}"

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that are of this condition."""
        if frame.empty:
            return frame
        keep = (
            (frame["access"] == self.access)
            & (frame["fraction"] == self.fraction)
            & (frame["request"] == self.request)
        )
        return frame[keep]

    @cached_property
    def every_run(self) -> pd.DataFrame:
        """All runs, those of controls too: one row each, with metrics, gaps and costs."""
        return self.select(self.findings.runs)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs but for those of controls, which have a table of their own."""
        return self.every_run[~self.every_run["label"].isin(list(self.findings.controls))]

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a label and metric: mean, spread, interval, gap, noise band."""
        return self.select(self.findings.summary)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair of methods under one attack."""
        return self.select(self.findings.pairs)

    @property
    def labels(self) -> list[str]:
        """The rows that tables show, in order."""
        return [str(label) for label in dict.fromkeys(self.runs["label"])]

    @cached_property
    def methods(self) -> list[str]:
        """The rows that are methods: neither original nor retrain, held out or not."""
        return [label for label in self.labels if label not in (ORIGINAL, RETRAIN, HELD_OUT)]

    @cached_property
    def sound(self) -> list[str]:
        """The methods that may be called best: those without a flag under RMIA."""
        judged = self.verdicts()
        return [n for n in self.methods if n not in judged or not judged[n].flags]

    @cached_property
    def _judged(self) -> dict[str, dict[str, Verdict]]:
        verdicts: dict[str, dict[str, Verdict]] = {}
        for row in as_rows(self.select(self.findings.attacks)):
            verdicts.setdefault(row["attack"], {})[row["label"]] = Verdict.of(row)
        return verdicts

    @property
    def attacks(self) -> list[str]:
        """The attacks that tables show, in the order asked for."""
        return [name for name in [*self.benchmark.attacks, ULIRA] if name in self._judged]

    @property
    def every_attack(self) -> list[str]:
        """The attacks that were made, those that no table was asked to show too."""
        return list(self._judged)

    def verdicts(self, attack: str = HEADLINE) -> dict[str, Verdict]:
        """Return what an attack, by default that of FT AUC, makes of each row, by label."""
        return self._judged.get(attack, {})

    def verdict(self, label: str, attack: str = HEADLINE) -> Verdict:
        """Return what an attack makes of one row. Raises KeyError where it was not made."""
        return self.verdicts(attack)[label]

    def controls(self) -> list[tuple[str, str, list[str]]]:
        """Return, of each row whose outcome is known beforehand, what must come out and did not.

        That is label, what must come out, and problems; none: it came out.
        """
        expected = EXPECTED | self.findings.controls
        main = self.verdicts()
        outcomes = []
        for label in (label for label in expected if label in main):
            verdicts = {name: self.verdicts(name) for name in self.attacks}
            shown = {name: rows[label] for name, rows in verdicts.items() if label in rows}
            must = expected[label]
            outcomes.append((label, must.must, must.problems(main[label], shown)))
        return outcomes

    def title(self, label: str) -> str:
        """Return a row's display name: its label where it has no other."""
        return self.findings.titles.get(label, label)

    def band(self, metric: str) -> float:
        """Return how far from retrain a retrain is by chance, 95 %; NaN where nobody knows."""
        return noise_band(self.every_run, metric)

    def stacked(self, curve: str) -> dict[str, Floats]:
        """Return by label one curve a run, [runs, points]; NaN where a curve has no value."""
        stacks: dict[str, list[list[float | None]]] = {}
        for place, label in self.runs["label"].items():
            points = self.findings.curves[int(str(place))].get(curve)
            if points:
                stacks.setdefault(str(label), []).append(points)
        return {label: np.array(rows, dtype=np.float64) for label, rows in stacks.items()}

    def details(self, label: str) -> list[dict[str, Any]]:
        """Return what the records of a row's runs say beside numbers."""
        own = self.every_run[self.every_run["label"] == label]
        return [self.findings.details[run] for run in own["run"]]


def conditions(findings: Findings) -> list[Condition]:
    """List the conditions that have runs, in order."""
    keys = findings.runs[["access", "fraction", "request"]].drop_duplicates()
    return [Condition(findings, *row) for row in keys.itertuples(index=False)]
