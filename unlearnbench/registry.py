"""Find methods, data sets and models: shipped files, entry points, files named by the user."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeVar

from pydantic import ValidationError

import unlearnbench
from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.source import Source
from unlearnbench.errors import UnlearnBenchError, UserError, unknown
from unlearnbench.method import Method

Kind = Literal["methods", "controls", "datasets", "models"]
LOADED = "unlearnbench_plugin_"
"""What the names of plugins' modules begin with."""
T = TypeVar("T")


def shipped(folder: str) -> Path:
    """Return a shipped folder: inside the package in a wheel, beside it in a checkout."""
    package = Path(unlearnbench.__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


@dataclass(frozen=True)
class Plugin:
    """Name one method, data set or model and where its code is, without importing it."""

    name: str
    path: Path
    entry: EntryPoint | None = None

    @property
    def origin(self) -> str:
        """Say where it comes from, for people."""
        return f"entry point {self.entry.value}" if self.entry else str(self.path)

    def source(self) -> str:
        """Return its source text."""
        try:
            return self.path.read_text()
        except OSError as error:
            raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error

    def source_hash(self) -> str:
        """Return 16 hex digits that change when the source does."""
        return hashlib.sha256(self.source().encode()).hexdigest()[:16]

    def summary(self) -> str:
        """Return the first line of its docstring, read without importing it.

        Of a method or data set that is its class's, of a model, which has none, its file's.
        """
        try:
            tree = ast.parse(self.source())
        except SyntaxError as error:
            return f"(does not import: {error.msg}, line {error.lineno})"
        except UserError as error:
            return f"({error})"
        nodes: list[ast.ClassDef | ast.Module] = [
            n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")
        ]
        for node in [*nodes, tree]:
            text = ast.get_docstring(node)
            if text:
                return text.splitlines()[0]
        return ""

    def load(self) -> ModuleType:
        """Import it. Raises UserError, naming the file, whatever goes wrong in there."""
        module_name = f"{LOADED}{self.name.replace('-', '_')}_{self.source_hash()}"
        if module_name in sys.modules:
            return sys.modules[module_name]
        spec = importlib.util.spec_from_file_location(module_name, self.path)
        if spec is None or spec.loader is None:
            raise UserError(f"{self.path} is not a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UserError(f"{self.origin} does not import: {told(error)}") from error
        return module


def find(kind: Kind, files: Iterable[Path] = ()) -> dict[str, Plugin]:
    """List what there is of a kind, by name; nothing is imported.

    Raises UserError where two sources claim one name, or a named file does not exist.
    """
    found = [
        Plugin(path.stem, path)
        for path in sorted(shipped(kind).glob("[!_]*.py"), key=lambda path: path.stem)
    ]
    found += [_from_entry(entry) for entry in entry_points(group=f"unlearnbench.{kind}")]
    for path in files:
        if not path.is_file():
            raise UserError(
                f"There is no file {path}.", "--plugin takes the path of a Python file."
            )
        found.append(Plugin(path.stem, path.resolve()))
    plugins: dict[str, Plugin] = {}
    for plugin in found:
        other = plugins.setdefault(plugin.name, plugin)
        if other.path != plugin.path:
            raise UserError(
                f"Two {kind} are called '{plugin.name}': {other.origin} and {plugin.origin}.",
                "Rename one of them.",
            )
    return plugins


def runnable(files: Iterable[Path] = ()) -> dict[str, Plugin]:
    """List what a run may execute: the methods there are, and the controls beside them."""
    methods, controls = find("methods", files), find("controls")
    for name in methods.keys() & controls.keys():
        raise UserError(
            f"'{name}' is the name of a control: {methods[name].origin} cannot have it.",
            "Rename the method's file.",
        )
    return methods | controls


def _from_entry(entry: EntryPoint) -> Plugin:
    try:
        spec = importlib.util.find_spec(entry.module)
    except Exception:  # finding a module imports its parents, which may do anything
        spec = None
    # One that cannot be found is told when it is asked for: it must not disturb the others.
    origin = spec.origin if spec and spec.origin else f"{entry.module} (not installed)"
    return Plugin(entry.name, Path(origin), entry)


def get(plugins: dict[str, Plugin], kind: str, name: str) -> Plugin:
    """Look a plugin up by name; raises UserError with the nearest name where there is none."""
    if name not in plugins:
        raise unknown(kind, name, plugins)
    return plugins[name]


def method_class(plugin: Plugin) -> type[Method]:
    """Import a method and return its class. Raises UserError unless the file defines just one."""
    return _only_subclass(plugin, plugin.load(), Method)  # type: ignore[type-abstract]


def source(spec: DataSpec, root: Path) -> Source:
    """Make the source of a benchmark's data, looking below `root`."""
    return source_class(get(find("datasets"), "dataset", spec.name))(root, spec.path)


def source_class(plugin: Plugin) -> type[Source]:
    """Import a data set and return its class."""
    return _only_subclass(plugin, plugin.load(), Source)  # type: ignore[type-abstract]


def settings_class(plugin: Plugin) -> type[Method]:
    """Return a class with a method's hyperparameters, without importing torch where possible.

    Planning needs names, defaults and bounds only, and importing torch takes longer than all the
    rest of it. So the class is rebuilt from its `param` lines alone; where they need more than
    `unlearnbench` and `typing`, or the file builds on something else, the method is imported.
    """
    try:
        body = [_outline(node) for node in ast.parse(plugin.source()).body if _is_light(node)]
        module = ModuleType(f"unlearnbench_settings_{plugin.name.replace('-', '_')}")
        sys.modules[module.__name__] = module
        outline = ast.fix_missing_locations(ast.Module(body, []))
        exec(compile(outline, plugin.path, "exec"), module.__dict__)
        return _only_subclass(plugin, module, Method)  # type: ignore[type-abstract]
    except (SyntaxError, NameError, TypeError, AttributeError, UserError):
        return method_class(plugin)


def _is_light(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in {"unlearnbench", "typing", "__future__"}
    return isinstance(node, ast.ClassDef)


def _outline(node: ast.stmt) -> ast.stmt:
    """Keep a class's docstring, settings and values, and drop its functions but for their names."""
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.FunctionDef):
                item.args = ast.parse("lambda *_: 0", mode="eval").body.args  # type: ignore[attr-defined]
                item.body, item.returns, item.decorator_list = [ast.Pass()], None, []
    return node


def build(method: type[Method], name: str, settings: dict[str, object]) -> Method:
    """Make a method from its settings. Raises UserError naming the hyperparameter that is wrong."""
    for key in settings:
        if key not in method.model_fields:
            raise unknown(f"hyperparameter of {name}", key, method.model_fields)
    try:
        return method(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise UserError(f"{where} = {first['input']!r}: {first['msg']}.") from error


def told(error: Exception) -> str:
    """Say in a line what went wrong, and in which line of a plugin if it was in one."""
    text = str(error).partition("\n")[0]
    if not isinstance(error, UnlearnBenchError):
        text = f"{type(error).__name__}: {text}"
    inside = [
        f"{Path(frame.f_code.co_filename).name}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).startswith(LOADED)
    ]
    return f"{text} ({inside[-1]})" if inside else text


def _only_subclass(plugin: Plugin, module: ModuleType, base: type[T]) -> type[T]:
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
