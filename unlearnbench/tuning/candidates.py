"""Which methods are tuned, over which ranges, and whose settings other rows take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from unlearnbench import registry
from unlearnbench.errors import UserError, unknown
from unlearnbench.method import Method
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import ORIGINAL, RETRAIN

TWINS = {"amun-adaptive": "amun"}
"""Methods that do the same as another one as long as there is one request: tuned once."""
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
    found = {}
    for key, info in method.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("search"):
            low, high = cast("list[float]", extra["search"])
            found[key] = Range(low, high, whole=info.annotation is int)
    return found


def unsearched(
    listed: dict[str, Settings], plugins: dict[str, registry.Plugin]
) -> dict[str, Settings]:
    """Return the rows of a benchmark file without the settings that are to be searched."""
    kept = {}
    for label, entry in listed.items():
        plugin = plugins.get(str(entry.get("method", label)))
        searched = ranges(registry.settings_class(plugin)) if plugin else {}
        kept[label] = {key: value for key, value in entry.items() if key not in searched}
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
    sources = {label: _source(label, benchmark) for label in every}
    named = list(every) if wanted is None else list(wanted)
    for label in named:
        if sources.get(label) not in plugins:
            raise unknown("method", sources.get(label, label), every)
    made: list[Candidate] = []
    left: dict[str, str] = {}
    for name in dict.fromkeys(sources[label] for label in named):
        if name in (ORIGINAL, RETRAIN):
            continue
        try:
            method = registry.settings_class(plugins[name])
            fixed = {key: value for key, value in rows.get(name, {}).items() if key != "method"}
            registry.build(method, name, fixed)
        except UserError as error:
            if wanted is not None or name in rows:
                raise
            left[name] = str(error)
            continue
        searched = {key: found for key, found in ranges(method).items() if key not in fixed}
        if method.needs_retain and benchmark.access == ["forget-only"]:
            left[name] = "it needs the retain set, which is not given"
        elif not searched:
            left[name] = "there is nothing to search"
        else:
            defaults = {key: method.model_fields[key].default for key in searched}
            followers = {
                label: rows.get(label, {})
                for label, source in sources.items()
                if source == name and label != name
            }
            made.append(Candidate(name, searched, defaults, fixed, followers))
    return made, left


def _source(label: str, benchmark: Benchmark) -> str:
    """Return the method whose settings a row takes."""
    name = str(benchmark.methods.get(label, {}).get("method", label))
    return TWINS.get(name, name) if benchmark.forget.requests == 1 else name
