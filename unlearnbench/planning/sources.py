"""What stands behind a run beside its settings: code, and what settings name."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from unlearnbench import registry
from unlearnbench.errors import UserError
from unlearnbench.files import checksum
from unlearnbench.outline import audit_settings, extra, settings_class
from unlearnbench.recipe import Strict
from unlearnbench.registry import Plugin


@dataclass(frozen=True)
class Code:
    """Hold the code of a method or of an audit of models: a hash of it, and its settings' class."""

    name: str
    source: str
    kind: type[Strict]

    @classmethod
    def of_method(cls, plugin: Plugin) -> Self:
        """Read that of a method."""
        return cls(plugin.name, plugin.source_hash(), settings_class(plugin))

    @classmethod
    def of_audit(cls, plugin: Plugin) -> Self:
        """Read that of an audit of models."""
        return cls(plugin.name, plugin.source_hash(), audit_settings(plugin))

    def under(self, settings: Mapping[str, Any]) -> str:
        """Return 16 hex digits that change when it does, or any method or file in its settings.

        Raises UserError where one of these is not there, or is a method that names methods.
        """
        named = [self.source, *named_by(self.name, self.kind, settings)]
        return hashlib.sha256("".join(named).encode()).hexdigest()[:16] if named[1:] else named[0]


def named_by(label: str, kind: type[Strict], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a hash of each method and of each file that a row's settings name, see `param`.

    Raises UserError where one is not there, or is a method whose settings name methods in turn.
    """
    for key, field in kind.model_fields.items():
        what, value = extra(field).get("names"), settings.get(key)
        names = filter(None, value if isinstance(value, list) else [value]) if what else ()
        for name in names:
            if what == "method":
                yield _hash_of(name, f"{label}.{key}")
            elif Path(name).is_file():
                yield str(checksum(Path(name)))
            else:
                raise UserError(f"{label}.{key} = '{name}': there is no such file.")


def _hash_of(name: str, where: str) -> str:
    """Return the hash of a method that a setting names; where: that setting, for people."""
    plugin = registry.get(registry.find("methods"), "method", name)
    fields = settings_class(plugin).model_fields.values()
    if any(extra(field).get("names") == "method" for field in fields):
        # What it names in turn would be no part of the run's source.
        raise UserError(
            f"{where} = '{name}': it hands models to other methods itself.",
            "Name a method that does not.",
        )
    return plugin.source_hash()
