"""Kinds of state that a process has one of, Python's and NumPy's: how each is read and put back."""

import _signal  # type: ignore[import-not-found]
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from unlearnbench.guarding import LOADED

PATIENCE = 1.0
"""Seconds that a thread or a process of a plugin's may take to end after it has returned."""


def _differs(before: Any, now: Any) -> bool:
    return bool(before != now)


@dataclass(frozen=True)
class State:
    """Name one kind of state for people, and say how it is read and put back.

    put_back: None where nothing does it. of_import: whether importing a library may change it and
    mean no harm, so that nobody is told; it is put back all the same.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object] | None = None
    of_import: bool = False
    differs: Callable[[Any, Any], bool] = _differs


SIGNALS = [int(number) for number in signal.valid_signals()]


def _handlers() -> list[Any]:
    return [_signal.getsignal(number) for number in SIGNALS]  # `signal` looks names up for each


def _handle(before: list[Any]) -> None:
    for number, was, now in zip(SIGNALS, before, _handlers(), strict=True):
        if _handles_otherwise([was], [now]):
            signal.signal(number, was)


def _handles_otherwise(before: list[Any], now: list[Any]) -> bool:
    """Compare handlers; one that torch has set once for all its loaders is to stay."""
    return any(
        was != new and not str(getattr(new, "__module__", "")).startswith("torch.")
        for was, new in zip(before, now, strict=True)
    )


TIMERS = [getattr(signal, name) for name in dir(signal) if name.startswith("ITIMER_")]


def _alarms() -> list[bool]:
    return [signal.getitimer(timer)[0] > 0 for timer in TIMERS]


def _silence(before: list[bool]) -> None:
    for timer, was in zip(TIMERS, before, strict=True):
        if not was:
            signal.setitimer(timer, 0)


@cache
def _kinds_of_limits() -> list[int]:
    import resource  # which Windows has not

    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return sorted({getattr(resource, name) for name in names})


def _limits() -> list[tuple[int, int]]:
    import resource

    return [resource.getrlimit(one) for one in _kinds_of_limits()]


def _limit(before: list[tuple[int, int]]) -> None:
    import resource

    for one, limits in zip(_kinds_of_limits(), before, strict=True):
        if resource.getrlimit(one) != limits:
            resource.setrlimit(one, limits)


def _environ(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({k: v for k, v in before.items() if os.environ.get(k) != v})


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    getattr(warnings, "_filters_mutated", lambda: None)()  # which forgets what it has looked up


def numpy() -> Any:
    """Return NumPy, which is imported if any of its states is read."""
    return sys.modules["numpy"]


def _numpy_random() -> tuple[Any, ...]:
    name, keys, *rest = numpy().random.get_state()
    return name, keys.tobytes(), *rest


def _numpy_draws(before: tuple[Any, ...]) -> None:
    name, keys, *rest = before
    numpy().random.set_state((name, numpy().frombuffer(keys, dtype="uint32"), *rest))


def _threads() -> set[threading.Thread]:
    """Return the threads that hold up the end of a process, or are in a plugin's code.

    Those of libraries, such as that of a progress bar, do neither; those of a Dask worker, of which
    a run is but one thread, may do the first.
    """
    frames, here = sys._current_frames(), threading.current_thread()
    alone = here is threading.main_thread()
    return {
        thread
        for thread in threading.enumerate()
        if (alone and not thread.daemon) or _of_plugin(frames.get(thread.ident or 0))
    } - {here}


def _of_plugin(frame: Any) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(LOADED):
            return True
        frame = frame.f_back
    return False


def _join(before: set[threading.Thread]) -> None:
    for thread in _threads() - before:
        thread.join(PATIENCE)


def _end(before: set[Any]) -> None:
    for process in set(multiprocessing.active_children()) - before:
        process.terminate()
        process.join(PATIENCE)


def _more(before: set[Any], now: set[Any]) -> bool:
    return not now <= before


def _start_method() -> str:
    chosen = multiprocessing.get_start_method(allow_none=True)
    return chosen or multiprocessing.get_all_start_methods()[0]  # the usual one, not yet chosen


def _start(before: str) -> None:
    multiprocessing.set_start_method(before, force=True)


def _prioritise(before: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, before)


def _affinity(before: set[int]) -> None:
    os.sched_setaffinity(0, before)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, root.manager.disable, tuple(root.handlers)


def _log(before: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.level, root.manager.disable, root.handlers[:] = before[0], before[1], before[2]
    root.manager._clear_cache()  # type: ignore[attr-defined]  # of which logger is enabled


def _streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr


def _stream(before: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


def _path(before: list[str]) -> None:
    sys.path[:] = before


def _collect(before: bool) -> None:
    (gc.enable if before else gc.disable)()


def _set_locale(before: str) -> None:
    locale.setlocale(locale.LC_ALL, before)


PYTHON = [
    State("random's global random state", random.getstate, random.setstate),
    State("the working folder", os.getcwd, os.chdir),
    State("the environment", lambda: dict(os.environ), _environ, of_import=True),
    State("the warnings filters", lambda: list(warnings.filters), _filters, of_import=True),
    State("logging", _logging, _log, of_import=True),
    State("the folders of modules", lambda: list(sys.path), _path, of_import=True),
    State("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, of_import=True),
    State("garbage collection", gc.isenabled, _collect),
    State("standard input and output", _streams, _stream),
    State("tracing", sys.gettrace, sys.settrace),
    State("profiling", sys.getprofile, sys.setprofile),
    State("the locale", lambda: locale.setlocale(locale.LC_ALL), _set_locale, of_import=True),
    State("signal handlers", _handlers, _handle, differs=_handles_otherwise),
    State("threads that go on", _threads, _join, differs=_more),
    State(
        "processes that go on", lambda: set(multiprocessing.active_children()), _end, differs=_more
    ),
    State("the way that processes are started", _start_method, _start),
]
NUMPY = [
    State("numpy's global random state", _numpy_random, _numpy_draws),
    State("numpy's errors", lambda: numpy().geterr(), lambda before: numpy().seterr(**before)),
]
UNIX = [
    State("alarms", _alarms, _silence),
    State("resource limits", _limits, _limit),
    State("the umask", _umask, os.umask),
    State("the priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), _prioritise),
]
if hasattr(os, "sched_getaffinity"):
    UNIX.append(State("the cores", lambda: os.sched_getaffinity(0), _affinity))
