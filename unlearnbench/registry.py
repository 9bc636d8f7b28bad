"""Find methods, data sets, models, audits: shipped files, entry points, files named by the user.

A user's file may hold metrics or an attack as well: these are entries, see `enter`.

Listing them must be fast: NumPy and pydantic are imported when a plugin is.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import unlearnbench
from unlearnbench import by_value, syntax
from unlearnbench.errors import UserError, of_value, one_of, unknown
from unlearnbench.files import read_code, same_file
from unlearnbench.guarding import LOADED
from unlearnbench.guarding.border import border, told
from unlearnbench.syntax import KINDS

if TYPE_CHECKING:
    from unlearnbench.authoring import Method, ModelAudit
    from unlearnbench.data.prepare import DataSpec, Source
    from unlearnbench.recipe import Strict

Kind = Literal["methods", "controls", "datasets", "models", "model_audits"]
NO_PLUGIN = (
    "It must hold one class with base Method, Source or ModelAudit, a function"
    " build(classes, channels, size), metrics such as OfModel(...), or one Attack(...)."
)
TAKEN = {
    "original": "the row of the model before any request",
    "all": "what is typed for all methods",
}
"""Names that no method can have, and what they stand for; nor can it have a control's."""
S = TypeVar("S", bound="Strict")


def shipped(folder: str) -> Path:
    """Return a shipped folder: inside the package in a wheel, beside it in a checkout."""
    package = Path(unlearnbench.__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


@dataclass(frozen=True)
class Plugin:
    """Name one method, data set, model or audit and where its code is, without importing it."""

    name: str
    path: Path
    entry: EntryPoint | None = None
    pickled: bytes = b""
    """A class of a script or a notebook by value: so it can be made again in another process."""
    text: str = ""
    """Source of such a class and of what it refers to, see `by_value`."""
    facts: str = ""
    """What plans and reports need to know of it, as JSON: enough where its file is not here, and
    all that may be used of one that a results folder names."""

    @classmethod
    def of(cls, given: Own) -> Plugin:
        """Name a file or a class of the user's, a class by the file that it was loaded from if any.

        Raises UserError for a file that is not there, or a class that cannot be pickled.
        """
        if isinstance(given, Plugin):
            return given
        if isinstance(given, (str, Path)):
            path = Path(given)
            if not path.is_file():
                hint = "Name a Python file, by its path."
                raise UserError(f"There is no file {path}.", hint)
            return cls(path.stem, path.resolve())
        if given.__module__.startswith(LOADED):
            file = Path(str(sys.modules[given.__module__].__file__))
            return cls(file.stem, file)
        try:
            pickled = by_value.pickled(given)
        except Exception as error:  # whatever it holds may refuse in its own way
            raise UserError(
                f"The class {given.__name__} cannot be sent to worker processes: {told(error)}.",
                "Put it into a file of its own, and give the file's path in its place.",
            ) from error
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", given.__name__)
        path = Path(f"<class {given.__name__}>")
        return cls(words.lower(), path, pickled=pickled, text=by_value.source_of(given))

    @property
    def kind(self) -> str:
        """What it is: "methods", "models", "datasets", "model_audits", "metrics" or "attacks".

        Told from its text, or where that does not say it, as under bases of its own, by importing
        it. Raises UserError for a file that is none of these.
        """
        if self.pickled:
            return "methods"
        with suppress(SyntaxError):  # which importing it tells better
            if told := syntax.kind_of(self.source()):
                return told
        module = self.load()
        for value in vars(module).values():
            if not inspect.isclass(value) or value.__module__ == module.__name__:
                lineage = (value if inspect.isclass(value) else type(value)).__mro__
                if known := [KINDS[base.__name__] for base in lineage if base.__name__ in KINDS]:
                    return known[0]
        if callable(getattr(module, "build", None)):
            return "models"
        raise UserError(f"{self.path} is no plugin.", NO_PLUGIN)

    @property
    def origin(self) -> str:
        """Say where it comes from, for people."""
        return f"entry point {self.entry.value}" if self.entry else str(self.path)

    def source(self) -> str:
        """Return its source text."""
        if self.pickled:
            return self.text
        return read_code(self.path)

    @property
    def home(self) -> tuple[Path, str | None]:
        """Where imports by name may find its own code, and the package that this is in, if any."""
        own = self.path.resolve()
        if self.entry is None:
            return own.parent, None
        package, *below = self.entry.module.split(".")
        up = len(below) + (own.name == "__init__.py")
        return own.parents[min(up, len(own.parents) - 1)], package

    def sources(self) -> list[str]:
        """Return its source text, then those of helpers beside it and of methods it builds on.

        The helpers of one from an installed package are the modules of that which it imports.
        """
        own = self.path.resolve()
        texts, waiting = {own: self.source()}, [(own, self.home)]
        while waiting:
            file, home = waiting.pop()
            more = [(found, home) for found in syntax.beside(texts[file], file.parent, *home)]
            if asked := syntax.methods_asked(texts[file]):
                known = find("methods")
                built_on = [known[name] for name in asked & known.keys()]
                more += [(plugin.path.resolve(), plugin.home) for plugin in built_on]
            for found, home in more:
                if found not in texts:
                    texts[found] = read_code(found)
                    waiting.append((found, home))
        return [texts.pop(own), *sorted(texts.values())]

    def source_hash(self) -> str:
        """Return 16 hex digits that change when any of its sources does."""
        return hashlib.sha256("\0".join(self.sources()).encode()).hexdigest()[:16]

    def summary(self) -> str:
        """Return the first line of its class's docstring, or its file's; nothing is imported."""
        try:
            tree = ast.parse(self.source())
        except SyntaxError as error:
            return f"(does not import: {error.msg}, line {error.lineno})"
        except UserError as error:
            return f"({error})"
        nodes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"]
        texts = [*map(ast.get_docstring, nodes), ast.get_docstring(tree)]
        return next(filter(None, texts), "").partition("\n")[0]

    def load(self) -> ModuleType:
        """Import it. Raises UserError, naming the file, whatever goes wrong in there.

        What it imports from beside it, as `from .helper import f`, is its own, and as new as it is.
        """
        module_name = f"{LOADED}{self.name.replace('-', '_')}_{self.source_hash()}"
        if module_name in sys.modules:
            return sys.modules[module_name]
        folder = self.path.parent
        spec = importlib.util.spec_from_file_location(
            module_name, self.path, submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise UserError(f"{self.path} is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        from unlearnbench.guarding.guard import foreign  # slower to import

        try:
            with foreign(UserError):
                spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[module_name]
            if not isinstance(error, UserError):  # but Ctrl-C
                raise
            cause, hint = error.__cause__, ""
            if isinstance(cause, ModuleNotFoundError) and (folder / f"{cause.name}.py").is_file():
                hint = f"; {cause.name}.py is beside it: write from . import {cause.name}"
            raise UserError(f"{self.origin} does not import: {error}{hint}") from cause
        return module


Own: TypeAlias = "str | Path | type[Method] | Plugin"
"""What a user may have beside what is shipped or installed: a file, by its path, or a class."""


@cache
def _installed(kind: Kind, path: tuple[str, ...]) -> list[EntryPoint]:
    """List the entry points of a kind, of all packages on `path`: they are read from disk."""
    return list(entry_points(group=f"unlearnbench.{kind}"))


def find(kind: Kind, more: Iterable[Own] = ()) -> dict[str, Plugin]:
    """List what there is of a kind, by name; nothing is imported.

    more: the user's own, of any kind. Raises UserError where two claim one name, and as `Plugin.of`
    and `Plugin.kind` do.
    """
    files = sorted(shipped(kind).glob("[!_.]*.py"), key=lambda path: path.stem)
    found = [Plugin(path.stem, path) for path in files]
    found += map(_from_entry, _installed(kind, tuple(sys.path)))
    plugins: dict[str, Plugin] = {}
    own = [plugin for plugin in map(Plugin.of, more) if plugin.kind == kind]
    for plugin in [*found, *own]:
        other = plugins.setdefault(plugin.name, plugin)
        if not _same(other, plugin):
            hint = "Rename one of them."
            if plugin.pickled:
                hint = "Give the class another name, or make what differs a setting (ub.param)."
            raise UserError(
                f"Two {kind} are called '{plugin.name}': {other.origin} and {plugin.origin}.", hint
            )
    if kind == "methods":
        taken = TAKEN | dict.fromkeys(find("controls"), "the name of a control")
        for name in plugins.keys() & taken.keys():
            raise UserError(
                f"'{name}' is {taken[name]}: {plugins[name].origin} cannot have it.",
                "Rename the method's file.",
            )
    return plugins


def _same(one: Plugin, other: Plugin) -> bool:
    if one is not other and one.pickled and other.pickled:  # whose paths only name the classes
        return method_class(one) is method_class(other)
    return one is other or same_file(one.path, other.path)


def runnable(more: Iterable[Plugin] = ()) -> dict[str, Plugin]:
    """List what a run may execute: the methods there are, those added, and the controls."""
    return find("methods", more) | find("controls")


def _from_entry(entry: EntryPoint) -> Plugin:
    spec = None
    with suppress(UserError), border(UserError):  # it imports its parents, which may do anything
        spec = importlib.util.find_spec(entry.module)
    # One that cannot be found is told when it is asked for: it must not disturb the others.
    origin = spec.origin if spec and spec.origin else f"{entry.module} (not installed)"
    return Plugin(entry.name, Path(origin), entry)


def discover(room: str) -> dict[str, ModuleType]:
    """Import all files of a room, whose contents register themselves; return modules by name."""
    names = sorted(file.name for file in iter_modules(importlib.import_module(room).__path__))
    return {name: importlib.import_module(f"{room}.{name}") for name in names}


def get(plugins: dict[str, Plugin], kind: str, name: str) -> Plugin:
    """Look a plugin up by name; raises UserError with the nearest name where there is none."""
    return one_of(plugins, kind, name)


def require(plugin: Plugin) -> None:
    """Import what a user named, here and now. Raises UserError unless it is what its kind is."""
    if plugin.kind == "methods":
        method_class(plugin)
    elif plugin.kind == "datasets":
        source_class(plugin)
    elif plugin.kind == "model_audits":
        audit_class(plugin)
    else:
        plugin.load()


def method_class(plugin: Plugin) -> type[Method]:
    """Import a method and return its class. Raises UserError unless the file defines just one."""
    from unlearnbench.authoring import Method

    if plugin.facts:
        hint = "Give its file: plugins=FILE (--plugin FILE)."
        raise UserError(f"The method '{plugin.name}' is not here.", hint)
    if plugin.pickled:
        return by_value.unpickled(plugin.pickled)
    return only_subclass(plugin, plugin.load(), Method)


def method(name: str, **settings: Any) -> Method:
    """Return a method by its name, with settings of its own: `method("salun", keep=0.3)`.

    To run it, to hand it a model with `task.hand_to`, or for your own method that is a
    subclass of its `type`. Imports it, and torch with it. Raises UserError for an unknown name or a
    wrong setting.
    """
    return build(method_class(get(find("methods"), "method", name)), name, settings)


def source(spec: DataSpec, root: Path, more: Iterable[Own] = ()) -> Source:
    """Make the source of a benchmark's data, looking below `root`; more: the user's plugins."""
    made = source_class(get(find("datasets", more), "dataset", spec.name))(root, spec.path)
    made.fit = spec.fit
    return made


def source_class(plugin: Plugin) -> type[Source]:
    """Import a data set and return its class."""
    from unlearnbench.data.prepare import Source

    return only_subclass(plugin, plugin.load(), Source)


def audit_class(plugin: Plugin) -> type[ModelAudit]:
    """Import an audit of models and return its class."""
    from unlearnbench.authoring import ModelAudit

    return only_subclass(plugin, plugin.load(), ModelAudit)


def build(kind: type[S], name: str, settings: dict[str, object]) -> S:
    """Make a method or an audit from its settings. Raises UserError naming the wrong one."""
    from pydantic import ValidationError

    from unlearnbench.authoring import Method

    for key in settings:
        if key not in kind.model_fields:
            common = Method.model_fields if issubclass(kind, Method) else ()
            what = f"hyperparameter of {name}"
            raise unknown(what, key, kind.model_fields, common, "every method")
    try:
        with border(lambda line: UserError(f"{name}: {line}."), passes=ValidationError):
            return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        message = of_value(first["msg"])
        raise UserError(f"{where} = {first['input']!r}: {message}.") from error


def only_subclass(plugin: Plugin, module: ModuleType, base: type) -> type[Any]:
    """Return the one class with this base that a module defines. Raises UserError for 0 or many."""
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    if len(own) != 1:
        what = f"{len(own)} classes" if own else "no class"
        raise UserError(
            f"{plugin.origin} defines {what} with base {base.__name__}.", "It must define just one."
        )
    return own[0]
