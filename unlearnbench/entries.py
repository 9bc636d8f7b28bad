"""Metrics and attacks in files of the user's, entered beside those that ship.

One whose file is not here can be known by what was noted of it: tables can name it then, and show
what was computed when it was here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
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

    A metric has its own name, an attack that of its file. What was entered before is set aside.
    Raises UserError where another has the name, or a file does not import; a file that is not there
    is passed over: whoever needs what is in it says so.
    """
    _set_aside()
    attacks = []
    for plugin in [Plugin.of(one) for one in given if not _absent(one)]:
        if plugin.kind == "metrics":
            _enter_metrics(plugin)
        elif plugin.kind == "attacks":
            _enter_attack(plugin)
            attacks.append(plugin.name)
    return attacks


def _set_aside() -> None:
    """Leave of what was entered what tables say of it: those of earlier results are drawn later."""
    from unlearnbench.audits.attacks import ATTACKS
    from unlearnbench.metrics.metric import COSTS, METRICS

    told: dict[str, dict[str, dict[str, Any]]] = {"metrics": {}, "attacks": {}}
    for kind, name in _entered:
        told[f"{kind}s"][name] = _facts(kind, name)
        for known in (ATTACKS,) if kind == "attack" else (METRICS, COSTS):
            known.pop(name, None)
    _entered.clear()
    enter_known(told)


def _absent(given: Own) -> bool:
    return isinstance(given, (str, Path)) and not Path(given).is_file()


def _enter_metrics(plugin: Plugin) -> None:
    from unlearnbench.metrics.metric import COSTS, METRICS, Metric

    for metric in _values(plugin):
        if isinstance(metric, Metric):
            _require_free(plugin, "metric", metric.name, (METRICS | COSTS).get(metric.name))
            _put(_bordered(metric, f"metric '{metric.name}'", "function", _number))
            _entered["metric", metric.name] = plugin.path


def _enter_attack(plugin: Plugin) -> None:
    from unlearnbench.audits.attacks import ATTACKS, HEADLINES, Attack

    own = [value for value in _values(plugin) if isinstance(value, Attack)]
    if len(own) != 1:
        raise UserError(f"{plugin.origin} holds {len(own)} attacks.", "It must hold just one.")
    _require_free(plugin, "attack", plugin.name, ATTACKS.get(plugin.name))
    ATTACKS[plugin.name] = _bordered(own[0], f"attack '{plugin.name}'", "score", _scores)
    _entered["attack", plugin.name] = plugin.path
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


def _put(metric: Metric) -> None:
    from unlearnbench.metrics.metric import COSTS, METRICS

    for others in (METRICS, COSTS):  # in one of which another's may stand in
        others.pop(metric.name, None)
    (COSTS if metric.kind == "cost" else METRICS)[metric.name] = metric


@dataclass(frozen=True)
class AbsentEntry:
    """Name the file of an entry that is not here, and its version when it was."""

    file: str
    version: str


_standing: dict[tuple[str, str], AbsentEntry] = {}
"""By kind and name: entries of which only that is known, and what tables say of them."""


def entry_facts(files: Iterable[Own]) -> dict[str, dict[str, dict[str, Any]]]:
    """Say what reports need to know of the metrics and attacks that files hold, by kind and name.

    The files have been entered. See `planning.known`.
    """
    paths = {Plugin.of(one).path for one in files if not _absent(one)}
    told: dict[str, dict[str, dict[str, Any]]] = {"metrics": {}, "attacks": {}}
    for (kind, name), path in _entered.items():
        if path in paths:
            told[f"{kind}s"][name] = _facts(kind, name)
    return told


def _facts(kind: str, name: str) -> dict[str, Any]:
    """Say what reports need to know of one that has been entered."""
    from unlearnbench.audits.attacks import ATTACKS
    from unlearnbench.metrics.metric import COSTS, METRICS

    entry: Any = ATTACKS[name] if kind == "attack" else (METRICS | COSTS)[name]
    function, words = (
        (entry.score, OF_ATTACK)
        if kind == "attack"
        else (getattr(entry, "function", None), OF_METRIC)
    )
    own = {word: getattr(entry, word) for word in words}
    return own | {"file": _entered[kind, name].name, "version": version(function) or ""}


OF_METRIC = ("title", "short", "unit", "kind", "better", "ideal", "about")
OF_ATTACK = ("title", "about", "references", "of_class", "online")


def enter_known(told: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Enter what `facts` has said, where the entry itself is not here, and none of that name is."""
    from unlearnbench.audits.attacks import ATTACKS, HEADLINES, Attack
    from unlearnbench.metrics.metric import COSTS, METRICS, Metric

    for name, own in told["metrics"].items():
        if _stands("metric", name, METRICS | COSTS, own):
            _put(Metric(name, **{word: own[word] for word in OF_METRIC}))
    for name, own in told["attacks"].items():
        if _stands("attack", name, ATTACKS, own):
            words = {word: own[word] for word in OF_ATTACK}
            ATTACKS[name] = Attack(**words, score=_not_here, signal=NOT_HERE)
            if not own["of_class"] and name not in HEADLINES:
                HEADLINES.append(name)


NOT_HERE = "(not here)"
"""The signal of an attack whose file is not here, which no run has: it is possible for none."""


def _not_here(*_: Any) -> Any:
    raise UserError("This attack's file is not here.", "Give it: plugins=FILE (--plugin FILE).")


def _stands(kind: str, name: str, present: Mapping[str, object], own: Mapping[str, Any]) -> bool:
    """Note that something is to stand for an entry; False where it, or another, is here."""
    if name in present and (kind, name) not in _standing:
        return False
    _standing[kind, name] = AbsentEntry(own["file"], own["version"])
    return True


def is_absent(kind: str, name: str) -> AbsentEntry | None:
    """Return the file and version of a metric or an attack that is not here; None if it is."""
    return _standing.get((kind, name))


def require_entries(metrics: Iterable[str], attacks: Iterable[str]) -> None:
    """Raise UserError, naming its file, where a run is to compute what is not here."""
    for kind, names in (("metric", metrics), ("attack", attacks)):
        for name in names:
            if absent := is_absent(kind, name):
                raise UserError(
                    f"The {kind} '{name}' is in {absent.file}, which is not among the plugins.",
                    f"Give it: plugins={absent.file!r} (--plugin {absent.file}).",
                )


def is_shipped(kind: str, name: str) -> bool:
    """Say whether a metric or an attack is one of ours."""
    return (kind, name) not in _standing and (kind, name) not in _entered


def _require_free(plugin: Plugin, kind: str, name: str, present: object) -> None:
    """Raise UserError if another file, or we, have an entry of this name."""
    other = _entered.get((kind, name))
    if _standing.pop((kind, name), None) is None and present is not None and other != plugin.path:
        where = other or "one that ships with unlearnbench"
        raise UserError(
            f"Two {kind}s are called '{name}': {plugin.path} and {where}.", "Rename one of them."
        )


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
