"""Classes of a script or a notebook: they go to worker processes by value, not by name.

What such a class does follows from more than its own lines: its source, as it is hashed, has those
of all of one's own that these refer to.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import pickle
import secrets
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from copyreg import dispatch_table
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from textwrap import dedent
from tokenize import TokenError
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from unlearnbench.guarding import LOADED

_here: WeakValueDictionary[bytes, type] = WeakValueDictionary()
"""The classes of this process, by what they were pickled to."""


def pickled(given: type) -> bytes:
    """Pickle a class by value; may raise anything, as whatever it refers to may."""
    import cloudpickle  # slow to import, and most commands need none

    made: bytes = cloudpickle.dumps(given)
    _here[made] = given
    return made


def unpickled(made: bytes) -> type[Any]:
    """Return the class that was pickled: itself, where that was in this process."""
    return _here.get(made) or _made_again(made)


@lru_cache(maxsize=1)
def _made_again(made: bytes) -> type[Any]:
    """Make a class again. The bytes are this very program's, never a file's.

    A class that was pickled twice is one here: its functions become those of the bytes read last.
    So none may be kept beyond that, and none is made again in the process that it is from.
    """
    method: type[Any] = pickle.loads(made)
    return method


def source_of(given: type) -> str:
    """Return the source of a class and of what its functions refer to, each a piece of a module.

    That is functions, classes and modules of one's own, in turn, and in comments the values of
    globals, closures and class attributes; what is installed is named in an import. It is the same
    in every process that defines the class alike. What cannot be told makes it another one each
    time: a result is rather called stale than taken for one of other code.
    """
    found = _Found([given])
    for value in found.waiting:  # which grows meanwhile
        found.read(value)
    return "\n\n".join(found.pieces)


_CODE = type, FunctionType, ModuleType
_Code: TypeAlias = "type | FunctionType | ModuleType"
_PLAIN = type(None), bool, int, float, complex, str, bytes
_LONGEST = 200
"""Characters of a value that are written out; of a longer one it is a digest."""
_NO_SOURCE = OSError, TypeError, IndexError, SyntaxError, TokenError
"""What Python raises where it finds no source, or the file has changed since."""


@dataclass
class _Found:
    """Gather the pieces of a source, of all code that waits to be read."""

    waiting: list[_Code]
    pieces: list[str] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    """Ids of the values that are being told, of which one may hold another."""

    def read(self, value: _Code) -> None:
        """Add the source of something of one's own, and what it refers to."""
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        else:
            self._text(inspect.getsource, value)
            for one in vars(value).values():  # its own are in its text
                if isinstance(one, _CODE) and _home(one) != value.__name__:
                    self._wait_for(one)

    def _function(self, function: FunctionType) -> None:
        code, known = function.__code__, function.__globals__
        if not self._text(inspect.getsource, code):
            constants = [one for one in code.co_consts if isinstance(one, _PLAIN)]
            self.pieces.append(f"# {code.co_name} {code.co_names} {constants} {code.co_code.hex()}")
        for name in sorted(known.keys() & set(_globals(code))):
            self._name(name, known[name])
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # nothing is in it yet
                self._name(name, cell.cell_contents)
        if defaults := (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()):
            self._name("defaults", defaults)

    def _class(self, kind: type) -> None:
        self._text(_class_text, kind)
        for base in kind.__bases__:
            self._name(base.__name__, base)
        for name, value in vars(kind).items():
            inner = getattr(value, _WRAPPED.get(type(value), ""), value)
            if isinstance(inner, FunctionType):
                self._wait_for(inner)
            elif not name.startswith(("__", "_abc_", "model_")):  # what Python and pydantic put in
                self._name(name, value)

    def _name(self, name: str, value: object) -> None:
        """Add what a name stands for."""
        told = self._told(value)
        self.pieces.append(
            f"# {name} = {told if len(told) <= _LONGEST else _digest(told.encode())}"
        )
        if isinstance(value, _CODE) and not _is_own(_home(value)):
            home, _, inside = told.partition(":")
            first = inside.partition(".")[0]
            line = f"from {home} import {first}" if first.isidentifier() else f"import {home}"
            self.pieces.append(line)

    def _wait_for(self, value: _Code) -> None:
        """Note code that is to be read, if it is one's own."""
        if behind := vars(value).get("__wrapped__"):  # a decorator of anyone's
            self._told(behind)
        if _is_own(_home(value)) and not any(value is one for one in self.waiting):
            self.waiting.append(value)

    def _text(self, read: Callable[[Any], str], value: object) -> bool:
        """Add the text of something; return whether there is any."""
        try:
            text = dedent(read(value))
        except _NO_SOURCE:
            return False
        try:
            ast.parse(text)
        except SyntaxError:  # a part of a line, as of a lambda, would break the other pieces
            text = repr(text)
        self.pieces.append(text)
        return True

    def _told(self, value: Any) -> str:
        """Say what a value is, without addresses; code by its name, MODULE:NAME, to be read too."""
        if isinstance(value, bytes) and len(value) > _LONGEST:
            return _digest(value)
        if isinstance(value, _PLAIN):
            return repr(value)
        if id(value) in self.inside:
            return f"what is around, {len(self.inside) - self.inside.index(id(value))} further out"
        self.inside.append(id(value))
        try:
            return self._taken_apart(value)
        except Exception:  # whatever somebody's object raises
            return secrets.token_hex()
        finally:
            self.inside.pop()

    def _taken_apart(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, _CODE):
            self._wait_for(value)
            inside = "" if isinstance(value, ModuleType) else value.__qualname__
            return f"{_home(value)}:{inside}"
        if isinstance(value, BuiltinFunctionType):
            return f"{value.__qualname__} of {self._told(value.__self__)}"
        if kind in (list, tuple):
            return f"{kind.__name__}({', '.join(map(self._told, value))})"
        if kind in (set, frozenset):
            return f"{kind.__name__}({', '.join(sorted(map(self._told, value)))})"
        if kind is dict:
            return self._told([*value.items()])
        if callable(getattr(value, "detach", None)):  # a tensor, which is pickled by its address
            return self._told(
                (value.requires_grad, str(value.device), value.detach().cpu().numpy())
            )
        # What it would be made again from; libraries have functions of their own for some kinds.
        made = dispatch_table[kind](value) if kind in dispatch_table else value.__reduce_ex__(4)
        if isinstance(made, str):
            return made
        return self._told([[*one] if isinstance(one, Iterator) else one for one in made])


_WRAPPED = {
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    cached_property: "func",
}
"""Where a class has the functions that are more than that."""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _globals(code: CodeType) -> Iterator[str]:
    """Yield the names of globals that code refers to, in functions inside too."""
    for one in dis.get_instructions(code):
        if "GLOBAL" in one.opname or one.opname == "LOAD_NAME":
            yield one.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _globals(inner)


def _home(value: _Code) -> str:
    """Return the name of the module that something is defined in."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, FunctionType):  # what a decorator made says another module's name
        return str(value.__globals__.get("__name__"))
    return value.__module__


def _is_own(module: str) -> bool:
    """Say whether a module is the user's: neither installed, nor Python's, nor of this package."""
    if module == "__main__" or module.startswith(LOADED) or module not in sys.modules:
        return True
    file = getattr(sys.modules[module], "__file__", None)
    if file is None or module.partition(".")[0] == "unlearnbench":
        return False
    installed = {"site-packages", "dist-packages"} & {*Path(file).parts}
    return not installed and not Path(file).is_relative_to(sysconfig.get_path("stdlib"))


def _class_text(kind: type) -> str:
    """Return the lines of a class; raises as `inspect.getsource` where there are none.

    Python finds none of a class in a notebook's cell, but that of its functions.
    """
    with suppress(*_NO_SOURCE):
        return inspect.getsource(kind)
    for function in vars(kind).values():
        if isinstance(function, FunctionType) and _is_own(_home(function)):
            cell = "".join(inspect.findsource(function)[0])
            for node in ast.walk(ast.parse(cell)):
                if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                    return ast.get_source_segment(cell, node) or ""
    raise OSError(f"There is no text of {kind.__name__}.")
