"""What names stand for in modules and classes: functions that a plugin has put its own in place of.

All of this package, and of libraries what it uses: torch, NumPy, what Python brings.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

OTHERS = (
    "builtins",
    "contextlib",
    "copy",
    "functools",
    "hashlib",
    "io",
    "json",
    "math",
    "numpy",
    "numpy.linalg",
    "numpy.random",
    "os",
    "os.path",
    "pathlib",
    "random",
    "safetensors.torch",
    "scipy.special",
    "signal",
    "threading",
    "time",
    "traceback",
    "torch",
    "torch.autograd",
    "torch.autograd.graph",
    "torch.backends",
    "torch.cuda",
    "torch.func",
    "torch.linalg",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.grad",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.optim",
    "torch.optim.adam",
    "torch.optim.adamw",
    "torch.optim.sgd",
    "torch.random",
    "torch.utils.data",
    "warnings",
)
"""Modules of libraries; of torch.nn, torch.optim and torch.utils.data the classes as well."""
WITH_CLASSES = ("torch.nn", "torch.optim", "torch.utils.data", "pathlib")
CLASSES = (("torch", "Tensor"), ("torch", "Generator"), ("torch.autograd", "Function"))
OWN = "unlearnbench"
Place = ModuleType | type
Names = Sequence[tuple[Place, dict[str, Any]]]


@lru_cache(maxsize=1)
def _places(modules: int) -> list[Place]:
    """List the modules and classes that are looked at; modules: how many there are by now."""
    own = [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == OWN and isinstance(module, ModuleType)
    ]
    others = [sys.modules[name] for name in OTHERS if name in sys.modules]
    places: dict[int, Place] = {id(one): one for one in (*own, *others)}
    holding = [*own, *(sys.modules[name] for name in WITH_CLASSES if name in sys.modules)]
    classes = [value for one in holding for value in vars(one).values() if isinstance(value, type)]
    classes += [getattr(sys.modules[name], kind) for name, kind in CLASSES if name in sys.modules]
    for one in classes:
        if one.__module__.partition(".")[0] in (OWN, "torch", "pathlib"):
            places[id(one)] = one
    return list(places.values())


def read_names(known: Names = ()) -> Names:
    """Return what all names stand for now, of places that are known what they stood for then."""
    places = _places(len(sys.modules))
    if len(places) == len(known):
        return known
    stood = {id(place): names for place, names in known}
    return [(place, stood.get(id(place)) or vars(place).copy()) for place in places]


def changed(before: Names) -> list[tuple[Place, str]]:
    """List the names that stand for something else than they did.

    New ones are none, nor are values of libraries, which many set when they are first used.
    """
    found = []
    for place, names in before:
        now = vars(place)
        if not _same(now, names):
            own = isinstance(place, ModuleType) and place.__name__.partition(".")[0] == OWN
            found += [
                (place, name)
                for name, value in names.items()
                if (new := now.get(name)) is not value and (own or _is_function(value))
                if not _wraps(new, value)
            ]
    return found


def _same(now: Any, names: dict[str, Any]) -> bool:
    try:
        return bool(now == names)
    except Exception:  # of what arrays and tensors say to `==`
        return False


def _is_function(value: object) -> bool:
    return callable(value) or isinstance(value, (staticmethod, classmethod, property))


def _wraps(new: object, value: object) -> bool:
    """Say whether torch has wrapped a function of its own, as its compiler does once."""
    of_torch = str(getattr(new, "__module__", "")).partition(".")[0] == "torch"
    return of_torch and getattr(new, "__wrapped__", None) is value


def put_back(before: Names) -> None:
    """Have all names stand for what they stood for."""
    stood = {id(place): names for place, names in before}
    for place, name in changed(before):
        setattr(place, name, stood[id(place)][name])


def named_in_short(places: list[tuple[Place, str]]) -> str:
    """Name the first few of some names."""
    names = [f"{getattr(place, '__name__', place)}.{name}" for place, name in places[:3]]
    return ", ".join(names) + (", ..." if places[3:] else "")
