"""Methods whose files are not here: what a plan needs of them, as data and never as code.

Results that come from elsewhere are expanded into the same cells, and so judged, without running
anything of their authors'.
"""

from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field, field_validator

from unlearnbench import registry
from unlearnbench.authoring import Method
from unlearnbench.errors import UserError
from unlearnbench.outline import extra, settings_class
from unlearnbench.recipe import Strict
from unlearnbench.registry import Plugin

SAID = (
    "title",
    "paper",
    "needs_retain",
    "starts_from_original",
    "trains",
    "twin",
    "other_if",
    "shared_settings",
)
"""What a method's class says of it beside its settings."""


class Setting(Strict):
    """Hold the default of a setting; search, names: as `param` has them."""

    default: Any = None
    search: tuple[float, float] | None = None
    names: str | None = None

    @field_validator("default")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if not _is_plain(value):
            raise ValueError(
                "a default is a number, a text, true, false, or lists and tables of these"
            )
        return value


class Description(Strict):
    """Hold what a plan needs of a method: what its class says, its settings, a hash of its code."""

    title: str = Field(default="", max_length=60)
    paper: str = Field(default="", max_length=200)
    needs_retain: bool = False
    starts_from_original: bool = True
    trains: bool = True
    twin: str = ""
    other_if: dict[str, Any] = Field(default_factory=dict)
    shared_settings: tuple[str, ...] | None = None
    settings: dict[str, Setting] = Field(default_factory=dict)
    source: str = Field(pattern=r"^[0-9a-f]{16}$")

    @field_validator("settings")
    @classmethod
    def _named(cls, settings: dict[str, Setting]) -> dict[str, Setting]:
        for name in settings:
            if not name.isidentifier() or iskeyword(name) or name.startswith("_"):
                raise ValueError(f"'{name}' is no name of a setting")
        return settings

    @field_validator("other_if")
    @classmethod
    def _plain(cls, other_if: dict[str, Any]) -> dict[str, Any]:
        if not _is_plain(other_if):
            raise ValueError("not plain values")
        return other_if


def describe_method(plugin: Plugin) -> Description:
    """Describe a method. Raises UserError where a default of it cannot be written down."""
    kind = settings_class(plugin)
    defaults = registry.build(kind, plugin.name, {}).model_dump(mode="json")
    settings = {
        name: Setting(
            default=defaults[name],
            search=extra(field).get("search"),
            names=extra(field).get("names"),
        )
        for name, field in kind.model_fields.items()
    }
    said = {name: getattr(kind, name) for name in SAID}
    return Description(**said, settings=settings, source=plugin.source_hash())


@dataclass(frozen=True)
class Absent(Plugin):
    """Stand for a method by its description: it can be planned and judged, and not be run."""

    digest: str = ""

    @classmethod
    def of_description(cls, name: str, description: Description) -> "Absent":
        """Make it. Its class is declared in words of ours, with values that were checked."""
        lines = ["from typing import Any", "from unlearnbench import Method, param", ""]
        lines += ["class Absent(Method):"]
        lines += [f"    {key} = {getattr(description, key)!r}" for key in SAID]
        own = {k: v for k, v in description.settings.items() if k not in Method.model_fields}
        changed = {
            key: setting
            for key, setting in description.settings.items()
            if key in Method.model_fields and setting.default is not None
        }
        for key, setting in (own | changed).items():
            more = f"search={setting.search!r}, names={setting.names!r}"
            lines.append(f"    {key}: Any = param({setting.default!r}, help='', {more})")
        lines += ["    def unlearn(self, model, task): ..."]
        return cls(name, Path(f"<{name}>"), text="\n".join(lines), digest=description.source)

    def source(self) -> str:
        """Return the words of ours."""
        return self.text

    def sources(self) -> list[str]:
        """Return the same: nothing is beside it."""
        return [self.text]

    def source_hash(self) -> str:
        """Return the hash of the code that is described."""
        return self.digest

    def load(self) -> NoReturn:
        """Raise UserError: there is no code."""
        raise UserError(f"The code of the method '{self.name}' is not here.")


def _is_plain(value: Any) -> bool:
    """Say whether a value can be written down: no code, no infinity."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return abs(value) < float("inf")
    return value is None or isinstance(value, (bool, int, str))
