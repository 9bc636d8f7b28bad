"""What a report says in words: what was compared, how, what came out, and what to beware of."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, cast

import numpy as np
from markupsafe import Markup

from unlearnbench.audits.attacks import attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.audits.references import reference_counts
from unlearnbench.data.copies import copies_said
from unlearnbench.entries import is_absent, is_shipped
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import as_rows, flat
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.benchmark import Benchmark, End
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.reporting.outcome import outcome
from unlearnbench.reporting.steps import STEPS
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.rows import OLD, STALE, audits_said
from unlearnbench.units import count
from unlearnbench.verdicts.inference import FEWEST
from unlearnbench.verdicts.verdict import LOST, NO_OP, OVER

PACKAGES = ("torch", "numpy")
"""Those whose versions may change what comes out of a run."""
NEAR = 1.0
"""Points of AUC by which more references may move the original's and still be called enough."""
PAIRED = {"zip": "repetition i uses the i-th seed of each", "product": "every combination is run"}
"""How seeds make repetitions, by pairing."""


def about(findings: Findings) -> dict[str, Any]:
    """Return what pages say of a benchmark beside its tables."""
    benchmark = findings.benchmark
    machines = {
        tuple(sorted(detail["environment"].items())): detail["environment"]
        for detail in findings.details.values()
    }
    own = findings.entered.get("metrics", {})
    tested = findings.runs[findings.runs["label"] != RETRAIN]
    return {
        "b": benchmark,
        "rule": rule(findings),
        "notes": warnings(findings),
        "steps": STEPS,
        "repetitions": tested["forget_seed"].nunique(),
        "paired": PAIRED[benchmark.seeds.pairing],
        "references": findings.references or "no",
        "headline": attack_title(benchmark.headline),
        "machines": [machines[key] for key in sorted(machines, key=repr)],
        "recipe": dict(_recipe(benchmark)),
        "start": [said for _, said in _start(benchmark)],
        "settings": {label: row.settings for label, row in benchmark.methods.items()},
        "searches": _searches(findings),
        "outcome": [line for condition in findings.conditions for line in outcome(condition)],
        "compared": _procedure(findings),
        "claimed": claims_tables({benchmark.name: findings}),
        "metrics": [
            (m.title, Markup(m.about) if is_shipped("metric", name) else m.about)
            for name, m in METRICS.items()
            if m.about and (name in own or not is_absent("metric", name))
        ],
    }


def _searches(findings: Findings) -> list[tuple[str, int, int, float]]:
    """Sum up each method's adversarial search: samples, how many did not flip, mean distance."""
    rows = []
    for label, runs in findings.runs.groupby("label", sort=False)["run"]:
        details = [findings.details[run].get("search") for run in runs]
        made = [search for search in details if search]
        if made:
            names = ("samples", "not flipped", "flipped")
            samples, lost, flipped = (sum(search[name] for search in made) for name in names)
            total = sum(search["mean"] * search["flipped"] for search in made if search["flipped"])
            rows.append((str(label), samples, lost, total / flipped if flipped else float("nan")))
    return rows


def rule(findings: Findings) -> str:
    """State how verdicts are reached, and how the file says that its margins were set."""
    limits = findings.benchmark.limits
    if any(condition.old for condition in findings.conditions):
        return " ".join(filter(None, [OLD, limits.because]))
    headline = audit_title(findings.benchmark.headline)
    needed = f"{headline} and relearning" if findings.benchmark.model_audits else headline
    alike = (
        "Equivalent: none does, and every audit with power shows that the gap is small enough (two"
        f" one-sided tests at 5 %). Without power of {needed}, no method can be called equivalent;"
        " any other audit without power is ignored for this word."
    )
    stated = (
        "The verdict on a method is over all audits. Different: at least one audit finds a"
        f" difference (5 %, after Holm's correction for all audits and methods). {alike} Where no"
        " models are asked to relearn, 'no difference found' stands in its place. Inconclusive:"
        f" anything else. Small enough: within {limits.said}. An audit has power if it tells the"
        " original from retrain and would pass a perfect retrain four times in five. The tests are"
        " corrected together, audits times methods: more rows, or more weak attacks in the file,"
        " make 'different' harder to show. Rows that are no methods, such as the held-out retrain,"
        " are judged apart: no correction for the number of methods."
    )
    said = audits_said(findings.benchmark)
    trained = f"Models are audited with these settings: {said}." if said else ""
    return " ".join(filter(None, [stated, trained, limits.because]))


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
        return False, (
            f"{first} reference models may be too few: with half of them the original's FT AUC"
            f" moves by more than {NEAR:g} point (references.count={2 * first})."
        )
    return True, (
        f"{first} of these {counts[-1]} references give nearly the same FT AUC (within {NEAR:g}"
        " point). Other references may not."
    )


def _what(b: Benchmark) -> str:
    """Say which samples are forgotten."""
    if b.forget.kind in ("class", "subclass"):
        target = b.forget.target
        which = "that the seed names" if target is None else f"{target} and on"
        return f"of the {b.forget.kind} {which}"
    if b.forget.kind == "random":
        return "at random"
    if b.forget.list is not None:
        return f"of the list {PurePath(b.forget.list).name}"
    end = b.forget.kind.removesuffix("-memorised")
    return f"at random from twice as many that are {end} memorised (by their neighbours' labels)"


def _recipe(b: Benchmark) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a recipe that say something; of pretrained weights more is said."""
    apart = {"pretrained", *b.recipe.unused.intersection(("warm_up", "label_smoothing"))}
    return flat(b.recipe.model_dump(exclude=apart, exclude_none=True))


def _procedure(findings: Findings) -> list[tuple[str, str]]:
    """Say what was compared and how, as terms and what they are."""
    b, seeds = findings.benchmark, findings.benchmark.seeds
    enough = dict.fromkeys(references_said(one)[1] for one in findings.conditions)
    said = (
        f"{findings.references or 'no'} reference models on halves of pooled data; FT AUC is that"
        f" of {attack_title(b.headline)}. {' '.join(enough)}".rstrip()
    )
    attacks, verdicts = ("Attacks", said), ("Verdicts", rule(findings))
    if b.given:
        return [
            ("Made elsewhere", "; ".join(b.given.said())),
            *_of_given(findings),
            attacks,
            verdicts,
        ]
    shares = " and ".join(f"{100 * fraction:g} %" for fraction in b.forget.fractions)
    rows = f"{b.forget.requests} requests in a row" if b.forget.requests > 1 else "one request"
    held = "; the last of them is held out and judged apart" if b.held_out else ""
    tuning = "; ".join(f"{key}: {value}" for key, value in b.tuning.words.items())
    listed = (seeds.originals, seeds.forget, seeds.runs)
    originals, forget, runs = (", ".join(map(str, numbers)) for numbers in listed)
    return [
        _data(b),
        _model(b),
        *_start(b),
        ("Forget sets", f"{shares} {_what(b)}, {rows}, seeds {forget}"),
        ("Access", ", ".join(b.access)),
        ("Repetitions", f"originals {originals}, runs {runs}; {PAIRED[seeds.pairing]}"),
        ("Yardstick", f"{count(seeds.retrains, 'retrained model')} for each forget set{held}"),
        attacks,
        verdicts,
        (
            "Not ranked",
            f"a method that changes nothing ({NO_OP}), that gives forgotten samples away by too low"
            f" an FT AUC ({OVER}), or that loses more than {b.limits.utility:g} points of test"
            f" accuracy, and more than retrains do by chance ({LOST})",
        ),
        ("Tuning", f"{tuning} (said by the file, of its own rows)" if tuning else "not stated"),
    ]


def _of_given(findings: Findings) -> Iterator[tuple[str, str]]:
    """Say of an audit what its models are of; a recipe only if any was trained by it."""
    b, given = findings.benchmark, cast("Given", findings.benchmark.given)
    if not given.outputs:
        yield _data(b)
        trained = given.trained_retrains or findings.references > len(given.references)
        yield _model(b) if trained else ("Model", b.model)
        yield from _start(b)
    yield "Forget set", _what(b).removeprefix("of the list ")
    held = "; the last of them is held out and judged apart" if b.held_out else ""
    yield "Yardstick", f"{count(given.every_retrain, 'retrained model')}{held}"


def _data(b: Benchmark) -> tuple[str, str]:
    sizes = {"training": b.data.train, "test": b.data.test, "validation": b.data.validation}
    counted = ", ".join(f"{size:,} {name}" for name, size in sizes.items() if size)
    where = f" {b.data.path}" if b.data.path else ""
    return "Data", f"{b.data.name}{where}" + (f": {counted} samples" if counted else "")


def _model(b: Benchmark) -> tuple[str, str]:
    return "Model", f"{b.model}; " + ", ".join(f"{key} {value}" for key, value in _recipe(b))


def _start(b: Benchmark) -> list[tuple[str, str]]:
    """Say what pretrained weights mean, if models begin with any."""
    start = b.recipe.pretrained
    if start is None:
        return []
    name = PurePath(start.file).name
    said = (
        f"originals, retrains and references begin with the weights in {name} ({start.digest}). A"
        " pretrained start knows what it knows: samples of the forget set may have been in what it"
        " was pretrained on, and retraining without them does not take that away"
    )
    return [("Pretrained", said)]


def warnings(findings: Findings) -> list[str]:
    """Say what is missing, skipped, failed, stale or broken, and what is not to be used."""
    lines = [*findings.broken, *_of_runs(findings)]
    if findings.benchmark.given:
        lines += _not_given(findings.benchmark.given, findings.references)
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
            "no original is given: how much there was to find is not known, so nothing can be"
            " called equivalent."
        )
    if not given.every_retrain:
        yield (
            "no retrained model is given: there is nothing to compare with, and no verdict. Give"
            " four or more, or have them trained."
        )
    if not references:
        yield "no reference models are given: the strongest attacks on membership are left out."
    if given.trained_retrains or references > len(given.references):
        yield (
            "some of the models compared with were trained here. They are a fair measure only if"
            " the models given were trained by the same recipe."
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
        yield (
            f"chosen within 10 % of an end of the range that was searched:"
            f" {', '.join(map(str, ends))}. A better value may lie beyond: widen the range (search="
            " in the method's file) and tune again."
        )


def of_condition(condition: Condition) -> Iterator[str]:
    """Say what takes from the worth of one table's verdicts."""
    verdicts = condition.verdicts()
    if RETRAIN not in verdicts:
        return
    if ORIGINAL in verdicts and not verdicts[ORIGINAL].power:
        yield (
            f"{attack_title(condition.benchmark.headline)} cannot tell the original's members, so"
            " FT AUC says nothing of forgetting: take more references, larger forget sets, or more"
            " of them."
        )
    enough, said = references_said(condition)
    if not enough:
        yield said
    for label, _, problems in condition.controls():
        if problems and label != ORIGINAL:
            why = "; ".join(problems)
            yield f"the control '{label}' failed ({why}), so trust no verdict of this table."
    labels = {*condition.labels} - {ORIGINAL}
    compared = [verdict for label, verdict in verdicts.items() if label in labels]
    for verdict in compared:
        if verdict.flags:
            yield f"{verdict.label} is not ranked: {verdict.flags}."
    tested = [verdict for verdict in compared if verdict.gap is not None]
    most, retrains = max((verdict.sets for verdict in tested), default=FEWEST), 0
    if len(set(condition.benchmark.seeds.forget)) == 1:
        retrains = int((condition.every_run["label"] == RETRAIN).sum())
        yield (
            "one forget set: verdicts are about it and these models alone. Chance is estimated from"
            f" {count(retrains, 'model')} retrained without it."
        )
    if max(most, retrains) < FEWEST:
        few = "fewer than three forget sets, and no three retrains of a single one"
        yield f"{few}: every verdict is inconclusive."
        return
    if condition.powerless:
        every = len(condition.powerless) == len(condition.audits) - 1
        which = "; ".join(map(audit_title, condition.powerless))
        said = "no audit has power" if every else f"these audits have no power: {which}"
        more = "retrained models" if condition.benchmark.given else "seeds"
        yield f"{said}. Add {more} or a larger forget set."


def _of_runs(findings: Findings) -> Iterator[str]:
    for row in findings.skipped:
        yield f"{row['label']} is skipped under {row['access']} access: {row['reason']}."
    for row in findings.failures:
        yield f"{row['label']} failed ({row['run']}): {row['error']}"
    if findings.failures:
        yield "error.txt in a failed run's folder has all of it; --retry-failed tries again."
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
        yield f"{made}. --retry-stale reruns them."


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
