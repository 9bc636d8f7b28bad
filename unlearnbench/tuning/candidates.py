"""Which methods are tuned, over which ranges, and whose settings other rows take."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from unlearnbench import registry
from unlearnbench.authoring import Method
from unlearnbench.errors import UserError, unknown
from unlearnbench.outline import settings_class
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


@dataclass(frozen=True)
class Candidate:
    """Hold one method to be tuned.

    defaults: of what is searched; fixed: settings that stay as the benchmark file or `--set` gives
    them; followers: rows that take what is chosen, with the settings that they have of their own.
    """

    name: str
    ranges: dict[str, Range]
    defaults: Settings
    fixed: Settings
    followers: dict[str, Settings] = field(default_factory=dict)


def ranges(method: type[Method]) -> dict[str, Range]:
    """Return the search ranges that a method's class declares, by hyperparameter."""
    declared = {}
    for key, info in method.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("search"):
            low, high = cast("list[float]", extra["search"])
            declared[key] = Range(low, high, whole=info.annotation is int)
    return declared


def unsearched(
    listed: dict[str, Row], plugins: dict[str, registry.Plugin]
) -> dict[str, dict[str, Any]]:
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
        try:
            method = settings_class(plugins[name])
            fixed = rows[name].settings if name in rows else {}
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
    """Ask for settings and tell how they did, round by round.

    The same values in the same order lead to the same settings, so that a search is continued by
    beginning it anew: trials that are stored answer at once. Nothing else remembers it.
    """

    def __init__(self, candidate: Candidate) -> None:
        """Begin with the defaults. Raises UserError where Optuna is not installed.

        A tree-structured Parzen estimator (Bergstra et al. 2011), told what the trials of a round
        are before it knows how they did, so that they keep apart. It takes over after the first
        round; Optuna's own ten random trials would be most of what there is.
        """
        optuna = _optuna()
        self.candidate = candidate
        seed = seed_for(0, "tuning", candidate.name) % 2**32  # as large as NumPy's may be
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=ROUND)
        self._study = optuna.create_study(sampler=sampler)
        self._space = {key: _distribution(optuna, one) for key, one in candidate.ranges.items()}
        self._first = True
        starts = candidate.defaults
        self._study.enqueue_trial({k: r.clip(starts[k]) for k, r in candidate.ranges.items()})
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Settings]:
        """Return the settings of the next trials, rounded to two digits."""
        self._asked = [self._study.ask(self._space) for _ in range(count)]
        settings = [self._rounded(trial.params) for trial in self._asked]
        if self._first:
            settings[0], self._first = dict(self.candidate.defaults), False
        return settings

    def tell(self, values: list[float | None]) -> None:
        """Say how the trials asked for last did, smaller being better; None for one that failed."""
        for trial, value in zip(self._asked, values, strict=True):
            self._study.tell(trial, WORST if value is None else value)

    def _rounded(self, params: dict[str, Any]) -> Settings:
        return {
            key: int(params[key]) if span.whole else span.clip(float(f"{params[key]:.2g}"))
            for key, span in self.candidate.ranges.items()
        }


def _distribution(optuna: Any, span: Range) -> Any:
    if span.whole:
        return optuna.distributions.IntDistribution(int(span.low), int(span.high), log=span.log)
    return optuna.distributions.FloatDistribution(span.low, span.high, log=span.log)


def _optuna() -> Any:
    """Import Optuna, which nothing but tuning needs."""
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "Tuning needs Optuna, which is not installed.", "pip install 'unlearnbench[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
