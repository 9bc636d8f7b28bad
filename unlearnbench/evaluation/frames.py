"""Frames of runs as plain values, and the columns that say which run a row is of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from unlearnbench.files import UnsoundError
from unlearnbench.metrics.metric import GROUP
from unlearnbench.planning.plan import Access, Cell

RUN = ["label", *GROUP, "original_seed", "forget_seed", "run_seed", "run"]
"""Columns that say which run a row is of."""


def run_columns(cell: Cell) -> dict[str, Any]:
    """Return which run a cell's row is of, by the columns RUN."""
    seeds = cell.seeds if len(cell.seeds) == 3 else (None, *cell.seeds)
    keys = (cell.label, cell.access, cell.fraction, cell.request, *seeds, cell.run)
    return dict(zip(RUN, keys, strict=True))


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as dictionaries, None for what is missing."""
    rows = _plain(frame).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def listed(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a frame's columns as plain values, None for what is missing."""
    return {str(name): values for name, values in _plain(table).to_dict("list").items()}


def frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """Make a frame of columns that `listed` has written."""
    made = pd.DataFrame(
        {
            name: pd.Series(values, dtype=float if all(v is None for v in values) else None)
            for name, values in columns.items()
        }
    )
    if "original_seed" in made:
        made["original_seed"] = made["original_seed"].astype("Int64")  # a retrain has none
    return made


def require_conditions(columns: Mapping[str, Sequence[Any]]) -> None:
    """Raise UnsoundError unless all rows of a table, which anyone may have made, are of conditions.

    Files of a report are named after its conditions.
    """
    if not any(columns.values()):
        return
    for access, fraction, request in zip(*(columns[name] for name in GROUP), strict=True):
        known = type(access) is str and access in get_args(Access)
        part = type(fraction) in (int, float) and 0 < fraction <= 1
        if not (known and part and type(request) is int and request > 0):
            raise UnsoundError("has rows of a condition that cannot be")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), None)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield values by name, those of a table inside as table.name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
