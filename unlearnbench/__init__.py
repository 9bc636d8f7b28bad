"""Compare machine-unlearning methods on image classifiers, measured against retraining.

    import unlearnbench as ub

    results = ub.run(ub.benchmark("digits", seeds=3), methods=["amun", "salun"])
    results.condition().table()

`import unlearnbench` is light: each of these names is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnbench.api.reports import Review as Review
    from unlearnbench.api.reports import compare as compare
    from unlearnbench.api.reports import rank as rank
    from unlearnbench.api.reports import report as report
    from unlearnbench.api.request import Setup as Setup
    from unlearnbench.api.request import benchmark as benchmark
    from unlearnbench.api.request import method as method
    from unlearnbench.api.results import Condition as Condition
    from unlearnbench.api.results import Results as Results
    from unlearnbench.api.results import load as load
    from unlearnbench.api.session import Listener as Listener
    from unlearnbench.api.session import run as run
    from unlearnbench.authoring import Method as Method
    from unlearnbench.authoring import Task as Task
    from unlearnbench.errors import UserError as UserError
    from unlearnbench.recipe import param as param

__version__ = "0.1.0"

_PLACES = {
    "Condition": "api.results",
    "Listener": "api.session",
    "Method": "authoring",
    "Results": "api.results",
    "Review": "api.reports",
    "Setup": "api.request",
    "Task": "authoring",
    "UserError": "errors",
    "benchmark": "api.request",
    "compare": "api.reports",
    "load": "api.results",
    "method": "api.request",
    "param": "recipe",
    "rank": "api.reports",
    "report": "api.reports",
    "run": "api.session",
}
__all__ = sorted(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a name of the library when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'unlearnbench' has no attribute '{name}'")
    return getattr(import_module(f"unlearnbench.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    """List the library."""
    return [*__all__, "__version__"]
