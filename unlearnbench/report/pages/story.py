"""What a report says in words: what was compared, how, and what came out."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.settings import Group, by_attack, compared, groups, heading, select
from unlearnbench.metrics.attacks import HEADLINE
from unlearnbench.metrics.bank import reference_counts
from unlearnbench.metrics.compute import METRICS
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import CONTROLS, HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.report.figures.series import stacked
from unlearnbench.report.pages.notes import notes
from unlearnbench.report.tables.audit import title
from unlearnbench.report.tables.claims import claims, claims_table

NEAR = 1.0
"""Points of AUC by which more references may move the original's and still be called enough."""


def about(findings: Findings) -> dict[str, Any]:
    """Return what pages say of a benchmark beside its tables."""
    benchmark = findings.benchmark
    machines = {
        tuple(sorted(detail["environment"].items())): detail["environment"]
        for detail in findings.details.values()
    }
    tested = findings.runs[findings.runs["label"] != RETRAIN]
    table = claims_table({benchmark.name: claims(findings)})
    return {
        "b": benchmark,
        "notes": notes(findings),
        "repetitions": tested["forget_seed"].nunique(),
        "references": findings.references,
        "machines": [machines[key] for key in sorted(machines, key=repr)],
        "recipe": training(benchmark),
        "settings": settings(benchmark),
        "searches": searches(findings),
        "outcome": [line for group in groups(findings) for line in outcome(findings, group)],
        "compared": method(findings),
        "claimed": [table] if table else [],
        "metrics": [(one.title, Markup(one.about)) for one in METRICS.values() if one.about],
    }


def training(benchmark: Benchmark) -> dict[str, Any]:
    """Return the settings of training, those of a table inside it as table.key."""
    flat: dict[str, Any] = {}
    for key, value in benchmark.recipe.model_dump(exclude_none=True).items():
        inside = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": one for name, one in inside} or {key: value}
    return flat


def settings(benchmark: Benchmark) -> dict[str, dict[str, Any]]:
    """Return the hyperparameters of every row."""
    return {
        label: {key: value for key, value in entry.items() if key != "method"}
        for label, entry in benchmark.methods.items()
    }


def searches(findings: Findings) -> list[tuple[str, int, int, float]]:
    """Sum up each method's adversarial search: samples, how many did not flip, mean distance."""
    found: dict[str, list[dict[str, Any]]] = {}
    for label, run in zip(findings.runs["label"], findings.runs["run"], strict=True):
        search = findings.details[run].get("search")
        if search:
            found.setdefault(label, []).append(search)
    rows = []
    for label, all_of in found.items():
        flipped = sum(one["flipped"] for one in all_of)
        total = sum(one["mean"] * one["flipped"] for one in all_of if one["flipped"])
        samples, lost = (sum(one[name] for one in all_of) for name in ("samples", "not flipped"))
        rows.append((label, samples, lost, total / flipped if flipped else float("nan")))
    return rows


def outcome(findings: Findings, group: Group) -> list[str]:
    """Say in sentences what came out for one setting."""
    judged = by_attack(findings, group)
    runs = compared(select(findings.runs, group))
    if RETRAIN not in judged:
        return [f"{heading(group, findings.benchmark)}: no verdicts yet."]
    levels = [
        f"{label} {judged[label]['auc']:.1f} %" for label in (ORIGINAL, RETRAIN) if label in judged
    ]
    margin = findings.benchmark.limits.equivalence
    said = [
        f"{heading(group, findings.benchmark)}. A membership attack (RMIA) tells forgotten samples"
        f" from others with an AUC of: {', '.join(levels)}; 50 % is guessing."
    ]
    methods = {
        label: row
        for label, row in judged.items()
        if label not in (ORIGINAL, RETRAIN, HELD_OUT, *CONTROLS) and label in set(runs["label"])
    }
    verdicts = {
        "equivalent": f"Equivalent to retraining within {margin:g} points",
        "inconclusive": "Neither shown to be equivalent nor different",
        "different": "Different from retraining",
    }
    for verdict, words in verdicts.items():
        named = [n for n, row in methods.items() if row["verdict"] == verdict and not row["flags"]]
        if named:
            said.append(f"{words}: {', '.join(named)}.")
    flagged = [f"{label} ({row['flags']})" for label, row in methods.items() if row["flags"]]
    if flagged:
        said.append(f"Not ranked: {', '.join(flagged)}.")
    said += _other_attacks(findings, group, list(methods))
    return said + _enough_references(findings, group)


def _other_attacks(findings: Findings, group: Group, methods: list[str]) -> list[str]:
    """Name the methods that an attack other than RMIA finds different though RMIA does not."""
    missed: dict[str, list[str]] = {}
    main = by_attack(findings, group)
    for attack in findings.judged.get(group, {}):
        if attack == HEADLINE:
            continue
        for label in methods:
            row = by_attack(findings, group, attack).get(label)
            if row and row["verdict"] == "different" and main[label]["verdict"] != "different":
                missed.setdefault(label, []).append(title(attack))
    return [
        f"But other attacks find {label} different: {', '.join(attacks)}."
        for label, attacks in missed.items()
    ]


def _enough_references(findings: Findings, group: Group) -> list[str]:
    """Say from how many references on the original's AUC no longer moves."""
    found = stacked(findings, group, "references").get(ORIGINAL)
    if found is None or not np.isfinite(found).all():
        return []
    means, counts = found.mean(axis=0), reference_counts(findings.references)
    moving = np.flatnonzero(np.abs(means - means[-1]) > NEAR)
    first = counts[moving[-1] + 1] if len(moving) else counts[0]
    if first == counts[-1]:
        return [
            f"With half of the {first} references the original's FT AUC is another by more than"
            f" {NEAR:g} point: more of them may find more (references.count={2 * first})."
        ]
    return [
        f"From {first} of the {counts[-1]} references on the original's FT AUC stays within"
        f" {NEAR:g} point of what it is with all."
    ]


def _what(b: Benchmark) -> str:
    """Say which samples are forgotten."""
    if b.forget.kind in ("class", "subclass"):
        target = b.forget.target
        which = "that the seed names" if target is None else f"{target} and on"
        return f"of the {b.forget.kind} {which}"
    if b.forget.kind == "random":
        return "at random"
    end = b.forget.kind.removesuffix("-memorised")
    return f"at random from twice as many that are {end} memorised (by their neighbours' labels)"


def method(findings: Findings) -> list[tuple[str, str]]:
    """Say what was compared and how, as terms and what they are."""
    b, seeds = findings.benchmark, findings.benchmark.seeds
    sizes = {"training": b.data.train, "test": b.data.test, "validation": b.data.validation}
    counted = ", ".join(f"{count:,} {name}" for name, count in sizes.items() if count)
    shares = " and ".join(f"{100 * fraction:g} %" for fraction in b.forget.fractions)
    what = _what(b)
    rows = f"{b.forget.requests} requests in a row" if b.forget.requests > 1 else "one request"
    held = "; the last of them is held out and judged as a method is" if seeds.retrains > 2 else ""
    tuning = "; ".join(f"{key}: {value}" for key, value in b.tuning.items())
    recipe = training(b)
    return [
        ("Data", f"{b.data.name}" + (f": {counted} samples" if counted else "")),
        ("Model", f"{b.model}; " + ", ".join(f"{key} {value}" for key, value in recipe.items())),
        ("Forget sets", f"{shares} {what}, {rows}, seeds {_seeds(seeds.forget)}"),
        ("Access", ", ".join(b.access)),
        (
            "Repetitions",
            f"originals {_seeds(seeds.originals)}, runs {_seeds(seeds.runs)},"
            f" combined by {seeds.pairing}",
        ),
        ("Yardstick", f"{seeds.retrains} retrained models for each forget set{held}"),
        ("Attacks", f"{findings.references} reference models on halves of pooled data"),
        (
            "Declared beforehand",
            f"equivalent means within {b.limits.equivalence:g} points of FT AUC; not ranked is who"
            f" loses more than {b.limits.utility:g} points of test accuracy",
        ),
        ("Tuning", f"{tuning} (said by the file, of its own rows)" if tuning else "none is said"),
    ]


def _seeds(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))
