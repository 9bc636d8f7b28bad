"""Metrics and attacks in files of the user's, entered beside those that ship."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unlearnbench.errors import EntryError, UserError
from unlearnbench.guarding import LOADED
from unlearnbench.guarding.border import border
from unlearnbench.registry import Own, Plugin

if TYPE_CHECKING:
    from unlearnbench.audits.attacks import Attack, View
    from unlearnbench.audits.roc import Floats
    from unlearnbench.metrics.metric import Metric

E = TypeVar("E", bound="Metric | Attack")


def enter(given: Iterable[Own]) -> list[str]:
    """Enter the metrics and the attacks that plugins hold; return the names of the attacks.

    A metric has its own name, an attack that of its file. They stay for as long as this process
    does. Raises UserError where another has the name, or a file does not import; a file that is not
    there is passed over: whoever needs what is in it says so.
    """
    attacks = []
    for plugin in [Plugin.of(one) for one in given if not _absent(one)]:
        if plugin.kind == "metrics":
            _enter_metrics(plugin)
        elif plugin.kind == "attacks":
            _enter_attack(plugin)
            attacks.append(plugin.name)
    return attacks


def _absent(given: Own) -> bool:
    return isinstance(given, (str, Path)) and not Path(given).is_file()


def _enter_metrics(plugin: Plugin) -> None:
    from unlearnbench.metrics.metric import COSTS, METRICS, Metric

    for metric in _values(plugin):
        if isinstance(metric, Metric):
            others = COSTS if metric.kind == "cost" else METRICS
            _require_free(plugin, "metric", metric.name, (METRICS | COSTS).get(metric.name))
            others[metric.name] = _bordered(metric, f"metric '{metric.name}'", "function", _number)


def _enter_attack(plugin: Plugin) -> None:
    from unlearnbench.audits.attacks import ATTACKS, HEADLINES, Attack

    own = [value for value in _values(plugin) if isinstance(value, Attack)]
    if len(own) != 1:
        raise UserError(f"{plugin.origin} holds {len(own)} attacks.", "It must hold just one.")
    _require_free(plugin, "attack", plugin.name, ATTACKS.get(plugin.name))
    ATTACKS[plugin.name] = _bordered(own[0], f"attack '{plugin.name}'", "score", _scores)
    if not own[0].of_class and plugin.name not in HEADLINES:
        HEADLINES.append(plugin.name)


def _bordered(entry: E, what: str, field: str, read: Callable[..., object]) -> E:
    """Return an entry whose function raises nothing but EntryError, naming what it is.

    read: makes of what the function returns, and of what it was given, what it is to return.
    """
    function = getattr(entry, field)

    @wraps(function)
    def within(*given: Any) -> object:
        with border(lambda line: EntryError(f"The {what} failed: {line}.")):
            return read(function(*given), *given)

    changed: Any = {field: within}
    return replace(entry, **changed)


def _number(made: Any, *_: object) -> float | None:
    return None if made is None else float(made)


def _scores(made: Any, view: View, _: object) -> Floats:
    import numpy as np

    scores: Floats = np.asarray(made, dtype=np.float64)
    if scores.shape != (wanted := view.signals["label"].shape):
        raise ValueError(f"scores of shape {scores.shape}, not {wanted}")
    return scores


_entered: dict[tuple[str, str], Path] = {}
"""By kind and name: the file of a user's entry."""


def _require_free(plugin: Plugin, kind: str, name: str, present: object) -> None:
    """Raise UserError if another file, or we, have an entry of this name."""
    other = _entered.get((kind, name))
    if present is not None and other != plugin.path:
        where = other or "one that ships with unlearnbench"
        raise UserError(
            f"Two {kind}s are called '{name}': {plugin.path} and {where}.", "Rename one of them."
        )
    _entered[kind, name] = plugin.path


def _values(plugin: Plugin) -> list[object]:
    """Return what a plugin's lines define, and what is in lists of its."""
    values: list[object] = []
    for value in vars(plugin.load()).values():
        values += value if isinstance(value, (list, tuple)) else [value]
    return values


def version(function: object) -> str | None:
    """Return what changes with the sources of an entry's function; None for one of ours.

    Of a plugin's file it is the name of its module, which has a hash of all its sources.
    """
    import inspect

    function = getattr(function, "func", function)  # of a partial
    module = str(getattr(function, "__module__", ""))
    if module.startswith("unlearnbench.") or module.startswith(LOADED):
        return module if module.startswith(LOADED) else None
    with suppress(OSError, TypeError):  # typed at a prompt, or written in C
        return inspect.getsource(function)  # type: ignore[arg-type]
    return repr(function)
