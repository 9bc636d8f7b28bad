"""What is known of a method that comes from elsewhere: checked, so that it is data and no more."""

from keyword import iskeyword
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from unlearnbench.recipe import Strict


class SettingFacts(Strict):
    """Hold a setting's default, and what `param` keeps of it beside its bounds."""

    default: Any = None
    extra: dict[str, Any] = Field(default_factory=dict)

    @field_validator("default", "extra")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return _require_plain(value)


class MethodFacts(Strict):
    """Hold what plans and reports need of a method, as `outline.facts` says it.

    path: its file; module: of a method that is installed with a package, "" for others.
    """

    title: str = Field(max_length=60)
    paper: str = Field(max_length=200)
    needs_retain: bool
    starts_from_original: bool
    trains: bool
    twin: str = Field(max_length=60)
    other_if: dict[str, Any]
    shared_settings: list[str] | None
    path: str = Field(pattern=r"^[\w.<> -]+$", max_length=4000)
    module: str = Field(default="", pattern=r"^[\w.]*$")
    settings: dict[str, SettingFacts]

    @field_validator("other_if")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        _require_plain(value)
        return value

    @field_validator("settings")
    @classmethod
    def _named(cls, settings: dict[str, SettingFacts]) -> dict[str, SettingFacts]:
        return require_names(settings)

    @model_validator(mode="after")
    def _shares_its_own(self) -> Self:
        if not set(self.shared_settings or ()) <= self.settings.keys():
            raise ValueError("it shares what is no setting of its")
        return self


class KeptFacts(MethodFacts):
    """Hold the same as a results folder keeps it: its file with its folder, and words at length."""

    title: str = Field(max_length=2000)
    paper: str = Field(max_length=2000)
    path: str = Field(max_length=4000)


def require_names(settings: dict[str, SettingFacts]) -> dict[str, SettingFacts]:
    """Return settings that a class can have. Raises ValueError for any other."""
    for name in settings:
        if not name.isidentifier() or iskeyword(name) or name.startswith(("_", "model_")):
            raise ValueError(f"'{name}' is no name of a setting")
    return settings


def _require_plain(value: Any) -> Any:
    """Return a value of numbers, words, lists and tables. Raises ValueError for any other."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        _require_plain(one)
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError("a default that is no finite number")
    if not (value is None or isinstance(value, (bool, int, float, str, list, dict))):
        raise ValueError("a default that is no plain value")
    return value
