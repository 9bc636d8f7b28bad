"""What can go wrong, as one tree.

UnlearnBenchError
├── UserError       something asked for cannot be done: one line and a hint, exit code 2
│   ├── DataError   the data are not there, or not what the benchmark needs: no run can be made
│   ├── EntryError  a metric or an attack of the user's failed: it is left out of that run
│   └── NoRoomError nothing more can be written: no run can be kept
└── MethodError     a method broke its contract: this run fails, the others go on
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")
LONGEST, BEGINNING = 80, 3
"""Letters of a name that are compared with what is known; letters that a beginning has at least."""
LISTED = 80
"""Names that an error lists: more than there are of anything, but for the models of a library."""


def plain(text: str) -> str:
    """Return what a terminal is given of anyone's text: one line, of which it obeys nothing."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


class UnlearnBenchError(Exception):
    """Stand at the root of every error this package raises on purpose."""


class UserError(UnlearnBenchError):
    """Say what is wrong with what the user asked for, and what to do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        """Join problem and hint into one line; either may be shown alone."""
        super().__init__(plain(" ".join(f"{problem} {hint}".split())))

    def _render_traceback_(self) -> list[str]:
        """Have a notebook, which asks for this, show the line that the command line prints."""
        return [f"{type(self).__name__}: {self}"]


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


def unknown(
    kind: str, name: str, known: Iterable[str], common: Iterable[str] = (), of_all: str = ""
) -> UserError:
    """Build the error for a name that is not among `known`, with the nearest one as a hint.

    common: those of them that are listed last, as they are known of all that `of_all` names.
    """
    names, last = sorted(known), sorted(common)
    problem = f"Unknown {kind}{':' if ' ' in kind else ''} '{name}'."
    if close := _nearest(name, names):
        return UserError(problem, f"Did you mean '{close}'?")
    own = [one for one in names if one not in last]
    if len(own) > LISTED:
        own[LISTED:] = [f"and {len(own) - LISTED:,} more"]
    more = f"; and, as {of_all}: {', '.join(last)}" if last else ""
    return UserError(problem, f"Known: {', '.join(own) or 'none'}{more}.")


def one_of(known: Mapping[str, T], kind: str, name: str) -> T:
    """Look a name up; raises UserError with the nearest one where it is not among `known`."""
    if name not in known:
        raise unknown(kind, name, known)
    return known[name]


def in_any_case(name: str, known: Iterable[str]) -> str:
    """Return the one known name that differs from `name` in case at most, or else `name`."""
    alike = [one for one in known if one.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else name


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, None if none is near.

    Near is one slip of the keyboard in every three letters, one at least, or the name's beginning.
    """
    typed = name[:LONGEST].lower()
    slips = {one: _slips(typed, one.lower()) for one in known}
    near = [one for one, number in slips.items() if number <= max(1, len(typed) // 3)]
    if not near and len(typed) >= BEGINNING:
        near = [one for one in slips if one.lower().startswith(typed)]
    return min(near, key=slips.__getitem__, default=None)


def _slips(typed: str, meant: str) -> int:
    """Count the letters left out, added, changed or swapped with the next one."""
    before, above = [0] * (len(meant) + 1), list(range(len(meant) + 1))
    for i, letter in enumerate(typed):
        row = [i + 1]
        for j, wanted in enumerate(meant):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (letter != wanted)))
            if i and j and typed[i - 1 : i + 1] == meant[j] + meant[j - 1]:
                row[-1] = min(row[-1], before[j - 1] + 1)
        before, above = above, row
    return above[-1]


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
