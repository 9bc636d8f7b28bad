"""The contract that every method keeps, tried on a problem of a few seconds; `check`."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from unlearnbench import architectures, registry
from unlearnbench.authoring import Method, Task
from unlearnbench.errors import MethodError, UserError
from unlearnbench.execution.building import build_model
from unlearnbench.execution.material import shared_by
from unlearnbench.execution.parts import Rules, of_data_set, of_model
from unlearnbench.execution.returned import kinds, returned
from unlearnbench.execution.trying import Conditions
from unlearnbench.guarding.guard import foreign, witnessed
from unlearnbench.planning import reading
from unlearnbench.planning.rows import written
from unlearnbench.recipe import Recipe
from unlearnbench.registry import Own
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.stored import as_stored
from unlearnbench.toolkit.training import train

RECIPE = Recipe(epochs=6, lr=0.05, batch_size=16, crop=1, flip=True)
CLASSES, SIDE, SAMPLES = 3, 8, 48
CPU = torch.device("cpu")
RANDOM = "global random state"


@dataclass
class Examination:
    """Try one method on a small problem: 48 images of 8x8 in three classes, a trained small model.

    build: draws the weights of such a model from a seed; device: where all of it lies.
    """

    method: Method
    build: Callable[[int], nn.Module] = field(default_factory=lambda: small_model)
    device: torch.device = CPU

    def fresh(self, seed: int) -> nn.Module:
        """Build a model on the device."""
        return self.build(seed).to(self.device)

    @cached_property
    def model(self) -> nn.Module:
        """The original, trained on all samples."""
        return train(self.fresh(0), examples(SAMPLES, self.device), seed=0)

    def task(
        self, forget: int, *, total: int = SAMPLES, retain: bool = True, validation: int = 0
    ) -> Task:
        """Make a request to forget the first `forget` of the first `total` samples."""
        everything = examples(SAMPLES + validation, self.device)
        where = torch.arange(len(everything), device=self.device)
        return Task(
            forget=everything.select(where < forget),
            retain=everything.select(where[forget:total]) if retain else None,
            classes=CLASSES,
            seed=5,
            device=self.device,
            recipe=RECIPE,
            original=copy.deepcopy(self.model).eval(),
            validation=everything.select(where[SAMPLES:]) if validation else None,
            build=self.fresh,
        )

    def unlearn(self, task: Task, start: nn.Module | None = None) -> dict[str, Tensor]:
        """Run the method on a copy of the original; return the weights it made, checked."""
        start = start or copy.deepcopy(self.model)
        like = kinds(start)
        with foreign(MethodError):
            made: object = self.method.unlearn(start, task.given_to(self.method))
        model = returned(made, like, lambda: self.fresh(0))
        return {name: value.clone() for name, value in model.state_dict().items()}

    def must_be_documented(self) -> None:
        """Have a docstring and name a paper."""
        kind = type(self.method)
        demand(kind.__doc__ not in (None, "", Method.__doc__), "the class has no docstring")
        demand(kind.paper.startswith("http"), "set `paper` to the address of its paper")

    def must_survive_json(self) -> None:
        """Have hyperparameters that survive JSON."""
        again = type(self.method).model_validate_json(self.method.model_dump_json())
        demand(again == self.method, "hyperparameters changed on the way through JSON")
        written("hyperparameters", self.method)

    def must_keep_architecture(self) -> None:
        """Return a model of the same architecture with finite weights."""
        self.unlearn(self.task(8))

    def must_repeat(self) -> None:
        """Give the same weights for the same seed (on a GPU: but for rounding)."""
        first, second = self.unlearn(self.task(8)), self.unlearn(self.task(8))
        demand_equal(first, second, "two runs with one seed")

    def must_leave_original(self) -> None:
        """Leave the task's original and examples as they are."""
        task = self.task(8, validation=12)
        sets = {"forget": task.forget, "retain": task.retain, "validation": task.validation}
        before, kept = copy.deepcopy((task.original.state_dict(), sets))
        self.unlearn(task)
        after = task.original.state_dict()
        same = all(torch.equal(before[name], after[name]) for name in before)
        demand(same, "task.original was changed")
        for name, given in sets.items():
            for part in ("images", "labels"):
                same = torch.equal(getattr(kept[name], part), getattr(given, part))
                demand(same, f"the {name} {part} were changed")

    def must_leave_random_state(self) -> None:
        """Leave the global random state alone, drawing from task.seed only."""
        with torch.random.fork_rng(devices=[]), witnessed() as seen:
            torch.manual_seed(987654321)  # a state that no earlier run can have left behind
            self.unlearn(self.task(8))
        for state in (state for left in seen for state in left.changed if RANDOM in state):
            demand(False, f"{state} was changed: draw from task.seed")

    def must_share(self) -> None:
        """Give the same weights with its shared work done before, if it has any."""
        if self.method.shared_settings is None:
            return
        try:
            with foreign(MethodError):
                made = shared_by(self.method, self.task(8, retain=False))
        except MethodError as error:
            if isinstance(error.__cause__, AttributeError):
                raise MethodError(f"{error.__cause__}: is it in shared_settings?") from error
            raise
        given = self.unlearn(replace(self.task(8), shared=made))
        demand_equal(self.unlearn(self.task(8)), given, "runs with and without shared work")

    def must_stream(self) -> None:
        """Give the same weights where the retain set is too large for the device."""
        task = self.task(8)
        small, retain = self.unlearn(task), task.require_retain()
        large = replace(retain, images=cast("Tensor", as_stored(retain.images)))
        try:
            streamed = self.unlearn(replace(task, retain=large))
        except MethodError as error:
            if not isinstance(error.__cause__, (AttributeError, TypeError)):
                raise
            hint = "of a large retain set's images, take `batches` or `shuffled`, or index them"
            raise MethodError(f"{error.__cause__}: {hint}") from error
        demand_equal(small, streamed, "runs with a small and a large retain set")

    def must_equal_twin(self) -> None:
        """Give the same weights as its twin under the same settings, if it names one."""
        name, settings = type(self.method).twin, self.method.model_dump()
        if name:
            twin = registry.method_class(registry.get(registry.find("methods"), "method", name))
            other = Examination(registry.build(twin, name, settings), self.build, self.device)
            same = other.unlearn(self.task(8))
            demand_equal(self.unlearn(self.task(8)), same, f"its weights and those of {name}")

    def must_forget_one(self) -> None:
        """Forget a single sample."""
        self.unlearn(self.task(1))

    def must_forget_many(self) -> None:
        """Forget one sample more than fits a batch, and train on no batch of one."""
        count = RECIPE.batch_size + 1  # of either set one is left over
        task = self.task(count, total=2 * count)
        task = replace(task, build=lambda seed: never_alone(self.fresh(seed)))
        self.unlearn(task, never_alone(copy.deepcopy(self.model)))

    def must_work_forget_only(self) -> None:
        """Work under forget-only access, or declare needs_retain."""
        if not self.method.needs_retain:
            self.unlearn(self.task(8, retain=False))

    def rules(self) -> Rules:
        """Yield each rule, as a docstring says it, with the function that tries it."""
        for name, function in vars(Examination).items():
            if name.startswith("must_"):
                yield function.__doc__.rstrip("."), getattr(self, name)


def demand(kept: bool, problem: str) -> None:
    """Raise MethodError with the problem unless a rule is kept."""
    if not kept:
        raise MethodError(problem)


def demand_equal(one: dict[str, Tensor], other: dict[str, Tensor], what: str) -> None:
    """Raise MethodError where two sets of weights differ; what: the runs that they are from."""
    differ = [name for name in one if not _same(one[name], other[name])]
    demand(not differ, f"{what} differ in {', '.join(differ[:3])}")


def _same(one: Tensor, other: Tensor) -> bool:
    """Say whether weights are the same; a GPU adds in whatever order, so there but for rounding."""
    if one.device.type == "cpu":
        return torch.equal(one, other)
    return torch.allclose(one, other, rtol=1e-2, atol=1e-3)


def examples(count: int, device: torch.device = CPU) -> Examples:
    """Draw images whose class shows in the brightness of a third of the rows."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 120, (count, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % CLASSES
    for label in range(CLASSES):
        images[labels == label, :, 2 * label : 2 * label + 3] += 90
    augment = torch.ones(count, dtype=torch.bool, device=device)
    return Examples(images.to(device), labels.to(device), augment, RECIPE)


def small_model(
    seed: int, architecture: str = "small-cnn", plugins: Iterable[Own] = ()
) -> nn.Module:
    """Build a model for the small problem, leaving the global random state alone.

    plugins: the user's, in which it may be.
    """
    return build_model(architecture, seed, CLASSES, 1, SIDE, plugins)


def never_alone(model: nn.Module) -> nn.Module:
    """Have a model refuse to be trained on a single image, as BatchNorm over 1x1 maps does."""

    def refuse(model: nn.Module, _: object, logits: Tensor) -> None:
        problem = "a model was trained on a batch of one: let it join another, as `shuffled` does"
        demand(len(logits) > 1 or not model.training, problem)

    model.register_forward_hook(refuse)
    return model


NamedRule = tuple[str, Callable[[], None]]


def rules_of(plugin: registry.Plugin, conditions: Conditions) -> list[NamedRule]:
    """List what a plugin must do, each with a function that tries it.

    Of metrics, attacks and audits of models no more is asked than that they import. Raises
    UserError if the file does not, or for what is not there.
    """
    return _rules(plugin, conditions, plugin.source_hash())


@lru_cache(maxsize=1)
def _rules(plugin: registry.Plugin, conditions: Conditions, version: str) -> list[NamedRule]:
    """List them once for these sources: what one rule was tried with serves the next."""
    registry.require(plugin)
    if plugin.kind == "methods":
        architecture, plugins = conditions.architecture, conditions.plugins
        architectures.require_side(architecture, SIDE, plugins)
        method = _method(plugin, conditions.assignments)
        build = partial(small_model, architecture=architecture, plugins=plugins)
        return list(Examination(method, build, torch.device(conditions.device)).rules())
    if plugin.kind == "models":
        return list(of_model(plugin))
    if plugin.kind == "datasets":
        return list(of_data_set(plugin, conditions.data))
    return [(f"Import, as one of {plugin.kind.replace('_', ' ')}", lambda: None)]


def _method(plugin: registry.Plugin, assignments: Iterable[str]) -> Method:
    """Build a method with the settings that are typed, with or without its name before them."""
    raw: dict[str, Any] = {}
    named = (one if "." in one.partition("=")[0] else f"{plugin.name}.{one}" for one in assignments)
    reading.change(raw, named, [plugin.name])
    settings = raw.pop("methods", {}).pop(plugin.name, {})
    if raw:
        problem = f"A check knows no {', '.join(raw)}."
        raise UserError(problem, "Set what the method has: NAME=VALUE.")
    return registry.build(registry.method_class(plugin), plugin.name, settings)
