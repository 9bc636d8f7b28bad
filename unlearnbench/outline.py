"""A plugin's class without what it imports: its settings and nothing else.

Planning, listing and reports need names, defaults and bounds of methods only. Importing a method
imports torch, which takes longer than all the rest of a command. So its class is built again from
its declarations alone, with functions that do nothing; one that is a subclass of another method,
`type(ub.method("rl"))`, from those of both.
"""

import ast
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from unlearnbench.authoring import Method, ModelAudit
from unlearnbench.errors import MethodError, UserError, in_any_case
from unlearnbench.guarding.border import border
from unlearnbench.registry import Plugin, audit_class, find, get, method_class, only_subclass
from unlearnbench.syntax import method_asked


def settings_class(plugin: Plugin) -> type[Method]:
    """Return a class with a method's hyperparameters, without importing torch where possible.

    Where its declarations need more than `unlearnbench`, `pathlib` and `typing`, the method is
    imported after all.
    """
    if plugin.facts:
        return _of_facts(plugin.name, plugin.facts)
    declared = None if plugin.pickled else _declared(plugin, Method)
    return declared or method_class(plugin)


def spelled(name: str, plugins: Mapping[str, Plugin]) -> str:
    """Return the method that people mean by a name: in any case, or as tables write it, SalUn.

    Returns `name` itself where that is none, or more than one.
    """
    meant = in_any_case(name, plugins)
    if meant in plugins:
        return meant
    alike = [one for one, found in plugins.items() if _title(found).casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else name


def _title(plugin: Plugin) -> str:
    """Return a method's display name, "" of one that is broken."""
    with suppress(UserError):
        return settings_class(plugin).title
    return ""


TOLD = ("title", "paper", "needs_retain", "starts_from_original", "trains", "twin", "other_if")
"""What plans and reports ask of a method's class, beside its settings and what its runs share."""


def facts(plugin: Plugin) -> dict[str, Any]:
    """Return what plans and reports need to know of a method, in plain values.

    With it they can do without its file, see `Plugin.facts`.
    """
    method = settings_class(plugin)
    told = {name: getattr(method, name) for name in TOLD}
    shared = None if method.shared_settings is None else list(method.shared_settings)
    settings = {
        key: {"default": _default(field), "extra": extra(field)}
        for key, field in method.model_fields.items()
    }
    module = plugin.entry.module if plugin.entry else ""
    where = {"path": str(plugin.path), "module": module}
    return told | where | {"shared_settings": shared, "settings": settings}


def known_by(name: str, told: dict[str, Any]) -> Plugin:
    """Return a method as far as its facts tell of it."""
    group = "unlearnbench.methods"
    module = told.get("module")  # which older packs lack
    entry = EntryPoint(name, module, group) if module else None
    path = Path(told["path"])
    if not path.is_absolute():  # of a pack, which tells no folder: no file here is meant
        path = Path(f"<{path}>")
    return Plugin(name, path, entry, facts=json.dumps(told))


def _default(field: FieldInfo) -> Any:
    """Return a hyperparameter's default in plain values, None where it has none."""
    return None if field.is_required() else to_jsonable_python(field.get_default())


class _Unseen(Method):
    """Stand for a method whose file is not here, as far as plans and reports go."""

    def unlearn(self, model: Any, task: Any) -> Any:
        """Refuse to."""
        raise MethodError("This method's file is not here.")


def _fields(settings: dict[str, Any]) -> Any:
    return {
        key: (Any, FieldInfo(default=one["default"], json_schema_extra=one["extra"] or None))
        for key, one in settings.items()
    }


@cache
def _of_facts(name: str, text: str) -> type[Method]:
    """Make a class of what is known of a method."""
    known = json.loads(text)
    made = create_model(name, __base__=_Unseen, **_fields(known["settings"]))
    for key in TOLD:
        setattr(made, key, known[key])
    shared = known["shared_settings"]
    made.shared_settings = None if shared is None else tuple(shared)
    return made


def audit_settings(plugin: Plugin) -> type[ModelAudit]:
    """Return a class with the settings of an audit of models, as `settings_class` does."""
    if plugin.facts:
        return _of_audit_facts(plugin.name, plugin.facts)
    return _declared(plugin, ModelAudit) or audit_class(plugin)


def audit_facts(plugin: Plugin) -> dict[str, Any]:
    """Return what plans and reports need to know of an audit of models, in plain values."""
    audit = audit_settings(plugin)
    settings = {
        key: {"default": _default(field), "extra": extra(field)}
        for key, field in audit.model_fields.items()
    }
    told = {"needs_retrain": audit.needs_retrain, "compared": list(audit.compared)}
    return told | {"file": plugin.path.name, "settings": settings}


def audit_known_by(name: str, told: dict[str, Any]) -> Plugin:
    """Return an audit of models as far as its facts tell of it."""
    return Plugin(name, Path(f"<{told['file']}>"), facts=json.dumps(told))


class _UnseenAudit(ModelAudit):
    """Stand for an audit whose file is not here, as far as plans and reports go."""

    def logits(self, model: Any, case: Any) -> Any:
        """Refuse to."""
        raise MethodError("This audit's file is not here.")


@cache
def _of_audit_facts(name: str, text: str) -> type[ModelAudit]:
    known = json.loads(text)
    made = create_model(name, __base__=_UnseenAudit, **_fields(known["settings"]))
    made.needs_retrain, made.compared = known["needs_retrain"], tuple(known["compared"])
    return made


def _declared(plugin: Plugin, base: type) -> type[Any] | None:
    """Build a plugin's class with this base from its declarations; None where they need more."""
    try:
        with border(UserError):
            return _built(plugin, base, tuple(plugin.sources()))
    except UserError:
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
    """Put the outline of a method in place of its class where one builds on it."""

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
