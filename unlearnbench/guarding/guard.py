"""Put back what foreign code changed of its process, and say what that was."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from unlearnbench.guarding import names
from unlearnbench.guarding.border import border
from unlearnbench.guarding.states import NUMPY, PYTHON, UNIX, State
from unlearnbench.guarding.torch_states import TORCH

UNREAD = "cannot be read"
_open: list[names.Names] = []
"""What names stand for, to each block that is being guarded."""
_witnesses: list[list["Left"]] = []


@dataclass
class Left:
    """Say what foreign code left otherwise than it was.

    changed: all of it, in words; innocent: what of that importing a library may change and mean no
    harm; stuck: what of it could not be put back, so that this process is fit for no other run.
    """

    changed: list[str] = field(default_factory=list)
    innocent: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


@contextmanager
def guarded() -> Iterator[Left]:
    """Keep the state of this process through a block; what was changed is known after it."""
    left, before = Left(), [(state, _read(state)) for state in _states()]
    own = os.getpid()
    _open.append(names.read_names(*_open[-1:]))
    try:
        yield left
    finally:
        if os.getpid() != own:  # of a child that it forked there must not be a second run
            os._exit(1)
        # first, as a function that is not the library's own could keep the rest from being put back
        _restore_names(_open.pop(), left)
        for state, value in before:
            _restore(state, value, left)
        for seen in _witnesses:
            seen.append(left)


@contextmanager
def witnessed() -> Iterator[list[Left]]:
    """Collect what foreign code leaves changed in a block, one entry a call of it."""
    seen: list[Left] = []
    _witnesses.append(seen)
    try:
        yield seen
    finally:
        _witnesses.pop()


@contextmanager
def foreign(
    failure: Callable[[str], Exception], *, passes: type[Exception] | tuple[()] = ()
) -> Iterator[Left]:
    """Let a block of foreign code neither end nor change anything of ours; see `border`."""
    with border(failure, passes=passes), guarded() as left:
        yield left


def _states() -> list[State]:
    libraries = {"numpy": NUMPY, "torch": TORCH}
    loaded = [states for name, states in libraries.items() if name in sys.modules]
    return [*PYTHON, *UNIX, *chain.from_iterable(loaded)]


def _read(state: State) -> Any:
    try:
        return state.read()
    except Exception:  # of a folder that is gone, say, or of flags that contradict each other
        return UNREAD


def _restore_names(known: names.Names, left: Left) -> None:
    if patched := names.changed(known):
        left.changed.append(f"what stands for {names.named_in_short(patched)}")
        names.put_back(known)
        if names.changed(known):
            left.stuck.append(left.changed[-1])


def _restore(state: State, before: Any, left: Left) -> None:
    """Put a state back if it differs; whether that was done, another look at it tells."""
    if not state.differs(before, _read(state)):
        return
    left.changed.append(state.name)
    if state.of_import:
        left.innocent.append(state.name)
    try:
        if state.put_back is not None:
            state.put_back(before)
    except Exception:  # whatever it was, what counts is what is found now
        left.stuck.append(state.name)
        return
    if state.differs(before, _read(state)):
        left.stuck.append(state.name)
