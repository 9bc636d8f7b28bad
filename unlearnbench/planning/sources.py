"""What stands behind a run beside its settings: code, and what settings name."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import unlearnbench
from unlearnbench import architectures, registry, syntax
from unlearnbench.errors import UserError
from unlearnbench.files import UnsoundError, checksum, opened
from unlearnbench.outline import audit_settings, extra, settings_class
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Strict
from unlearnbench.registry import Own, Plugin

PACKAGE = Path(unlearnbench.__file__).parent
FIRST = PACKAGE / "execution" / "execute.py"
"""What makes every model."""
SAID = ("data source", "model source", "toolkit")
"""What records name of it whatever was made."""
NEAR = 2**28
"""Bytes of a file that is read though only a results folder says that a setting names it."""
DECISIVE = ("authoring", "data", "execution", "recipe", "seeds", "toolkit")
"""Rooms and files of this package that may decide a model; the rest plans, judges and shows."""


def behind(
    spec: Spec, plugin: Plugin | None, more: Iterable[Own] = ()
) -> dict[str, Callable[[], str]]:
    """Return what a run is made by beside its settings: by its name in records, what hashes it.

    plugin: of its method or audit; more: the user's plugins. A hash is 16 hex digits; UserError
    where something of it is not there.
    """
    own = tuple(more)

    def data() -> Plugin:
        return registry.get(registry.find("datasets", own), "dataset", spec.data.name)

    def model() -> Plugin:
        return architectures.architecture(spec.model, own)

    hashes = {
        "data source": lambda: data().source_hash(),
        "model source": lambda: model().source_hash(),
    }
    if plugin is None:
        return hashes | {"toolkit": lambda: toolkit([model()])}
    return hashes | {
        "source": lambda: Code.of(spec, plugin).under(spec.settings),
        "toolkit": lambda: toolkit([model(), *Code.of(spec, plugin).plugins(spec.settings)]),
    }


class Now:
    """Say of stored runs what they would be made by now, looking once for all that are alike."""

    def __init__(self, methods: Mapping[str, Plugin], more: Iterable[Own] = ()) -> None:
        """Look for methods in `methods`, which need not have every one; more: other plugins."""
        self._own = tuple(more)
        self._methods, self._audits = methods, registry.find("model_audits", self._own)
        self._hashes: dict[tuple[str, ...], dict[str, str]] = {}

    def changed(self, spec: Spec, record: Mapping[str, Any]) -> str | None:
        """Return what of a run's record would be otherwise, by its name there; None for nothing.

        What it does not say, as one of an older version, or what is not here, is not compared.
        """
        now = self._known(spec)
        return next((name for name in now if record.get(name, now[name]) != now[name]), None)

    def code(self, spec: Spec) -> str | None:
        """Return the hash of the code of a run's method or audit; None where it is not here."""
        return self._known(spec).get("source")

    def _known(self, spec: Spec) -> dict[str, str]:
        of = (spec.data.name, spec.model, spec.method, spec.audit, spec.settings)
        key = tuple(map(str, of))
        if key not in self._hashes:
            self._hashes[key] = dict(self._here(spec))
        return self._hashes[key]

    def _here(self, spec: Spec) -> Iterator[tuple[str, str]]:
        known, name = (self._audits, spec.audit) if spec.audit else (self._methods, spec.method)
        plugin = known.get(str(name))
        for part, hashed in behind(spec, plugin, self._own).items() if plugin or not name else ():
            with suppress(UserError):
                yield part, hashed()


@dataclass(frozen=True)
class Code:
    """Hold the code of a method or of an audit of models: its plugin, and its settings' class."""

    plugin: Plugin
    kind: type[Strict]

    @classmethod
    def of(cls, spec: Spec, plugin: Plugin) -> Self:
        """Read that of a run's method or audit."""
        return cls(plugin, audit_settings(plugin) if spec.audit else settings_class(plugin))

    def under(self, settings: Mapping[str, Any]) -> str:
        """Return 16 hex digits that change when it does, or any method or file in its settings.

        Raises UserError where one of these is not there, or is a method that names methods. Of a
        method of which a results folder alone says which settings name files, only those are read
        that lie below the working folder and are not too large.
        """
        named = self._named(settings)
        hashes = [one.source_hash() if isinstance(one, Plugin) else one for one in named]
        own = self.plugin.source_hash()
        return hashlib.sha256("".join([own, *hashes]).encode()).hexdigest()[:16] if hashes else own

    def plugins(self, settings: Mapping[str, Any]) -> list[Plugin]:
        """Return its plugin, and those of methods in its settings; raises as `under` does."""
        return [self.plugin, *(one for one in self._named(settings) if isinstance(one, Plugin))]

    def _named(self, settings: Mapping[str, Any]) -> Iterator[Plugin | str]:
        near = bool(self.plugin.facts)
        return named_by(self.plugin.name, self.kind, settings, near=near)


def named_by(
    label: str, kind: type[Strict], settings: Mapping[str, Any], *, near: bool = False
) -> Iterator[Plugin | str]:
    """Yield each method that a row's settings name, and the checksum of each file, see `param`.

    near: read no file but below the working folder, and none that is too large. Raises UserError
    where one is not there, or is a method whose settings name methods in turn.
    """
    for key, field in kind.model_fields.items():
        what, value = extra(field).get("names"), settings.get(key)
        names = filter(None, value if isinstance(value, list) else [value]) if what else ()
        for name in names:
            if not isinstance(name, str):
                raise UserError(f"{label}.{key} = {name!r} names nothing.")
            if what == "method":
                yield _method(name, f"{label}.{key}")
                continue
            if near:
                _require_near(label, name)
            if Path(name).is_file():
                yield str(checksum(Path(name)))
            else:
                raise UserError(f"{label}.{key} = '{name}': there is no such file.")


def _method(name: str, where: str) -> Plugin:
    """Return the method that a setting names; where: that setting, for people."""
    plugin = registry.get(registry.find("methods"), "method", name)
    fields = settings_class(plugin).model_fields.values()
    if any(extra(field).get("names") == "method" for field in fields):
        # What it names in turn would be no part of the run's source.
        raise UserError(
            f"{where} = '{name}': it hands models to other methods itself.",
            "Name a method that does not.",
        )
    return plugin


def _require_near(plugin: str, name: str) -> None:
    """Raise UserError unless a file of this name lies below the working folder, behind no link."""
    try:
        opened(Path(name), Path(), NEAR).close()
    except (OSError, UnsoundError) as error:
        raise UserError(f"The file of '{plugin}' is not here.", "Give it: --plugin.") from error


def toolkit(plugins: Iterable[Plugin]) -> str:
    """Return 16 hex digits that change with the parts of this package that decide a model.

    Those are what runs it, what these plugins import, and what either imports in turn: what no part
    of a run uses may change. Comments and docstrings may too.
    """
    texts: dict[Path, str] = {}
    imported = [syntax.of_package(text, PACKAGE) for one in plugins for text in one.sources()]
    waiting = {FIRST}.union(*imported)
    while waiting:
        file = waiting.pop()
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in DECISIVE and file not in texts:
            texts[file] = file.read_text(encoding="utf-8")
            waiting |= syntax.of_package(texts[file], PACKAGE)
    bare = sorted(map(syntax.stripped, texts.values()))
    return hashlib.sha256("\0".join(bare).encode()).hexdigest()[:16]
