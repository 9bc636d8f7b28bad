"""What a caption says that stands alone in an article: data, seeds, yardstick, tuning, rule."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from unlearnbench.audits.attacks import attack_title
from unlearnbench.data.prepare import DataSpec
from unlearnbench.evaluation.findings import Condition
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.units import count

ACCESS = {
    "full": "methods may use the retain set",
    "forget-only": "methods are not given the retain set",
}


def setting(condition: Condition, headings: Sequence[str]) -> str:
    """Say what a table is of; headings: of its columns, whose terms are explained."""
    of = condition.benchmark
    said = [
        f"{_data(of, condition.fraction)}, {of.model}",
        f"{condition.heading} ({ACCESS.get(condition.access, condition.access)})",
        _yardstick(condition),
    ]
    if any("FT AUC" in heading or "AUC leak" in heading for heading in headings):
        models = f"with {count(condition.findings.references, 'reference model')}"
        said.append(f"FT AUC by {attack_title(of.headline)} {models}")
    sentences = ["; ".join(said), *_tuned(of)]
    if "Surest audit" in headings or "Verdict" in headings[:2]:
        sentences.append(_rule(condition))
    return " ".join(f"{sentence.removesuffix('.')}." for sentence in sentences)


def _rule(condition: Condition) -> str:
    """Say in a sentence how a verdict over all audits is reached."""
    of = condition.benchmark
    alike = "equivalent" if of.model_audits else "no difference found"
    return (
        "Verdict: different if any audit finds a difference from retrain (5 %, Holm over audits and"
        f" methods), {alike} if every audit with power shows the gap to be within {of.limits.said},"
        " inconclusive otherwise; a flag in its place says why a method is not ranked"
    )


def data_title(data: DataSpec) -> str:
    """Return what data are called: the data set, or the folder that its images are in."""
    return PurePath(data.path).name if data.path else data.name


def _data(of: Benchmark, fraction: float) -> str:
    """Say which data, and how many samples are trained on, forgotten and tested on."""
    train, test = of.data.train, of.data.test
    if not (train and test):
        return data_title(of.data)
    share = of.forget.kind in ("random", "most-memorised", "least-memorised")
    forgotten = f", {round(fraction * train):,} forgotten" if share else ""
    return f"{data_title(of.data)} ({train:,} training{forgotten}, {test:,} test samples)"


def _yardstick(condition: Condition) -> str:
    """Say how many forget sets there are, and what methods are compared with."""
    of = condition.benchmark
    sets = sorted(set(condition.every_run["forget_seed"]))
    numbers = list(map(int, sets))
    seeds = (
        f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 2 else " and ".join(map(str, numbers))
    )
    if numbers != list(range(numbers[0], numbers[-1] + 1)):
        seeds = ", ".join(map(str, numbers))
    named = "" if of.given else f" (seed{'s' * (len(numbers) > 1)} {seeds})"
    held = of.held_out and of.seeds.retrains > 1
    models = count(of.seeds.retrains - held, "retrained model")
    apart = " and a held-out one" if held else ""
    return f"{count(len(numbers), 'forget set')}{named}, each with {models}{apart}"


def _tuned(of: Benchmark) -> Iterator[str]:
    """Say how settings were chosen, as far as the benchmark's file does."""
    words = of.tuning.words
    if "samples" in words and not of.given:
        trials = str(words.get("trials", "")).partition(",")[0]
        yield f"Settings tuned on {words['samples']}" + (f" (trials: {trials})" if trials else "")
