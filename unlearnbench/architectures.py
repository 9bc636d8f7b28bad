"""Models by name: of a file, or of torchvision or timm as `torchvision:vit_b_16`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from unlearnbench import registry, syntax
from unlearnbench.environment import installed
from unlearnbench.errors import DataError, UserError, unknown
from unlearnbench.registry import Own, Plugin

LIBRARIES = {"torchvision": "pip install torchvision", "timm": "pip install 'unlearnbench[timm]'"}
"""What installs each."""


@dataclass(frozen=True)
class OfLibrary(Plugin):
    """Stand for a model of a library, which is what it is by the library's version."""

    def source(self) -> str:
        """Return what it is built by: our few lines, and the library's."""
        library = self.path.name
        return f"from unlearnbench.toolkit import library  # {library} {installed(library)}\n"

    def sources(self) -> list[str]:
        """Return that alone."""
        return [self.source()]

    def load(self) -> ModuleType:
        """Return a module with a function `build`, as a model's file is."""
        from unlearnbench.toolkit import library

        module, (_, _, name) = ModuleType(self.name), self.name.partition(":")
        module.build = partial(library.of_library, self.path.name, name)  # type: ignore[attr-defined]
        return module


def architecture(name: str, more: Iterable[Own] = ()) -> Plugin:
    """Return a model by its name; more: the user's plugins.

    Raises UserError for an unknown one, and for one of a library that is not installed.
    """
    library, colon, model = name.partition(":")
    if not colon:
        return registry.get(registry.find("models", more), "model", name)
    if library not in LIBRARIES:
        raise unknown("library of models", library, LIBRARIES)
    names = names_of(library)
    if not names:
        raise UserError(
            f"The model {name} needs {library}, which is not installed.", f"{LIBRARIES[library]}."
        )
    if model not in names:
        raise unknown(f"model of {library}", model, names)
    return OfLibrary(name, Path(library))


@cache
def names_of(library: str) -> frozenset[str]:
    """Return the names of a library's classifiers, none if it is not installed.

    Read off its files: importing it would import torch, which planning does without.
    """
    spec = find_spec(library)
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder, "models").glob("*.py")]
    registered = re.compile(r"^@register_model\b.*?^def (\w+)\(", re.MULTILINE | re.DOTALL)
    return frozenset(
        name for file in files for name in registered.findall(file.read_text(encoding="utf-8"))
    )


def require_side(model: str, side: int | None, more: Iterable[Own] = ()) -> None:
    """Raise DataError if images of this side, None if it is not known, are too small for a model.

    A model that cannot be built for all sides, or not be trained on a single image of some, says so
    in its file: `SMALLEST = 32`. more: the user's plugins.
    """
    smallest = syntax.constant(architecture(model, more).source(), "SMALLEST") or 1
    if side is not None and side < smallest:
        raise DataError(
            f"Images of {side}x{side} are too small for the model {model}, which takes"
            f" {smallest}x{smallest} and larger.",
            "Name another model.",
        )
