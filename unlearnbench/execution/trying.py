"""Try a plugin against the rules of its kind, under the conditions of a run; `check`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnbench import registry
from unlearnbench.errors import MethodError
from unlearnbench.guarding.border import told
from unlearnbench.guarding.guard import Left, guarded, witnessed

LEAVES = "Leave its process as it was"
RANDOM = "global random state"
"""What methods have a rule of their own for."""


@dataclass(frozen=True)
class Conditions:
    """Say under which conditions a plugin is tried.

    data: the folder that a data set looks in; assignments: "KEY=VALUE", settings of a method;
    architecture, plugins: of the model that a method is tried on, and files that it may be in;
    device: where a method is tried, by PyTorch's name.
    """

    data: Path = Path("data")
    assignments: tuple[str, ...] = ()
    architecture: str = "small-cnn"
    plugins: tuple[Path, ...] = ()
    device: str = "cpu"


@dataclass(frozen=True)
class Tried:
    """Hold what came of one try.

    made: names of rules, where these were asked for; problem: how a rule is broken, None if it is
    not; left: what each call of the plugin left changed.
    """

    made: list[str] = field(default_factory=list)
    problem: str | None = None
    left: list[Left] = field(default_factory=list)

    @property
    def stuck(self) -> bool:
        """Whether something is left in the process that could not be put back."""
        return any(left.stuck for left in self.left)


Run = Callable[[Callable[..., Tried], Any], Tried]
"""Calls a function with what it is given, in this process or another."""


def here(work: Callable[..., Tried], given: tuple[Any, ...]) -> Tried:
    """Call a function in this process."""
    return work(*given)


def examine(
    file: Path, conditions: Conditions = Conditions(), run: Run = here
) -> Iterator[tuple[str, str | None]]:
    """Yield each rule with how the plugin in `file` breaks it, None if it does not.

    run: where it is tried. A try that is lost, with the process that it was made in, is a
    MethodError of `run`. Raises UserError if the file does not import, or for what is not there.
    """
    plugin = registry.Plugin.of(file)
    asked = run(rule_names, (plugin, conditions))
    left = list(asked.left)
    for number, rule in enumerate(asked.made):
        try:
            tried = run(try_rule, (plugin, conditions, number))
        except MethodError as error:
            tried = Tried(problem=str(error))
        left += tried.left
        yield rule, tried.problem
    yield LEAVES, _said(left, random=plugin.kind != "methods")


def rule_names(plugin: registry.Plugin, conditions: Conditions) -> Tried:
    """Import a plugin and name its rules."""
    from unlearnbench.execution.contract import rules_of  # torch, which only this process needs

    with witnessed() as left:
        return Tried([rule for rule, _ in rules_of(plugin, conditions)], left=left)


def try_rule(plugin: registry.Plugin, conditions: Conditions, number: int) -> Tried:
    """Try one rule."""
    from unlearnbench.execution.contract import rules_of

    problem = None
    try_it = rules_of(plugin, conditions)[number][1]
    with witnessed() as left:
        try:
            with guarded():
                try_it()
        except BaseException as error:  # the border: a plugin may raise anything
            problem = told(error)
    return Tried(problem=problem, left=left)


def _said(left: Iterable[Left], *, random: bool) -> str | None:
    """Say what was left changed again and again, or once and not by importing a library."""
    counts = Counter(state for one in left for state in dict.fromkeys(one.changed))
    innocent = {state for one in left for state in one.innocent}
    stuck = {state for one in left for state in one.stuck}
    guilty = [
        state + (" (which cannot be put back)" if state in stuck else "")
        for state, count in counts.items()
        if (count > 1 or state not in innocent) and (random or RANDOM not in state)
    ]
    return f"it left changed: {', '.join(guilty)}" if guilty else None
