"""Where hyperparameters are searched, on which scale, and what of it a row searches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from unlearnbench import registry
from unlearnbench.authoring import Method
from unlearnbench.errors import UserError, unknown
from unlearnbench.outline import extra, settings_class
from unlearnbench.planning.benchmark import Row

Settings = dict[str, Any]
SearchEnds = Mapping[str, tuple[float, float]]
"""The lowest and the highest value to try, by setting."""
LIMITS = ("ge", "le")
"""Names of the bounds that a hyperparameter may itself take."""
NEAR = 0.1
"""Share of a search range, on its own scale, within which a value is near an end."""


@dataclass(frozen=True)
class Range:
    """Hold where a hyperparameter is searched: both ends belong to it.

    whole: whether it takes whole numbers only; bounds: what the hyperparameter itself may not be
    below or above, where it has such bounds.
    """

    low: float
    high: float
    whole: bool
    bounds: tuple[float, ...] = ()

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def log(self) -> bool:
        """Whether it spans a factor of ten or more, and is searched on a log scale."""
        return self.low > 0 and self.high / self.low >= 10

    def clip(self, value: float) -> float:
        """Return the value of the range that is nearest."""
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """Return where in the range a value lies on the range's own scale: 0 to 1, low to high.

        A value outside it has the place of the nearest end.
        """
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return (scale(self.clip(value)) - low) / (high - low)

    def near_end(self, value: float) -> float | None:
        """Return the end that a value is near; None where it is near none that could be moved."""
        place = self.place(value)
        end = self.low if place <= NEAR else self.high if place >= 1 - NEAR else None
        return None if end in self.bounds else end


def ranges(method: type[Method]) -> dict[str, Range]:
    """Return the search ranges that a method's class declares, by hyperparameter."""
    found = {}
    for key, declared in method.model_fields.items():
        if search := extra(declared).get("search"):
            ends = [getattr(bound, name, None) for bound in declared.metadata for name in LIMITS]
            bounds = tuple(end for end in ends if end is not None)
            found[key] = Range(search[0], search[1], declared.annotation is int, bounds)
    return found


def searched(method: type[Method], own: Settings, given: SearchEnds) -> dict[str, Range]:
    """Return the ranges that a row searches.

    own: the row's settings in the benchmark file; given: what that gives in place of the method's
    ranges. A default outside its method's range switches something off (AMUN's `keep` of 1: no
    mask); such a setting is searched only by rows that switch it on.
    """
    return {
        key: replace(span, low=given[key][0], high=given[key][1]) if key in given else span
        for key, span in ranges(method).items()
        if (default := method.model_fields[key].default) in span or own.get(key, default) != default
    }


def begun_with(method: type[Method], own: Settings, spans: Mapping[str, Range]) -> Settings:
    """Return what a search begins with: defaults, or else the row's own, or else an end."""
    usual = {key: method.model_fields[key].default for key in spans}
    return {
        key: usual[key] if usual[key] in span else own.get(key, span.clip(usual[key]))
        for key, span in spans.items()
    }


def require_ranges(method: type[Method], row: str, given: SearchEnds) -> None:
    """Raise UserError unless a row's method can be searched where the benchmark file says."""
    for key, (low, high) in given.items():
        if key not in (known := ranges(method)):
            raise unknown("setting with a search range", key, known)
        if not low < high:
            raise UserError(
                f"[tuning.ranges.{row}] has {key} = [{low:g}, {high:g}].",
                "Give the lower end first.",
            )
        for end in (low, high):
            registry.build(method, row, {key: int(end) if end.is_integer() else end})


def unsearched(listed: dict[str, Row], plugins: dict[str, registry.Plugin]) -> dict[str, Settings]:
    """Return the rows of a benchmark file without the settings that are to be searched."""
    kept = {}
    for label, row in listed.items():
        plugin = plugins.get(row.method)
        spans = ranges(settings_class(plugin)) if plugin else {}
        kept[label] = {key: value for key, value in row.table().items() if key not in spans}
    return kept
