"""Which methods a benchmark compares, under which labels, with which settings."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError

from unlearnbench import registry
from unlearnbench.authoring import Method, ModelAudit
from unlearnbench.errors import UserError, unknown
from unlearnbench.outline import audit_settings, extra, settings_class
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.checking import require_toml
from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN
from unlearnbench.planning.tables import AuditRow
from unlearnbench.verdicts.verdict import Expectation

EVERY = "all"
"""What is typed for all rows of a benchmark and all methods there are."""


@dataclass(frozen=True)
class Entrant:
    """Hold a row of a plan: its label, all of its settings, and the method with them."""

    label: str
    row: Row
    method: Method


def entrant(label: str, row: Row, plugins: dict[str, registry.Plugin]) -> Entrant:
    """Make the method of a row. Raises UserError for wrong settings."""
    method = registry.build(settings_class(plugins[row.method]), label, row.settings)
    return Entrant(label, Row(method=row.method, settings=written(label, method)), method)


def written(label: str, method: Method | ModelAudit) -> dict[str, Any]:
    """Return a method's settings as a file has them: without those that are None by default.

    Raises UserError for any other None, for which TOML has nothing, and for whatever else cannot
    be written to a file and read again.
    """
    try:
        settings = method.model_dump(mode="json")
    except PydanticSerializationError as error:
        raise UserError(f"{label} has settings that no file can hold: {error}.") from error
    require_toml(settings, label)
    for key, value in settings.items():
        default = type(method).model_fields[key].default
        if _has_none(value) and not (value is None and default is None):
            raise UserError(
                f"{label}.{key} = {value!r} cannot be kept in a file, which has nothing for None.",
                "Leave it out, or have another value stand for it.",
            )
    return {key: value for key, value in settings.items() if value is not None}


def _has_none(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_none, inside))


def at_first(row: Entrant, plugins: dict[str, registry.Plugin]) -> Entrant:
    """Return what a row amounts to on a first request: its method's twin, where that names one.

    Raises UserError for a twin that is not there or lacks one of the settings.
    """
    if not row.method.twin:
        return row
    registry.get(plugins, "method", row.method.twin)
    return entrant(row.label, Row(method=row.method.twin, settings=row.row.settings), plugins)


EXPECTED = {ORIGINAL: Expectation("told"), HELD_OUT: Expectation("alike")}
"""What must come out of rows that every benchmark has; `controls` has the others."""


def controls() -> dict[str, Expectation]:
    """List the controls there are, in the order of what must come out of them, see there.

    Raises UserError for one that does not say it.
    """
    expected: dict[str, Expectation] = {}
    for name, plugin in registry.find("controls").items():
        expects = getattr(settings_class(plugin), "expects", None)
        if not isinstance(expects, Expectation):
            raise UserError(
                f"{plugin.origin} does not say which outcome is expected.",
                "A control has a line `expects: ClassVar[Expectation] = ...`.",
            )
        expected[name] = expects
    return dict(sorted(expected.items(), key=lambda control: control[1].must))


def titles(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> dict[str, str]:
    """Return the display names of a resolved benchmark's rows, of those that have one.

    A method's own where the label is its name, "AMUN-closest" for amun-closest of the method amun,
    "AMUN-SalUn" for amun-salun where salun is compared as well.
    """
    used = {row.method for row in benchmark.methods.values()} & plugins.keys()
    shown = {name: settings_class(plugins[name]).title for name in used}
    known = sorted((name for name, title in shown.items() if title), key=len, reverse=True)
    word = re.compile(rf"(?<![a-z0-9])({'|'.join(map(re.escape, known))})(?![a-z0-9])")
    return {
        label: word.sub(lambda name: shown[name[0]], label)
        for label, row in benchmark.methods.items()
        if row.method in word.findall(label)
    }


def untuned(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> list[str]:
    """List the rows of a resolved benchmark for which nobody chose settings.

    Each setting that has a search range is its class's default, and the file says neither that the
    row was searched nor where its settings are from. Nothing is untuned without a search range.
    """
    tuning = benchmark.tuning
    covered = {*tuning.searched, *(label for rows in tuning.borrowed.values() for label in rows)}
    labels = []
    for label, row in benchmark.methods.items():
        if label in covered or row.method not in plugins:
            continue
        fields = settings_class(plugins[row.method]).model_fields
        defaults = {key: one.default for key, one in fields.items() if extra(one).get("search")}
        if defaults and defaults.items() <= row.settings.items():
            labels.append(label)
    return labels


def entered(
    benchmark: Benchmark, plugins: Iterable[str], wanted: Iterable[str] | None
) -> tuple[list[str], list[str]]:
    """Return the labels that run: those named in the file or by the user, and other methods.

    wanted: what the user asks for, of which "all" stands for all rows and methods; None: nothing.
    """
    listed, asked = benchmark.methods, set(benchmark.on_request)
    named = [row for row in listed if row not in asked] if wanted is None else list(wanted)
    if EVERY in named:
        named = [*listed, *(label for label in named if label != EVERY)]
        return named, sorted(set(plugins) - set(named))
    if wanted is None and benchmark.others:
        return named, sorted(set(plugins) - set(named) - asked)
    return named, []


def resolve(
    benchmark: Benchmark, plugins: dict[str, registry.Plugin], wanted: Iterable[str] | None
) -> tuple[Benchmark, dict[str, str]]:
    """Write out which methods and audits run, with every setting; `wanted` None: as it says.

    A label in the file is a method's name, or any word with a `method` key beside its settings;
    "all" stands for all of these and all methods there are. The retrain row is always there. Raises
    UserError for what is unknown and for wrong settings; a broken method that nobody named is left
    out and returned with the reason.
    """
    listed = benchmark.methods
    taken = {ORIGINAL, HELD_OUT, EVERY, *registry.find("controls")}
    for label in sorted(taken & {*listed, *plugins}):
        where = f"the method in {plugins[label].origin}" if label in plugins else "a row"
        raise UserError(
            f"'{label}' cannot be the name of {where}: it stands for something else.", "Rename it."
        )
    named, others = entered(benchmark, plugins, wanted)
    rows: dict[str, Row] = {}
    broken: dict[str, str] = {}
    for label in dict.fromkeys([RETRAIN, *named, *others]):
        if label == ORIGINAL:
            continue
        row = listed.get(label) or Row(method=label)
        if row.method not in plugins:
            raise unknown("method", row.method, {*plugins, *listed})
        try:
            rows[label] = entrant(label, row, plugins).row
        except UserError as error:
            if label not in others:
                raise
            broken[label] = str(error)
    if wanted is None and benchmark.against not in (None, *rows, *broken):
        raise unknown("row to compare against", str(benchmark.against), rows)
    audits = {
        name: AuditRow(sets=benchmark.model_audits[name].sets, **written(name, audit))
        for name, audit in model_audits(benchmark).items()
    }
    return benchmark.model_copy(update={"methods": rows, "model_audits": audits}), broken


def entrants(benchmark: Benchmark, plugins: dict[str, registry.Plugin]) -> Iterator[Entrant]:
    """Yield the rows of a resolved benchmark with their methods."""
    for label, row in benchmark.methods.items():
        if row.method not in plugins:
            raise UserError(
                f"This benchmark was run with the method '{row.method}', which is gone.",
                "Name its file with --plugin.",
            )
        yield entrant(label, row, plugins)


def model_audits(
    benchmark: Benchmark, there: dict[str, registry.Plugin] | None = None
) -> dict[str, ModelAudit]:
    """Make the audits of models that a benchmark asks for, by name.

    Raises UserError for one that is unknown, and for wrong settings.
    """
    known = registry.find("model_audits", benchmark.plugins) if there is None else there
    return {
        name: registry.build(
            audit_settings(registry.get(known, "audit of models", name)), name, row.settings
        )
        for name, row in benchmark.model_audits.items()
    }
