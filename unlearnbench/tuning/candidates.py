"""Which methods are tuned, over which ranges, and whose settings other rows take."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from unlearnbench import registry
from unlearnbench.authoring import Method
from unlearnbench.errors import UserError, unknown
from unlearnbench.outline import extra, settings_class
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.seeds import seed_for

Settings = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Hold where a hyperparameter is searched: both ends belong to it."""

    low: float
    high: float
    whole: bool
    """Whether it takes whole numbers only."""

    @property
    def log(self) -> bool:
        """Whether it spans a factor of ten or more, and is searched on a log scale."""
        return self.low > 0 and self.high / self.low >= 10

    def clip(self, value: float) -> float:
        """Return the value of the range that is nearest."""
        return min(max(value, self.low), self.high)


@dataclass
class Trial:
    """Hold one trial of a method, and once it has been made how it did.

    value: what it is judged by, None if any of its runs failed; metrics: means over its runs;
    seconds: by run, of those that finished.
    """

    method: str
    number: int
    settings: Settings
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label of its row in the plan of its round."""
        return f"{self.method}.{self.number:02d}"


@dataclass(frozen=True)
class Candidate:
    """Hold one method to be tuned.

    defaults: of what is searched; fixed: settings that stay as the benchmark file or `--set` gives
    them; followers: rows that take what is chosen, with the settings that they have of their own;
    trials: what has been tried, the defaults first.
    """

    name: str
    ranges: dict[str, Range]
    defaults: Settings
    fixed: Settings
    followers: dict[str, Settings] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    @property
    def chosen(self) -> Trial | None:
        """The trial with the smallest value, the first of equals; None if all failed."""
        judged = [trial for trial in self.trials if trial.value is not None]
        return min(judged, key=attrgetter("value"), default=None)

    @property
    def seconds(self) -> float:
        """Seconds of its trials; a run that two of them share counts once."""
        runs = {run: time for trial in self.trials for run, time in trial.seconds.items()}
        return sum(runs.values())


def ranges(method: type[Method]) -> dict[str, Range]:
    """Return the search ranges that a method's class declares, by hyperparameter."""
    return {
        key: Range(search[0], search[1], declared.annotation is int)
        for key, declared in method.model_fields.items()
        if (search := extra(declared).get("search"))
    }


def unsearched(listed: dict[str, Row], plugins: dict[str, registry.Plugin]) -> dict[str, Settings]:
    """Return the rows of a benchmark file without the settings that are to be searched."""
    kept = {}
    for label, row in listed.items():
        plugin = plugins.get(row.method)
        searched = ranges(settings_class(plugin)) if plugin else {}
        kept[label] = {key: value for key, value in row.table().items() if key not in searched}
    return kept


def candidates(
    benchmark: Benchmark, plugins: dict[str, registry.Plugin], wanted: Iterable[str] | None
) -> tuple[list[Candidate], dict[str, str]]:
    """List the methods to tune, and those that are not with the reason; `wanted` None means all.

    benchmark: its rows hold the settings that stay. A row whose `method` key names another method
    takes that method's settings, and so does a twin: asking for it is asking for that method.
    Raises UserError for unknown methods and wrong settings.
    """
    rows = benchmark.methods
    every = dict.fromkeys([*rows, *plugins])
    sources = {label: _source(label, benchmark, plugins) for label in every}
    named = list(every) if wanted is None else list(wanted)
    for label in named:
        if sources.get(label) not in plugins:
            raise unknown("method", sources.get(label, label), every)
    tunable: list[Candidate] = []
    left: dict[str, str] = {}
    for name in dict.fromkeys(sources[label] for label in named):
        if name in (ORIGINAL, RETRAIN):
            continue
        fixed = rows[name].settings if name in rows else {}
        try:
            method = settings_class(plugins[name])
            registry.build(method, name, fixed)
        except UserError as error:
            if wanted is not None or name in rows:
                raise
            left[name] = str(error)
            continue
        searched = {key: span for key, span in ranges(method).items() if key not in fixed}
        if method.needs_retain and benchmark.access == ["forget-only"]:
            left[name] = "it needs the retain set, which is not given"
        elif not searched:
            left[name] = "there is nothing to search"
        else:
            defaults = {key: method.model_fields[key].default for key in searched}
            followers = {
                label: rows[label].table() if label in rows else {}
                for label, source in sources.items()
                if source == name and label != name
            }
            tunable.append(Candidate(name, searched, defaults, fixed, followers))
    return tunable, left


def _source(label: str, benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> str:
    """Return the method whose settings a row takes."""
    name = benchmark.methods[label].method if label in benchmark.methods else label
    if benchmark.forget.requests > 1 or name not in plugins:
        return name
    try:
        return settings_class(plugins[name]).twin or name
    except UserError:  # told when the method itself is looked at
        return name


ROUND = 4
"""Trials of a method that run together, before their values decide on the next ones."""
WORST = 100.0
"""What a trial that failed counts as: more points than any gap has."""


class Sampler:
    """Ask for trials of a method and tell how they did, round by round.

    The same values in the same order lead to the same settings, so that a search is continued by
    beginning it anew: trials that are stored answer at once. Nothing else remembers it.
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
        self._study = optuna.create_study(sampler=sampler)
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            key: optuna.distributions.IntDistribution(int(span.low), int(span.high), log=span.log)
            if span.whole
            else optuna.distributions.FloatDistribution(span.low, span.high, log=span.log)
            for key, span in candidate.ranges.items()
        }
        starts = candidate.defaults
        self._study.enqueue_trial({k: r.clip(starts[k]) for k, r in candidate.ranges.items()})

    def ask(self, count: int) -> None:
        """Add the next trials to the candidate's, with settings rounded to two digits."""
        asked = [self._study.ask(self._space) for _ in range(count)]
        name = self.candidate.name
        self.candidate.trials.extend(Trial(name, one.number, self._settings(one)) for one in asked)

    def tell(self, start: int) -> None:
        """Say how the trials from number `start` on did, by their values, smaller being better."""
        for trial in self.candidate.trials[start:]:
            self._study.tell(trial.number, WORST if trial.value is None else trial.value)

    def _settings(self, asked: Any) -> Settings:
        if asked.number == 0:
            return dict(self.candidate.defaults)  # also where they are outside their ranges
        found = asked.params
        return {
            key: int(found[key]) if span.whole else span.clip(float(f"{found[key]:.2g}"))
            for key, span in self.candidate.ranges.items()
        }
