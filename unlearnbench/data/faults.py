"""All that is wrong with a data set, told at once."""

from collections.abc import Sequence

from unlearnbench.errors import DataError

MOST = 10
"""Faults that are told; more are counted."""


def refuse(where: str, faults: Sequence[str], hint: str = "") -> None:
    """Raise DataError with every fault, if there are any."""
    if not faults:
        return
    told = [*faults[:MOST], *([f"and {len(faults) - MOST} more"] if len(faults) > MOST else [])]
    opening = where if len(faults) == 1 else f"{where} has {len(faults)} faults"
    raise DataError(f"{opening}: {'; '.join(told)}.", hint)
