"""A leaderboard: methods of packs on one benchmark, each with its own gaps, and what to know of it.

Rows of different packs are not tested against each other: that takes runs of both in one folder.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.metrics.gaps import set_interval
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import RETRAIN, digest
from unlearnbench.reporting.tables import table
from unlearnbench.reporting.tables.rows import LABEL
from unlearnbench.reporting.write import Section
from unlearnbench.storage.pack import Contents
from unlearnbench.verdicts.audit import WORDS, columns_of

RULES = (
    "Each line is a method of a pack that was checked: its checksums, its settings against the"
    " benchmark's file, and that none of its runs is missing. All numbers are recomputed from"
    " the signals of the pack, by the rule of one version. Checksums show that a pack is whole, not"
    " that it is true: settings, and the hash of code that does not ship, stand below for those who"
    " make it again."
)
ALONE = (
    "No line is tested against another, since packs may differ in originals and references. Where"
    " two share those of the bank, import both into one folder (unlearnbench results import): its"
    " report tests them in pairs."
)


@dataclass(frozen=True)
class Entered:
    """Hold a pack that was checked, and what came of it.

    files: names of its parts; standard: the benchmark that it was held to; bank: whether its
    references are those of the bank; unseen: methods whose code is not here;
    unfit: labels of rows that cannot stand here, and why.
    """

    files: list[str]
    contents: Contents
    findings: Findings
    standard: Benchmark
    bank: str
    unseen: Collection[str] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Who made it, or else its file."""
        return self.contents.by or ", ".join(self.files)

    def tuned(self, label: str) -> str:
        """Say how a row's settings were chosen, as far as its benchmark file says."""
        tuning, row = self.findings.benchmark.tuning, self.findings.benchmark.methods[label]
        of = {one for one, labels in tuning.borrowed.items() if label in labels}
        if label in tuning.searched or of:
            known = self.standard.methods.get(label)
            if known and not known.settings.items() <= row.settings.items():
                return "changed since"
            return f"for {min(of)}" if of else "for it"
        return "defaults" if label in self.findings.untuned else "not said"

    def code(self, condition: Condition, label: str) -> str:
        """Name a row's method, with the hash of its code in the records where it is not here."""
        method = self.findings.benchmark.methods[label].method
        sources = {str(one.get("source")) for one in condition.details(label)}
        return f"{method} ({', '.join(sorted(sources))})" if method in self.unseen else method

    def notes(self, condition: Condition, label: str) -> Iterator[tuple[str, str]]:
        """Yield in a word and in a sentence what takes from the worth of a row."""
        if condition.voided:
            yield "void", f"its controls failed ({', '.join(condition.voided)}): no verdict"
        rows = self.findings.benchmark.methods.keys() - {RETRAIN}
        for name, counts in self.findings.stale.items():
            if name == label or name not in rows:
                of = "" if name == label else f"{name}: "
                yield "stale", f"{of}made before {' and '.join(counts)} changed"
        details = condition.details(label)
        if (one := condition.same.get(label)) is not None:
            yield f"as {one}", f"its runs are those of {one}, by definition"
        if len(sources := {str(one.get("source")) for one in details}) > 1:
            yield "mixed", f"its runs are of {len(sources)} versions of its code"
        made = {str(one["environment"].get("unlearnbench")) for one in details}
        if other := sorted(made - {self.here}):
            yield "other version", f"made by unlearnbench {', '.join(other)}, judged by {self.here}"

    @property
    def here(self) -> str:
        """The version that judges."""
        import unlearnbench

        return unlearnbench.__version__


def leaderboard(
    entries: Sequence[Entered], refused: Mapping[str, str]
) -> tuple[str, list[str], list[Section]]:
    """Return title, introduction and sections; refused: why files are left out, by their names."""
    names = list(dict.fromkeys(one.standard.name for one in entries))
    title = f"Methods entered for {', '.join(names)}" if names else "No method entered"
    sections: list[Section] = []
    for name in names:
        own = [one for one in entries if one.standard.name == name]
        keys = dict.fromkeys(condition.key for one in own for condition in one.findings.conditions)
        sections += [_section(name, own, key) for key in keys]
    left = _left_out(entries, refused)
    sections += [Section("Packs", [_packs(entries)])] if entries else []
    sections += [Section("Left out", [left])] if len(left.frame) else []
    return title, [RULES, ALONE] if entries else [RULES], sections


def _section(name: str, entries: Iterable[Entered], key: tuple[str, float, int]) -> Section:
    """Show one condition of a benchmark: the ranking, then settings, then what to beware of."""
    rows: list[dict[str, Any]] = []
    warned: list[dict[str, Any]] = []
    titles: dict[str, str] = {}
    heading = suffix = ""
    for entry in entries:
        titles |= entry.findings.titles
        for condition in entry.findings.conditions:
            if condition.key == key:
                heading, suffix = condition.heading, condition.suffix
                for label in condition.methods:
                    if label not in entry.unfit:
                        rows.append(_line(entry, condition, label))
                        warned += [
                            {"label": label, "by": entry.by, "note": said}
                            for _, said in entry.notes(condition, label)
                        ]
    rows.sort(key=lambda row: row["place"])
    frame = pd.DataFrame(rows)
    shown = [_ranking(frame, heading, f"{name}{suffix}"), _settings(frame, f"{name}{suffix}")]
    if warned:
        noted = pd.DataFrame(warned)
        columns = [LABEL, table.text("By", "by"), table.text("Warnings", "note")]
        caption = "What limits a line's value."
        shown.append(table.Table(caption, noted, columns, f"notes-{name}{suffix}", "Notes"))
    named = [replace(one, titles=titles) for one in shown]
    return Section(f"{name}: {heading}", named, suffix=suffix)


def _line(entry: Entered, condition: Condition, label: str) -> dict[str, Any]:
    """Return all that is said of one method of one pack."""
    judged = condition.verdicts().get(label)
    gap = judged.gap if judged else None
    runs = condition.runs[condition.runs["label"] == label]
    row = entry.findings.benchmark.methods[label]
    word = condition.word(label) or ""
    place = WORDS.index(word) if word in WORDS else len(WORDS)
    test = runs["test_accuracy_gap"].mean(), *set_interval(runs, "test_accuracy_gap")[1:]
    line: dict[str, Any] = {"label": label, "verdict": word}
    line |= columns_of("gap", gap)
    line |= dict(zip(("test", "test_low", "test_high"), test, strict=True))
    line |= {"time": runs["time_ratio"].mean(), "tuned": entry.tuned(label), "bank": entry.bank}
    line |= {"by": entry.by, "made": entry.contents.made, "n": len(runs)}
    words = dict.fromkeys(word for word, _ in entry.notes(condition, label))
    line |= {"notes": ", ".join(words), "digest": digest(row.model_dump(mode="json"))}
    line["code"] = entry.code(condition, label)
    line["settings"] = ", ".join(f"{key} = {value}" for key, value in row.settings.items())
    return line | {"place": (place, abs(gap.value) if gap else float("inf"), entry.by)}


def _ranking(frame: pd.DataFrame, heading: str, name: str) -> table.Table:
    columns = [
        LABEL,
        table.text("Verdict", "verdict"),
        table.interval("FT AUC gap [95 %]", "gap", "+"),
        table.interval("Test gap [95 %]", "test", "+"),
        table.number("Time ↓", "time", ".2f"),
        table.text("Tuned", "tuned"),
        table.text("References", "bank"),
        table.text("Settings", "digest"),
        table.text("By", "by"),
        table.text("Date", "made"),
        table.text("Notes", "notes"),
    ]
    caption = (
        f"{heading}. Sorted by verdict over all audits, then by distance to retrain in FT AUC."
        " Gaps: to the retrains of the same pack, in points; Test: in test accuracy. Time: a"
        " multiple of retraining's. Tuned: for this benchmark, for another, since changed, the"
        " method's defaults, or not said. References: bank, if they and the originals are the"
        " bank's to the last bit; references, if they alone are."
    )
    return table.Table(caption, frame, columns, f"board-{name}", "Ranking")


def _settings(frame: pd.DataFrame, name: str) -> table.Table:
    columns = [
        LABEL,
        table.text("Settings", "digest"),
        table.text("Code", "code"),
        table.text("Values", "settings"),
    ]
    caption = (
        "Each row's settings. Code: the method, and the hash of its file where it does not ship."
    )
    once = frame.drop_duplicates(["label", "digest", "code"], ignore_index=True)
    return table.Table(caption, once, columns, f"settings-{name}", "Settings")


def _packs(entries: Iterable[Entered]) -> table.Table:
    rows = [
        {
            "files": ", ".join(one.files),
            "benchmark": one.standard.name,
            "by": one.contents.by,
            "made": one.contents.made,
            "note": one.contents.note,
        }
        for one in entries
    ]
    names = {"files": "Pack", "benchmark": "Benchmark", "by": "By", "made": "Date"}
    columns = [table.text(heading, name) for name, heading in names.items()]
    columns.append(table.text("What they say of it", "note"))
    caption = "Every pack that was read, and what those who made it say."
    return table.Table(caption, pd.DataFrame(rows), columns, "packs", "Packs")


def _left_out(entries: Iterable[Entered], refused: Mapping[str, str]) -> table.Table:
    rows = [{"what": name, "why": why} for name, why in refused.items()]
    for one in entries:
        files = ", ".join(one.files)
        rows += [{"what": f"{label} of {files}", "why": why} for label, why in one.unfit.items()]
    columns = [table.text("What", "what"), table.text("Why", "why")]
    caption = "What is not in the ranking."
    return table.Table(caption, pd.DataFrame(rows), columns, "left-out", "Left out")
