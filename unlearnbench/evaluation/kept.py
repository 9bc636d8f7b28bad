"""metrics.json: what was computed of a folder's runs, used again where nothing behind it changed.

Whoever wrote it, it is checked before it is used: what cannot be it is computed again.
"""

from contextlib import suppress
from typing import Any

from unlearnbench.audits.attacks import ATTACKS, ULIRA
from unlearnbench.evaluation.findings import FRAMES
from unlearnbench.evaluation.frames import RUN, require_conditions
from unlearnbench.files import UnsoundError, parsed, read_text
from unlearnbench.metrics.metric import GROUP
from unlearnbench.storage import sealed
from unlearnbench.storage.store import Store

WORDS = {
    *("label", "access", "run", "attack", "audit", "verdict", "flags", "strongest"),
    *("nearer", "farther", "metric"),
}
"""Columns of words; all others have numbers."""
FOUND = ("sets", "gap", "gap_low", "gap_high", "margin", "p", "p_all", "audit_power", "verdict")
COLUMNS = {
    "runs": (*RUN, "no_op"),
    "attacks": ("label", *GROUP, "attack", "n", "auc", "low", "high", "power", "flags", *FOUND),
    "pairs": (*GROUP, "attack", "nearer", "farther", "difference", "low", "high", "p"),
    "verdicts": ("label", *GROUP, "audit", "strongest", *FOUND),
    "intervals": ("label", *GROUP, "metric", "low", "high"),
}
"""What each table has where it has any row."""


def kept(store: Store, made_of: str) -> dict[str, Any] | None:
    """Return what is kept, if it was computed of just this; None if not, or if it cannot be."""
    content: Any = None
    with suppress(OSError, ValueError):  # absent, torn, edited or another thing
        text = read_text(store.folder / sealed.METRICS, store.folder, sealed.MOST)
        content = parsed(sealed.without_checksum(text))
    if not isinstance(content, dict) or content.get("version") != made_of:
        return None
    try:
        _require(content)
    except (UnsoundError, KeyError, TypeError, AttributeError):
        return None
    found: dict[str, Any] = content
    return found


def _require(content: dict[str, Any]) -> None:
    """Raise an error unless all tables are such that reports can be made of them."""
    rows = {name: _require_table(name, content[name]) for name in FRAMES}
    curves, broken = content["curves"], content["broken"]
    sound = isinstance(curves, list) and len(curves) == rows["runs"]
    sound &= isinstance(broken, list) and all(isinstance(line, str) for line in broken)
    sound &= content["offline_a"] is None or isinstance(content["offline_a"], float)
    for own in curves:
        sound &= all(isinstance(points, list) and _numbers(points) for points in own.values())
    attacks = {*ATTACKS, ULIRA}
    sound &= all(attacks.issuperset(content[name].get("attack", ())) for name in FRAMES)
    if not sound:
        raise UnsoundError("is not what is kept there")


def _require_table(name: str, table: dict[str, list[Any]]) -> int:
    """Return how many rows a table has. Raises UnsoundError unless it has what such tables have."""
    lengths = {len(values) for values in table.values()}
    count = max(lengths, default=0)
    for column, values in table.items():
        words = {str, type(None)}.issuperset(map(type, values))
        if not isinstance(values, list) or not (words if column in WORDS else _numbers(values)):
            raise UnsoundError(f"has other than it should as {name}.{column}")
    if len(lengths) > 1 or (count and not set(COLUMNS[name]) <= table.keys()):
        raise UnsoundError(f"has not all columns of {name}")
    require_conditions(table)
    return count


def _numbers(values: list[Any]) -> bool:
    return {int, float, bool, type(None)}.issuperset(map(type, values))
