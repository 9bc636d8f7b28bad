"""Warnings of a report: what is missing, stale or broken, and when not to trust a table."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from unlearnbench.audits.attacks import attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.audits.references import reference_counts
from unlearnbench.data.copies import copies_said
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.planning.benchmark import Benchmark, End
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.tables.rows import STALE
from unlearnbench.units import count
from unlearnbench.verdicts.audit import misses
from unlearnbench.verdicts.inference import FEWEST
from unlearnbench.verdicts.verdict import flags_said

PACKAGES = ("torch", "numpy")
"""Those whose versions may change what comes out of a run."""
NEAR = 1.0
"""Points of AUC by which more references may move the original's and still be called enough."""


def references_said(condition: Condition) -> tuple[bool, str]:
    """Say from how many references on the original's AUC no longer moves, and whether so many do.

    Says nothing where that is not known.
    """
    aucs = condition.stacked("references").get(ORIGINAL)
    if aucs is None or not np.isfinite(aucs).all():
        return True, ""
    means, counts = aucs.mean(axis=0), reference_counts(condition.findings.references)
    moving = np.flatnonzero(np.abs(means - means[-1]) > NEAR)
    first = counts[moving[-1] + 1] if len(moving) else counts[0]
    if first == counts[-1]:
        why = "whether the original's FT AUC still moves is not known"
        if len(counts) > 1:
            fewer = f"with {counts[-2]} of them the original's FT AUC"
            why = f"{fewer} differs by more than {NEAR:g} point"
        few = f"{first} reference models may be too few"
        return False, f"{few}: {why} (references.count={2 * first})."
    return True, (
        f"{first} of the {counts[-1]} reference models give the original nearly the same FT AUC"
        f" (within {NEAR:g} point). Other reference models could give another value."
    )


def warnings(findings: Findings) -> list[str]:
    """Say what is missing, skipped, failed, stale or broken, and what is not to be used."""
    lines = [*findings.broken, *_of_runs(findings)]
    if findings.benchmark.given:
        lines += _not_given(findings.benchmark.given, findings.references)
        lines += _of_recipe(findings)
    if not findings.attacks.empty:
        every = findings.conditions
        for condition in every:
            where = f"{condition.heading}: " if len(every) > 1 else ""
            lines += [f"{where}{line}" for line in of_condition(condition)]
    return [*lines, *at_ends(_ends_in_use(findings.benchmark))]


def _not_given(given: Given, references: int) -> Iterator[str]:
    """Say what cannot be said of models made elsewhere, where others are missing."""
    if given.original is None:
        yield (
            "No original is given: how much there was to find is not known, so nothing can be"
            " called equivalent."
        )
    if not given.every_retrain:
        yield (
            "No retrained model is given: there is nothing to compare with, and no verdict. Give"
            " four or more, or have them trained."
        )
    if not references:
        yield "No reference models are given: the strongest attacks on membership are left out."
    if given.trained_retrains or references > len(given.references):
        yield (
            "Some of the models compared with were trained here. The comparison is fair only if the"
            " models given were trained by the same recipe."
        )


def _of_recipe(findings: Findings) -> Iterator[str]:
    """Say where models retrained here are not like the original, whatever their recipe lacks.

    Every row would be different from them, for a reason that is none of its own.
    """
    given = findings.benchmark.given
    if findings.runs.empty or not (given and given.trained_retrains):
        return
    right = findings.runs.groupby("label")["test_accuracy"].mean()
    retrained, original = (right.get(label, np.nan) for label in (RETRAIN, ORIGINAL))
    if abs(retrained - original) > findings.benchmark.limits.utility:
        yield (
            f"The retrained models get {retrained:.1f} % of test samples right, the original"
            f" {original:.1f} %. If the forget set does not explain that, their recipe or data are"
            " not those of your model, and 'different' says no more than that."
        )


def _ends_in_use(benchmark: Benchmark) -> list[End]:
    """List the values near an end of their ranges that rows still have: `--set` may change them."""
    rows = benchmark.methods
    return [
        end
        for end in benchmark.tuning.ends
        if end.row in rows and rows[end.row].settings.get(end.setting) == end.value
    ]


def at_ends(ends: Sequence[End]) -> Iterator[str]:
    """Name the settings that were chosen near an end of their search ranges, and say what to do."""
    if ends:
        named = ", ".join(map(str, ends))
        yield (
            f"Settings chosen close to an end of the range that was searched: {named}. These"
            " methods may do better with values outside of it: widen the range (tuning.ranges in"
            " the benchmark's file) and tune again."
        )


def of_condition(condition: Condition) -> Iterator[str]:
    """Say what limits the value of one table's verdicts."""
    verdicts = condition.verdicts()
    if RETRAIN not in verdicts:
        return
    if ORIGINAL in verdicts and not verdicts[ORIGINAL].power:
        yield (
            f"{attack_title(condition.benchmark.headline)} does not find the original's members, so"
            " FT AUC says nothing about forgetting. Use more reference models, larger forget sets,"
            " or more of them."
        )
    enough, said = references_said(condition)
    if not enough:
        yield said
    for label, _, problems in condition.controls():
        if problems and label != ORIGINAL:
            why = "; ".join(problems)
            yield f"The control '{label}' failed ({why}): trust no verdict of this table."
    labels = {*condition.labels} - {ORIGINAL}
    compared = [verdict for label, verdict in verdicts.items() if label in labels]
    for verdict in compared:
        if verdict.flags:
            yield f"{verdict.label} is not ranked ({flags_said(verdict.flags)})."
    tested = [verdict for verdict in compared if verdict.gap is not None]
    most, retrains = max((verdict.sets for verdict in tested), default=FEWEST), 0
    if len(set(condition.benchmark.seeds.forget)) == 1:
        retrains = int((condition.every_run["label"] == RETRAIN).sum())
        yield (
            "There is one forget set: verdicts are about it and these models alone. Chance is"
            f" estimated from {count(retrains, 'model')} retrained without it."
        )
    if max(most, retrains) < FEWEST:
        yield (
            "There are fewer than three forget sets, and no three retrains of a single one to"
            " compare with: every verdict is inconclusive."
        )
        return
    yield from _of_originals(condition)
    yield from _without_power(condition)


def _of_originals(condition: Condition) -> Iterator[str]:
    """Say where forget sets share originals, and nothing tells how far another one would be."""
    runs = condition.every_run
    retrains = runs[runs["label"] == RETRAIN].groupby("forget_seed").size()
    sets = runs.dropna(subset="original_seed").groupby("original_seed")["forget_seed"].nunique()
    if sets.gt(1).any() and retrains.lt(2).all():
        yield (
            "Forget sets share originals, and none has two retrains to compare with: verdicts are"
            f" about {count(len(sets), 'original')} alone (seeds.retrains=3)."
        )


def _without_power(condition: Condition) -> Iterator[str]:
    """Name the audits that cannot show that a gap is small, by what they lack."""
    blind = [
        audit
        for audit in condition.powerless
        if (found := condition.audits[audit].get(ORIGINAL)) and found.word != "different"
    ]
    missed = [
        audit
        for audit in condition.powerless
        if audit in condition.attacks
        for label, expected in condition.findings.controls.items()
        if expected.kind == "found" and misses(condition.audits[audit], label, ORIGINAL)
    ]
    short = [audit for audit in condition.powerless if audit not in (*blind, *missed)]
    if short:
        every = len(short) == len(condition.single_audits)
        named = "; ".join(map(audit_title, short))
        which = "No audit has power" if every else f"These audits have no power: {named}"
        more = "retrained models" if condition.benchmark.given else "seeds"
        yield (
            f"{which}. They have too little data to show that a gap is small, but can still find a"
            f" difference. Add {more}, or use a larger forget set."
        )
    if blind:
        yield (
            "These audits do not distinguish the original from retrain here, so they cannot show"
            f" that a gap is small: {'; '.join(map(audit_title, blind))}."
        )
    if missed:
        yield (
            "These attacks find the original, but not the leak that was planted as a control, so"
            f" they cannot show that a gap is small: {'; '.join(map(audit_title, missed))}."
        )


def _of_runs(findings: Findings) -> Iterator[str]:
    for row in findings.skipped:
        yield f"{row['label']} is skipped under {row['access']} access: {row['reason']}."
    for row in findings.failures:
        yield f"{row['label']} failed ({row['run']}): {row['error']}"
    if findings.failures:
        again = "retry_failed=True (--retry-failed)"
        how = "the command that made it" if findings.benchmark.given else again
        yield f"error.txt in a failed run's folder has all of it; {how} tries again."
    if findings.open:
        rows = ", ".join(f"{label} ({left})" for label, left in findings.unmade.items())
        left = f"{findings.open} of {findings.models} models are still to be made"
        yield f"Not complete: {left}{rows and f': {rows}'}."
    if findings.lacking:
        yield (
            f"No membership AUC yet: {findings.lacking} of {findings.references} reference models"
            " are still missing."
        )
    made = [(row["label"], findings.details.get(row["run"], {})) for row in as_rows(findings.runs)]
    counts = Counter(label for label, _ in made)
    warned = Counter((label, text) for label, kept in made for text in kept.get("warnings", ()))
    for (label, text), times in warned.items():
        yield f"{label}: {text} (in {times} of {counts[label]} runs)."
    yield from dict.fromkeys(
        filter(None, (copies_said(kept.get("copies", {})) for _, kept in made))
    )
    yield from findings.apart
    yield from _of_stale(findings)
    yield from _of_versions(findings)


def _of_stale(findings: Findings) -> Iterator[str]:
    """Say what has changed since which rows were made."""
    rows: dict[str, list[str]] = {}
    for label, counts in findings.stale.items():
        for what, number in counts.items():
            rows.setdefault(what, []).append(f"{label} ({count(number, 'run')})")
    for what, labels in rows.items():
        made = f"stale ({STALE}), made before {what} changed: {', '.join(labels)}"
        again = "retry_stale=True (--retry-stale)"
        how = "The command that made them" if findings.benchmark.given else again
        yield f"{made}. {how} reruns them."


def _of_versions(findings: Findings) -> Iterator[str]:
    """Say which rows were made with which versions of a package, where these differ."""
    environments = {run: kept.get("environment", {}) for run, kept in findings.details.items()}
    for package in PACKAGES:
        rows: dict[str, dict[str, None]] = {}
        for row in as_rows(findings.runs):
            if version := environments.get(row["run"], {}).get(package):
                rows.setdefault(str(version), {})[row["label"]] = None
        if len(rows) > 1:
            of = "; ".join(f"{version}: {', '.join(labels)}" for version, labels in rows.items())
            yield f"made with different versions of {package}, which may tell in the numbers: {of}."
