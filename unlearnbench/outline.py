"""A plugin's class without what it imports: its settings and nothing else.

Planning, listing and reports need names, defaults and bounds of methods only. Importing a method
imports torch, which takes longer than all the rest of a command. So its class is built again from
its declarations alone, with functions that do nothing; one that is a subclass of another method,
`type(ub.method("rl"))`, from those of both.
"""

import ast
import sys
from functools import cache
from types import ModuleType
from typing import Any

from pydantic.fields import FieldInfo

from unlearnbench.authoring import Method, ModelAudit
from unlearnbench.errors import UserError
from unlearnbench.registry import Plugin, audit_class, find, get, method_class, only_subclass
from unlearnbench.syntax import method_asked


def settings_class(plugin: Plugin) -> type[Method]:
    """Return a class with a method's hyperparameters, without importing torch where possible.

    Where its declarations need more than `unlearnbench`, `pathlib` and `typing`, the method is
    imported after all.
    """
    declared = None if plugin.pickled else _declared(plugin, Method)
    return declared or method_class(plugin)


def audit_settings(plugin: Plugin) -> type[ModelAudit]:
    """Return a class with the settings of an audit of models, as `settings_class` does."""
    return _declared(plugin, ModelAudit) or audit_class(plugin)


def _declared(plugin: Plugin, base: type) -> type[Any] | None:
    """Build a plugin's class with this base from its declarations; None where they need more."""
    try:
        return _built(plugin, base, tuple(plugin.sources()))
    except (SyntaxError, NameError, TypeError, AttributeError, UserError):
        return None


@cache
def _built(plugin: Plugin, base: type, sources: tuple[str, ...]) -> type[Any]:
    """Build it once for these sources: its own, then those of whatever it builds on."""
    tree = _OnMethods().visit(ast.parse(sources[0]))
    body = [_outline(node) for node in tree.body if _is_light(node)]
    module = ModuleType(f"unlearnbench_settings_{plugin.name.replace('-', '_')}")
    module.__dict__[_NAMED] = _named
    sys.modules[module.__name__] = module
    outline = ast.fix_missing_locations(ast.Module(body, []))
    exec(compile(outline, plugin.path, "exec"), module.__dict__)
    return only_subclass(plugin, module, base)


_NAMED = "_settings_of_the_method"


def _named(name: str) -> type[Method]:
    return settings_class(get(find("methods"), "method", name))


class _OnMethods(ast.NodeTransformer):
    """Put the outline of a method in the place of its class where one builds on it."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node:
            case ast.Call(func=ast.Name("type"), args=[asked]) if name := method_asked(asked):
                return ast.Call(ast.Name(_NAMED, ast.Load()), [ast.Constant(name)], [])
        return self.generic_visit(node)


def extra(field: FieldInfo) -> dict[str, Any]:
    """Return what `param` keeps of a hyperparameter beside its bounds: search, source."""
    kept = field.json_schema_extra
    return kept if isinstance(kept, dict) else {}


def hyperparameters(method: type[Method]) -> dict[str, FieldInfo]:
    """Return a method's hyperparameters: those that all have only where it has a value of its own.

    They are `optimizer`, `momentum`, `weight_decay` and `batch_size`, by default the recipe's.
    """
    own = {k: f for k, f in method.model_fields.items() if k not in Method.model_fields}
    return own | {k: f for k, f in method.model_fields.items() if f.default is not None}


def _is_light(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names] == ["unlearnbench"]
    if isinstance(node, ast.ImportFrom):
        light = {"unlearnbench", "unlearnbench.authoring", "pathlib", "typing", "__future__"}
        known = node.module in light or str(node.module).startswith("unlearnbench.verdicts.")
        return known and not node.level
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == _NAMED
    return isinstance(node, ast.ClassDef)


def _outline(node: ast.stmt) -> ast.stmt:
    """Keep a class's docstring, settings and values, and drop its functions but for their names."""
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.FunctionDef):
                item.args = ast.arguments([], [], ast.arg("_"), [], [], None, [])
                item.body, item.returns, item.decorator_list = [ast.Pass()], None, []
    return node
