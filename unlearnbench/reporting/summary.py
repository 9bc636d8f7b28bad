"""What a report says in words: what was compared and how, and what the result is."""

from collections.abc import Container, Iterator
from pathlib import PurePath
from typing import Any, cast

from markupsafe import Markup

from unlearnbench.audits.attacks import attack_title
from unlearnbench.audits.parts import audit_title
from unlearnbench.entries import is_absent, is_shipped
from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.frames import flat
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.reporting.caveats import references_said, warnings
from unlearnbench.reporting.outcome import outcome
from unlearnbench.reporting.steps import STEPS
from unlearnbench.reporting.tables.captions import data_title
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.reporting.tables.rows import OLD, audits_said
from unlearnbench.units import count
from unlearnbench.verdicts.verdict import LOST, NO_OP, OVER

ACCESS = {
    "full": "full: the method may use the retain set",
    "forget-only": "forget-only: the method may not use the retain set",
}
"""What a method is given, by access."""
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
    repetitions = tested["forget_seed"].nunique()
    return {
        "b": benchmark,
        "data_title": data_title(benchmark.data),
        "setup": _setup(findings, repetitions),
        "controls": sum(len(one.controls()) for one in findings.conditions if not one.voided),
        "rules": rules(findings),
        "same_weights": any(one.get("unlearnbench") == "0.1.0" for one in machines.values()),
        "notes": warnings(findings),
        "steps": STEPS,
        "repetitions": repetitions,
        "paired": PAIRED[benchmark.seeds.pairing],
        "references": findings.references or "no",
        "headline": attack_title(benchmark.headline),
        "gap_terms": [METRICS[term].title for term in benchmark.gap_terms],
        "machines": [machines[key] for key in sorted(machines, key=repr)],
        "recipe": dict(_recipe(benchmark)),
        "start": [said for _, said in _start(benchmark)],
        "settings": {label: row.settings for label, row in benchmark.methods.items()},
        "searches": _searches(findings),
        "outcome": [line for condition in findings.conditions for line in outcome(condition)],
        "compared": _procedure(findings),
        "claimed": claims_tables({benchmark.name: findings}),
        "metrics": _metrics(own),
    }


def _metrics(own: Container[str]) -> list[tuple[str, str]]:
    """List what metrics are, those with the same words together; own: names of plugins' metrics."""
    titles: dict[str, list[str]] = {}
    for name, metric in METRICS.items():
        if metric.about and (name in own or not is_absent("metric", name)):
            about = Markup(metric.about) if is_shipped("metric", name) else metric.about
            titles.setdefault(about, []).append(metric.title)
    return [("; ".join(named), about) for about, named in titles.items()]


def _setup(findings: Findings, repetitions: int) -> str:
    """Say in a line on what data and models all of it was measured, and how often."""
    b = findings.benchmark
    if b.given:
        return f"Models made elsewhere, on {_data(b)[1]}."
    shares = " and ".join(f"{100 * fraction:g} %" for fraction in b.forget.fractions)
    methods = len({label for one in findings.conditions for label in one.methods})
    return (
        f"{_data(b)[1]}. Forgotten: {shares} {_what(b)}. Model: {b.model}."
        f" {count(repetitions, 'repetition')}, {count(methods, 'method')}."
    )


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


UNAUDITED = "the word is 'no difference found'"


def rules(findings: Findings) -> list[tuple[str, str]]:
    """State how verdicts are reached, as terms and what they mean, and how margins were set."""
    limits = findings.benchmark.limits
    if any(condition.old for condition in findings.conditions):
        return [("Rule", " ".join(filter(None, [OLD, limits.because])))]
    headline = audit_title(findings.benchmark.headline)
    audited = findings.benchmark.model_audits
    needed = f"{headline} and relearning" if audited else headline
    without = "" if audited else f" As no model was audited by relearning, {UNAUDITED}."
    if audited and findings.benchmark.forget.requests > 1:
        without = f" No model is asked to relearn before the last request: there {UNAUDITED}."
    trained = audits_said(findings.benchmark)
    stated = [
        (
            "Different",
            "at least one audit finds a difference from retraining (5 %, after Holm's correction"
            " for all audits and methods).",
        ),
        (
            "Equivalent",
            "no audit finds a difference, and every audit with power shows that the gap is small"
            f" enough (two one-sided tests at 5 %). {needed} must have power; any other audit"
            f" without power does not count.{without}",
        ),
        ("Inconclusive", "anything else. It does not mean equal."),
        ("Small enough", f"within {limits.said}."),
        (
            "Power",
            "an audit has power if it distinguishes the original from retrain, and has enough data:"
            " it would pass a perfect retrain four times in five. An attack that misses the planted"
            " leak has none. Without power an audit can find a difference, but cannot show that a"
            " gap is small.",
        ),
        (
            "Correction",
            "the tests of all audits and methods are corrected together. More rows, or more weak"
            " attacks in the benchmark, make 'different' harder to show. Reference rows, such as"
            " the held-out retrain, are tested by themselves, without a correction for the number"
            " of methods.",
        ),
    ]
    if trained:
        stated.append(("Audits of models", f"settings: {trained}."))
    return [*stated, ("Margins", limits.because)] if limits.because else stated


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
    attacks, verdicts = ("Attacks", said), rules(findings)
    if b.given:
        return [
            ("Made elsewhere", "; ".join(b.given.said())),
            *_of_given(findings),
            attacks,
            *verdicts,
        ]
    shares = " and ".join(f"{100 * fraction:g} %" for fraction in b.forget.fractions)
    rows = f"{b.forget.requests} requests in a row" if b.forget.requests > 1 else "one request"
    held = "; the last of them is held out and tested like a method" if b.held_out else ""
    tuning = "; ".join(f"{key}: {value}" for key, value in b.tuning.words.items())
    listed = (seeds.originals, seeds.forget, seeds.runs)
    originals, forget, runs = (", ".join(map(str, numbers)) for numbers in listed)
    return [
        _data(b),
        _model(b),
        *_start(b),
        ("Forget sets", f"{shares} {_what(b)}, {rows}, seeds {forget}"),
        ("Access", "; ".join(ACCESS[access] for access in b.access)),
        ("Repetitions", f"originals {originals}, runs {runs}; {PAIRED[seeds.pairing]}"),
        ("Yardstick", f"{count(seeds.retrains, 'retrained model')} for each forget set{held}"),
        attacks,
        *verdicts,
        (
            "Not ranked",
            f"a method that changes nothing ({NO_OP}), that gives forgotten samples away by too low"
            f" an FT AUC ({OVER}), or that loses more than {b.limits.utility:g} points of test"
            f" accuracy, and more than retrains do by chance ({LOST})",
        ),
        ("Tuning", tuning if tuning else "not stated"),
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
    held = "; the last of them is held out and tested like a method" if b.held_out else ""
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
