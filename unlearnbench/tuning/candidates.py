"""Which rows are tuned, whose settings others take, and the search for what to try next."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from statistics import fmean, stdev
from typing import Any

from unlearnbench import registry
from unlearnbench.errors import UserError, unknown
from unlearnbench.outline import settings_class
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.planning.rows import entered
from unlearnbench.seeds import seed_for
from unlearnbench.tuning.ranges import (
    Range,
    SearchEnds,
    Settings,
    begun_with,
    require_ranges,
    searched,
)


def standard_error(values: Collection[float]) -> float | None:
    """Return the standard error of a mean; None of fewer than two values."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


@dataclass
class Trial:
    """Hold one trial of a row, and once it has been made how it did.

    by_set: what it is judged by, a mean over runs for each forget seed, empty if any of its runs
    failed: runs on one forget set share samples, and mostly the original, so they count as one;
    metrics: means over its runs; seconds: by run, of those that finished.
    """

    row: str
    number: int
    settings: Settings
    by_set: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label of its row in the plan of its round."""
        return f"{self.row}.{self.number:02d}"

    @property
    def value(self) -> float | None:
        """What it is judged by, a mean over forget sets; None if any of its runs failed."""
        return fmean(self.by_set.values()) if self.by_set else None

    @property
    def error(self) -> float | None:
        """The standard error of its value over forget sets; None where there are not two."""
        return standard_error(self.by_set.values())

    def behind(self, best: "Trial") -> tuple[float, float | None]:
        """Return how much larger its value is than that of the best, and the standard error of it.

        Trials share forget sets and originals, so the difference is taken in pairs: what all trials
        find hard on one forget set tells nothing of which is better.
        """
        differences = [value - best.by_set[seed] for seed, value in self.by_set.items()]
        return fmean(differences), standard_error(differences)


@dataclass(frozen=True)
class Candidate:
    """Hold one row to be tuned: a method under its own name, or a row that searches more than it.

    defaults: what the search begins with, and what is safest, the row's own where the class's are
    outside the ranges that the file gives; fixed: settings that stay as the benchmark file or
    `--set` gives them; followers: rows that take what is chosen, with the settings that they have
    of their own; trials: what has been tried, the defaults first.
    """

    name: str
    method: str
    ranges: dict[str, Range]
    defaults: Settings
    fixed: Settings
    followers: dict[str, Settings] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    @property
    def judged(self) -> list[Trial]:
        """The trials of which no run failed."""
        return [trial for trial in self.trials if trial.by_set]

    @property
    def best(self) -> Trial | None:
        """The trial with the smallest value, the first of equals; None if all failed."""
        return min(self.judged, key=attrgetter("value"), default=None)

    @property
    def chosen(self) -> Trial | None:
        """The safest trial within one standard error of the best; None if all failed.

        The one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees): what
        can hardly be distinguished from the best is as good. The standard error is that of the
        difference, and at most that of the best: what scatters widely is not let in for it. Safest
        is what is closest to the defaults; of two that are equally close, what has the smaller
        value.
        """
        best = self.best
        if best is None:
            return None
        behind = [(trial, *trial.behind(best)) for trial in self.judged]
        near = [
            trial
            for trial, points, error in behind
            if points <= min(error or 0.0, best.error or 0.0)
        ]
        return min(near, key=lambda trial: (self.distance(trial), trial.value))

    def distance(self, trial: Trial) -> float:
        """Return how far a trial is from the defaults, in search ranges, added up over them.

        The ranges' own scale counts: from 0.01 to 0.1 it is half of the range 0.001 to 0.1.
        """
        shares = [
            abs(span.place(trial.settings[key]) - span.place(self.defaults[key]))
            for key, span in self.ranges.items()
        ]
        return round(sum(shares), 9)  # a tenth and ten times the default are equally far

    @property
    def seconds(self) -> float:
        """Seconds of its trials; a run that two of them share counts once."""
        runs = {run: time for trial in self.trials for run, time in trial.seconds.items()}
        return sum(runs.values())


def candidates(
    benchmark: Benchmark,
    listed: dict[str, Row],
    plugins: dict[str, registry.Plugin],
    wanted: Iterable[str] | None,
) -> tuple[list[Candidate], dict[str, str]]:
    """List the rows to tune, and those that are not with the reason.

    benchmark: its rows hold the settings that stay; listed: the rows as the file has them; wanted:
    what the user asks for; None: what the benchmark runs. Each row is tuned for itself, but where
    two would be searched alike one search serves both. Raises UserError for unknown methods and
    wrong settings.
    """
    rows = dict(benchmark.methods)
    rows |= {name: Row(method=name) for name in plugins if name not in rows}
    given = benchmark.tuning.ranges
    if strange := sorted(given.keys() - rows.keys()):
        raise unknown("row of [tuning.ranges]", strange[0], rows)
    sources = {
        label: _source(label, rows, listed, plugins, given, first=benchmark.forget.requests == 1)
        for label in rows
    }
    asked, others = entered(benchmark, plugins, wanted)
    named = [*asked, *others]
    shown = {*named, *chain(*entered(benchmark, plugins, None))}
    for label in named:
        if label not in rows or rows[label].method not in plugins:
            raise unknown("method", rows[label].method if label in rows else label, rows)
    tunable: list[Candidate] = []
    left: dict[str, str] = {}
    for name in dict.fromkeys(sources[label] for label in named):
        if name in (ORIGINAL, RETRAIN):
            continue
        fixed = rows[name].settings
        try:
            method = settings_class(plugins[rows[name].method])
            registry.build(method, name, fixed)
            ends = given.get(name, given.get(rows[name].method, {}))
            require_ranges(method, name, ends)
        except UserError as error:
            if name not in others:
                raise
            left[name] = str(error)
            continue
        own = listed[name].settings if name in listed else {}
        spans = {key: span for key, span in searched(method, own, ends).items() if key not in fixed}
        if method.needs_retain and benchmark.access == ["forget-only"]:
            left[name] = "it needs the retain set, which is not given"
        elif not spans:
            left[name] = "there is nothing to search"
        else:
            defaults = begun_with(method, own, spans)
            followers = {
                label: rows[label].under(label)
                for label, source in sources.items()
                if source == name and label != name and label in shown
            }
            one = Candidate(name, rows[name].method, spans, defaults, fixed, followers)
            tunable.append(one)
    return tunable, left


def _source(
    label: str,
    rows: dict[str, Row],
    listed: dict[str, Row],
    plugins: dict[str, registry.Plugin],
    given: Mapping[str, SearchEnds],
    *,
    first: bool,
) -> str:
    """Return the row whose settings a row takes: its method's or its method's twin's, or its own.

    It takes those of another only if both are searched alike, with the same settings that stay.
    given: the file's ranges by row, which also rows without ranges of their own take from there.
    first: whether there is only a first request, for which a twin is the same method.
    """
    row = rows[label]
    try:
        method = settings_class(registry.get(plugins, "method", row.method))
        source = (method.twin if first else "") or row.method
        other = settings_class(registry.get(plugins, "method", source))
    except UserError:  # told when the method itself is looked at
        return row.method
    spans, others = (
        searched(each, listed[name].settings if name in listed else {}, ends)
        for name, each, ends in (
            (label, method, given.get(label, given.get(source, {}))),
            (source, other, given.get(source, {})),
        )
    )
    return source if rows[source].settings == row.settings and spans == others else label


ROUND = 4
"""Trials of a method that run together, before their values decide on the next ones."""
WORST = 100.0
"""What a trial that failed counts as: more points than any gap has."""


class Sampler:
    """Ask for trials of a method and tell how they did, round by round.

    The same values in the same order lead to the same settings, so that a search is continued by
    starting over: trials that are stored answer at once. Nothing else remembers it.
    """

    def __init__(self, candidate: Candidate) -> None:
        """Begin with the defaults. Raises UserError where Optuna is not installed.

        A tree-structured Parzen estimator (Bergstra et al. 2011), told what the trials of a round
        are before it knows how they did, so that they keep apart. It takes over after the first
        round; Optuna's own ten random trials would be most of what there is.
        """
        try:
            import optuna
        except ImportError as error:
            hint = "pip install 'unlearnbench[tune]'"
            raise UserError("Tuning needs Optuna, which is not installed.", hint) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.candidate = candidate
        seed = seed_for(0, "tuning", candidate.name) % 2**32  # as large as NumPy's may be
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=ROUND)
        self.study = optuna.create_study(sampler=sampler)
        self._asked: list[optuna.Trial] = []
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            key: optuna.distributions.IntDistribution(int(span.low), int(span.high), log=span.log)
            if span.whole
            else optuna.distributions.FloatDistribution(span.low, span.high, log=span.log)
            for key, span in candidate.ranges.items()
        }
        starts = candidate.defaults
        self.study.enqueue_trial({k: r.clip(starts[k]) for k, r in candidate.ranges.items()})

    def ask(self, count: int) -> None:
        """Add the next trials to the candidate's, with settings rounded to two digits."""
        asked = [self.study.ask(self._space) for _ in range(count)]
        name = self.candidate.name
        self.candidate.trials.extend(Trial(name, one.number, self._settings(one)) for one in asked)
        self._asked += asked

    def tell(self, start: int) -> None:
        """Say how the trials from number `start` on did, by their values, smaller being better.

        The standard error of a value is an attribute of its trial in the study.
        """
        for trial, asked in zip(self.candidate.trials[start:], self._asked[start:], strict=True):
            asked.set_user_attr("standard_error", trial.error)
            self.study.tell(asked, WORST if trial.value is None else trial.value)

    def _settings(self, asked: Any) -> Settings:
        if asked.number == 0:
            return dict(self.candidate.defaults)  # also where they are outside their ranges
        found = asked.params
        return {
            key: int(found[key]) if span.whole else span.clip(float(f"{found[key]:.2g}"))
            for key, span in self.candidate.ranges.items()
        }
