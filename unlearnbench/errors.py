"""What can go wrong, as one tree.

UnlearnBenchError
├── UserError       something asked for cannot be done: one line and a hint, exit code 2
│   ├── DataError   the data are not there, or not what the benchmark needs: no run can be made
│   ├── EntryError  a metric or an attack of the user's failed: what it was of is left out
│   └── NoRoomError nothing more can be written: no run can be kept
└── MethodError     a method broke its contract: this run fails, the others go on
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches


class UnlearnBenchError(Exception):
    """Stand at the root of every error this package raises on purpose."""


class UserError(UnlearnBenchError):
    """Say what is wrong with what the user asked for, and what to do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        """Join problem and hint into one line; either may be shown alone."""
        super().__init__(" ".join(f"{problem} {hint}".split()))


class DataError(UserError):
    """Say what is wrong with the data that all runs are made of."""


class EntryError(UserError):
    """Say which metric or attack failed, and why."""


class NoRoomError(UserError):
    """Say where nothing more can be written, and why."""


class MethodError(UnlearnBenchError):
    """Report that a method returned something that cannot be evaluated."""


def of_value(message: str) -> str:
    """Return what a check of ours said, without what pydantic puts before it."""
    return message.removeprefix("Value error, ")


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not among `known`, with the nearest one as a hint."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names) or 'none'}."
    return UserError(f"Unknown {kind} '{name}'.", hint)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
