"""Two benchmarks of one name: whether they are the same, and what differs between them."""

from collections.abc import Iterator, Mapping
from typing import Any

from unlearnbench.planning.benchmark import Benchmark

WORDS = {"title", "tuning", "published", "plugins"}
"""What is said about a benchmark; no run depends on it."""
ROWS = {"methods", "others", "on_request"}
"""What says which rows a benchmark has."""
SHOWN = {"against", "attacks", "headline", "limits", "model_audits"}
"""What is made of runs; those stay as they are."""
COUNTS = ("retrains", "count")
Differing = list[str]


def differing(one: Benchmark, other: Benchmark, apart: set[str]) -> Differing:
    """Name the settings that differ, each with both of its values; apart: tables left out."""
    first, second = (
        dict(_leaves(each.model_dump(mode="json", exclude=apart))) for each in (one, other)
    )
    return [
        f"{key} is {first.get(key)!r}, not {second.get(key)!r}"
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]


def joined(one: Benchmark, other: Benchmark) -> tuple[Benchmark, Differing]:
    """Return a benchmark that has the rows, seeds and references of both, and what speaks against.

    Seeds can be joined where the one has all that the other has. Of rows that both have, and of
    what is shown, those of the first count.
    """
    against = differing(one, other, WORDS | ROWS | SHOWN | {"seeds", "references"})
    tables: dict[str, Any] = {"methods": other.methods | one.methods}
    for name in ("seeds", "references"):
        first, second = getattr(one, name), getattr(other, name)
        values = first.model_dump()
        for key, value in second.model_dump().items():
            wider = _wider(key, values[key], value)
            if wider is None:
                against.append(f"{name}.{key} is {values[key]!r}, not {value!r}")
            else:
                values[key] = wider
        tables[name] = type(first)(**values) if not against else first
    return one.model_copy(update=tables), against


def _wider(key: str, one: Any, other: Any) -> Any:
    """Return the one of two values that has all of the other; None where neither does."""
    if one == other:
        return one
    if key in COUNTS:
        return max(one, other)
    if isinstance(one, list):
        longer, shorter = sorted((one, other), key=len, reverse=True)
        return longer if set(shorter) <= set(longer) else None
    return None


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
