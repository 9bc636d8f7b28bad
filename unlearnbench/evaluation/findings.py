"""What a report is made of, and one condition of it: runs, verdicts, which rows are what."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearnbench.audits.attacks import ULIRA
from unlearnbench.entries import enter_known
from unlearnbench.errors import one_of, unknown
from unlearnbench.evaluation.before import as_now
from unlearnbench.evaluation.frames import RUN, as_rows, frame, listed, require_conditions
from unlearnbench.metrics.curves import Curves
from unlearnbench.metrics.gaps import noise_band, summarise, usual_number
from unlearnbench.metrics.metric import GROUP, of_kind
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.known import PluginFacts
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, REFERENCE_ROWS, RETRAIN, same_runs
from unlearnbench.planning.reading import validate
from unlearnbench.planning.rows import EXPECTED, controls
from unlearnbench.verdicts.audit import ALL, WORDS, Finding, nearest_to_perfect
from unlearnbench.verdicts.pairs import against
from unlearnbench.verdicts.verdict import Expectation, Verdict

FRAMES = ("runs", "attacks", "pairs", "verdicts", "intervals")


@dataclass
class Findings:
    """Hold all that a report is made of; nothing else is read to write one.

    runs: one row a finished cell, with metrics, gaps and costs; attacks: one row a method and
    attack, with intervals, tests, verdicts, ranks and flags; pairs: one row a pair of methods under
    one attack; verdicts: one row a method and audit, and one over all audits, none in 0.1.0;
    summary: one row a method and metric; curves: beside each row of `runs`, what figures show of
    it; details: of a run, by id, what its record says beside numbers: seconds by part, what its
    adversarial search found, source, environment; skipped, failures: rows without runs, runs
    without a record, and why; papers: address of each row's; titles: display names by label;
    controls: labels of rows that are no methods, and what must come out of them; references,
    models: how many the plan has; open: how many models are still to be made; broken: what cannot
    be used and why; offline_a: the constant chosen for RMIA's offline form; lacking: references
    still to be made, without which there is no membership AUC; stale: by row, how many of its runs
    were made before what changed; untuned: rows at defaults; unmade: of `open`, by row; apart: what
    else the folder holds; classes: of own images, by label; entered: what tables say of metrics and
    attacks that do not ship, see `planning.known`.
    """

    benchmark: Benchmark
    runs: pd.DataFrame
    attacks: pd.DataFrame
    pairs: pd.DataFrame
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    intervals: pd.DataFrame = field(default_factory=pd.DataFrame)
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
    stale: dict[str, dict[str, int]] = field(default_factory=dict)
    untuned: list[str] = field(default_factory=list)
    unmade: dict[str, int] = field(default_factory=dict)
    apart: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    entered: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Reduce the runs to means, spreads, intervals and gaps."""
        auc = self.attacks
        if len(auc):
            auc = auc[auc["attack"] == self.benchmark.headline]
        rows = [*as_rows(auc.assign(metric="ft_auc")), *as_rows(self.intervals)]
        ends: dict[tuple[Any, ...], tuple[Any, Any]] = {
            tuple(row[name] for name in (*GROUP, "label", "metric")): (row["low"], row["high"])
            for row in rows
        }
        return summarise(self.runs, ends)

    @cached_property
    def conditions(self) -> list[Condition]:
        """The conditions that have runs, in order."""
        keys = self.runs[GROUP].drop_duplicates()
        return [Condition(self, *row) for row in keys.itertuples(index=False)]

    def sound(self) -> Self:
        """Return what was found where all controls came out: runs of other conditions left out."""
        void = [condition.key for condition in self.conditions if condition.voided]
        keys = self.runs[GROUP].itertuples(index=False, name=None)
        return replace(self, runs=self.runs.loc[[key not in void for key in keys]])

    @cached_property
    def cost(self) -> pd.DataFrame:
        """One row a run with what it cost: seconds, by part too, gradients, memory in MB.

        The seconds of its audits are no part of its own.
        """
        cost = self.runs[[name for name in (*RUN, *of_kind("cost")) if name in self.runs]]
        parts = [self.details[run]["seconds"] for run in cost["run"]]
        for name in sorted({name for part in parts for name in part} - {"total"}):
            cost = cost.assign(**{f"seconds: {name}": [part.get(name, 0.0) for part in parts]})
        audits = [self.details[run].get("audits", {}) for run in cost["run"]]
        for name in sorted({name for own in audits for name in own}):
            took = [own[name]["seconds"] if name in own else np.nan for own in audits]
            cost = cost.assign(**{f"audit: {name}": took})
        return cost

    def as_json(self) -> str:
        """Write everything as JSON, from which `from_json` makes it again, to the last bit."""
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        content["benchmark"] = self.benchmark.model_dump(mode="json", exclude_none=True)
        content["controls"] = {name: vars(must) for name, must in self.controls.items()}
        empty = {"entered": not any(self.entered.values()), "classes": not self.classes}
        content = {name: value for name, value in content.items() if not empty.get(name)}
        return json.dumps(content | {name: listed(content[name]) for name in FRAMES})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote; raises UnsoundError, or others, for anything else."""
        content = as_now(text)
        for name in FRAMES:
            require_conditions(content.get(name, {}))
            content[name] = frame(content.get(name, {}))
        if "entered" in content:
            enter_known(PluginFacts.model_validate(content["entered"]).model_dump())
        content["benchmark"] = validate(content["benchmark"])
        if "controls" in content:
            expected = content["controls"].items()
            content["controls"] = {name: Expectation(**must) for name, must in expected}
        return cls(**content)


@dataclass(frozen=True, repr=False)  # all that it holds would be megabytes
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
        forget = self.benchmark.forget
        text = f"{forget.said(self.fraction)}, {self.access} access"
        return text if forget.requests == 1 else f"{text}, request {self.request}"

    @property
    def suffix(self) -> str:
        """The part of a file's name that says which condition it shows."""
        return f"-{self.access}-{100 * self.fraction:g}-r{self.request}"

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that are of this condition."""
        return frame if frame.empty else frame[frame[GROUP].eq(list(self.key)).all(axis=1)]

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

    @cached_property
    def labels(self) -> list[str]:
        """The rows that tables show, in order."""
        return [str(label) for label in self.runs["label"].unique()]

    @cached_property
    def methods(self) -> list[str]:
        """The rows that are methods: neither original nor retrain, held out or not."""
        return [label for label in self.labels if label not in REFERENCE_ROWS]

    @cached_property
    def same(self) -> dict[str, str]:
        """Rows whose runs are by definition those of an earlier row: that one, by label."""
        return same_runs(zip(self.runs["label"], self.runs["run"], strict=True))

    @cached_property
    def by_verdict(self) -> list[str]:
        """The methods, best verdict first; of equal ones that with the smaller gap in FT AUC."""
        far = {label: abs(one.gap.value) for label, one in self.verdicts().items() if one.gap}
        near = sorted(self.methods, key=lambda label: far.get(label, np.inf))
        return sorted(near, key=lambda label: [*WORDS, self.word(label)].index(self.word(label)))

    @cached_property
    def sound(self) -> list[str]:
        """The methods that may be called best: those without a flag under the headline attack."""
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

    def verdicts(self, attack: str = "") -> dict[str, Verdict]:
        """Return what an attack, by default that of FT AUC, makes of each row, by label."""
        return self._judged.get(attack or self.benchmark.headline, {})

    def verdict(self, label: str, attack: str = "") -> Verdict:
        """Return what an attack makes of one row. Raises UserError where it was not made."""
        made = one_of(self._judged, "attack", attack) if attack else self.verdicts()
        return one_of(made, "row", label)

    @cached_property
    def audits(self) -> dict[str, dict[str, Finding]]:
        """What each audit finds, by audit and label; last, as "all", the verdict over all of them.

        Empty for findings of 0.1.0, which had only attacks.
        """
        found: dict[str, dict[str, Finding]] = {}
        for row in as_rows(self.select(self.findings.verdicts)):
            if finding := Finding.of(row, row["audit"]):
                found.setdefault(row["audit"], {})[row["label"]] = finding
        return dict(sorted(found.items(), key=lambda item: item[0] == ALL))

    @cached_property
    def single_audits(self) -> dict[str, dict[str, Finding]]:
        """What each audit finds, by audit and label, without the verdict over all of them."""
        return {audit: rows for audit, rows in self.audits.items() if audit != ALL}

    def overall(self, label: str) -> Finding | None:
        """Return the verdict on a row over all audits, with what the strongest of them finds."""
        return self.audits.get(ALL, {}).get(label)

    @property
    def old(self) -> bool:
        """Whether its verdicts are those of 0.1.0, on one attack's AUC alone."""
        return not self.audits and any(one.finding for one in self.verdicts().values())

    def word(self, label: str) -> str | None:
        """Return in a word or two what came out of a row.

        That is why it is not ranked, or else its verdict: over all audits, in findings of 0.1.0 by
        the attack behind FT AUC. None where nothing was decided, "void" where a control failed.
        """
        judged = self.verdicts().get(label)
        decided = judged and judged.finding if self.old else self.overall(label)
        word = "void" if self.voided and decided else decided.word if decided else None
        return (judged.flags if judged else "") or word

    @cached_property
    def powerless(self) -> list[str]:
        """The audits that no row can pass: they have no power, and do not count."""
        audits = self.single_audits.items()
        return [name for name, rows in audits if not any(one.power for one in rows.values())]

    def margins(self, audit: str) -> tuple[float | None, float | None]:
        """Return how large a gap may be and be small enough for an audit, and what it can show.

        The second is the smallest margin that a perfect retrain would pass four times in five.
        """
        rows = self.audits[audit]
        leak, perfect = rows.get(ORIGINAL), nearest_to_perfect(rows, ORIGINAL, HELD_OUT)
        return leak.margin if leak else None, perfect.attainable if perfect else None

    def lacking(self, label: str) -> list[str]:
        """List the audits that were made of other methods, and not of this one."""
        methods, audits = set(self.methods), self.single_audits.items()
        return [name for name, rows in audits if label not in rows and methods & set(rows)]

    def versus(self, label: str | None = None) -> pd.DataFrame:
        """Compare every other method with one, by their distance to retrain in FT AUC.

        label: by default of `nearest`. Returns a row a method, columns as in `against`; p is
        adjusted (Holm) for these comparisons, and by default, where the data chose the row, for all
        pairs. Empty where there is nothing to compare, as in findings of 0.1.0. Raises UserError
        where the method is in no pair.
        """
        if label is None and self.nearest is None:
            return pd.DataFrame()
        labels = {pair[side] for pair in self._compared for side in ("nearer", "farther")}
        if label is not None and label not in labels:
            raise unknown("row to compare", label, labels)
        chosen = str(label or self.nearest)
        return pd.DataFrame(against(self._compared, chosen, named=label is not None))

    @property
    def named(self) -> str | None:
        """The row that the benchmark compares the others with, where it is compared here."""
        label = self.benchmark.against
        here = any(label in (pair["nearer"], pair["farther"]) for pair in self._compared)
        return label if here else None

    @cached_property
    def nearest(self) -> str | None:
        """The method that is nearest to retrain in FT AUC, of those that are compared."""
        labels = {pair["nearer"] for pair in self._compared}
        gaps = {label: gap.value for label in labels if (gap := self.verdict(label).gap)}
        return min(gaps, key=lambda label: abs(gaps[label]), default=None)

    @cached_property
    def _compared(self) -> list[dict[str, Any]]:
        """The pairs under the headline attack; those of 0.1.0 compared AUCs, not distances."""
        pairs = self.pairs
        if "p_raw" not in pairs:
            return []
        return as_rows(pairs[pairs["attack"] == self.benchmark.headline])

    def controls(self) -> list[tuple[str, str, list[str]]]:
        """Return, of each row whose outcome is known beforehand, what must come out and did not.

        That is label, what must come out, and problems; none: it came out.
        """
        outcomes = []
        if RETRAIN not in self.verdicts():  # by which all of them are measured
            return []
        for label, expected in (EXPECTED | self.findings.controls).items():
            if main := self.verdicts().get(label):
                made = {name: self.verdicts(name).get(label) for name in self.attacks}
                shown = {name: verdict for name, verdict in made.items() if verdict}
                problems = expected.problems(main, shown, self.overall(label))
                outcomes.append((label, expected.must, problems))
        return outcomes

    @cached_property
    def voided(self) -> list[str]:
        """The controls that failed: with any, nothing may be concluded from its tables."""
        return [label for label, _, problems in self.controls() if problems]

    def title(self, label: str) -> str:
        """Return a row's display name: its label where it has no other."""
        return self.findings.titles.get(label, label)

    @property
    def usual(self) -> int:
        """How many runs most rows have."""
        return usual_number(self.every_run)

    def band(self, metric: str, count: int | None = None) -> float:
        """Return how far from retrain a retrain is by chance, 95 %; NaN where nobody knows.

        As a mean over `count` runs, or else over as many as most rows have.
        """
        if metric not in self.every_run:
            return np.nan
        return noise_band(self.every_run, metric, count or self.usual)

    def stacked(self, curve: str) -> dict[str, NDArray[np.float64]]:
        """Return by label one curve a run, [runs, points]; NaN where a curve has no value."""
        stacks: dict[str, list[list[float | None]]] = {}
        for place, label in self.runs["label"].items():
            if points := self.findings.curves[int(str(place))].get(curve):
                stacks.setdefault(str(label), []).append(points)
        return {label: np.array(rows, dtype=np.float64) for label, rows in stacks.items()}

    def details(self, label: str) -> list[dict[str, Any]]:
        """Return what the records of a row's runs say beside numbers."""
        runs = self.every_run.loc[self.every_run["label"] == label, "run"]
        return [self.findings.details[run] for run in runs]
