"""What the author of a method builds on, `Method` and `Task`, and of an audit, `ModelAudit`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, ValidationInfo, field_validator

from unlearnbench.errors import MethodError
from unlearnbench.recipe import Optimizer, Recipe, Strict, param

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from unlearnbench.toolkit.examples import Examples


class Method(Strict):
    """Stand for one unlearning method with its hyperparameters.

    A subclass lives in a file of its own, names its paper, declares each hyperparameter with
    `param` and writes `unlearn`. The file's name is the method's name. Its docstring has a line of
    what it does, a paragraph that begins with "Source:" and one that begins with "Differences:",
    which names each place where paper and authors' code differ, and which is followed.
    """

    model_config = ConfigDict(allow_inf_nan=True)
    title: ClassVar[str] = ""
    """Its name as people write it, where it is not the one that is typed: AMUN, NegGrad+."""
    paper: ClassVar[str] = ""
    """Address of the paper that defines it."""
    equation: ClassVar[str] = ""
    """What it minimises, in LaTeX; a line of the string is a line of the equation."""
    needs_retain: ClassVar[bool] = False
    """Whether the method is undefined without the retain set; it is skipped under forget-only."""
    starts_from_original: ClassVar[bool] = True
    """False for what trains from scratch: its run is then shared by all originals."""
    trains: ClassVar[bool] = True
    """False for what takes no gradient steps: settings of theirs that it does not declare itself
    (`optimizer`, `momentum`, `weight_decay`, `batch_size`) are refused, having no effect."""
    twin: ClassVar[str] = ""
    """A method that it equals on a first request, under the same settings and that one's defaults
    for the rest: both are tuned once, and their runs on a first request are made once."""
    other_if: ClassVar[dict[str, object]] = {}
    """Settings with which `task.other`, a second original, is needed as well."""
    shared_settings: ClassVar[tuple[str, ...] | None] = None
    """Settings that `shared_work` depends on; None where a method has none."""

    optimizer: Optimizer | None = param(None, help="sgd, adam or adamw; by default the recipe's")
    momentum: float | None = param(
        None, ge=0, lt=1, help="momentum of SGD; by default the recipe's"
    )
    weight_decay: float | None = param(None, ge=0, help="weight decay; by default the recipe's")
    batch_size: int | None = param(None, ge=1, help="samples a step; by default the recipe's")

    @field_validator("optimizer", "momentum", "weight_decay", "batch_size")
    @classmethod
    def _has_effect(cls, value: Any, info: ValidationInfo) -> Any:
        own = cls.model_fields[str(info.field_name)].default
        if value not in (None, own):  # the class's own may wait for another optimiser
            if own is None and not cls.trains:
                raise ValueError("it would have no effect, as this method takes no steps")
            if info.field_name == "momentum" and info.data.get("optimizer") not in (None, "sgd"):
                raise ValueError("it would have no effect, as only the optimizer sgd has it")
        return value

    @property
    def needs_other(self) -> bool:
        """Whether a second original is needed with these settings."""
        return any(getattr(self, name) == value for name, value in self.other_if.items())

    def follow(self, recipe: Recipe) -> Recipe:
        """Return the recipe with what this method does otherwise; the harness hands it that."""
        return recipe.but(**{name: getattr(self, name) for name in Method.model_fields})

    @abstractmethod
    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Return the model without its forget set.

        `model` is the method's own copy, on `task.device`, and may be changed in place. Nothing but
        `model` and `task` may be read, and every random draw must come from `task.seed`.
        """

    def shared_work(self, task: Task) -> dict[str, Tensor]:
        """Do the part of `unlearn` that runs which agree in `shared_settings` have in common.

        The harness does it once for an original and a forget set, hands the tensors to every such
        run as `task.shared`, and charges each with the cost. It may read no other setting; `task`
        has no retain set, and a seed that these runs have in common. `unlearn` takes
        `task.shared or self.shared_work(task)`, which works without the harness too.
        """
        raise MethodError("shared_settings is set, but there is no function shared_work.")


@dataclass(frozen=True)
class Task:
    """Hold all that a method may know; never test data, reference models or the retrained model."""

    forget: Examples
    """The forget set D_F of this request, with its true labels."""
    retain: Examples | None
    """The retain set D_R; None when access is forget-only."""
    classes: int
    """How many there are in the data."""
    seed: int
    """Where every random draw must come from, as in `seed_for(task.seed, "noise")`."""
    device: torch.device
    """Where the model and all examples are."""
    recipe: Recipe
    """How the original was trained, with the optimiser, momentum, weight decay and batch size that
    the method has of its own; all examples have it too."""
    original: nn.Module
    """The model before the first request, frozen and in eval mode."""
    validation: Examples | None
    """Samples that no model was trained on and no metric is computed on; None if not set aside."""
    build: Callable[[int], nn.Module] = field(repr=False)
    """Behind `untrained`."""
    other: nn.Module | None = None
    """Another original, trained on the same data from another seed; None unless `other_if` asks."""
    shared: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """What `shared_work` returned; empty where the method is to do that work itself."""

    def untrained(self, seed: int) -> nn.Module:
        """Build a freshly initialised model of the same architecture on `device`.

        To a method that does not start from the original it is what the original's training began
        with, which a recipe may have taken from a file.
        """
        return self.build(seed)

    def following(self, recipe: Recipe) -> Task:
        """Return the same task, its examples fed to training by another recipe."""
        return replace(
            self,
            recipe=recipe,
            forget=self.forget.fed_by(recipe),
            retain=self.retain and self.retain.fed_by(recipe),
            validation=self.validation and self.validation.fed_by(recipe),
        )

    def given_to(self, method: Method) -> Task:
        """Return the same task, its examples fed to training as a method does it."""
        return self.following(method.follow(self.recipe))

    def hand_to(self, method: Method, model: nn.Module, **changes: Any) -> nn.Module:
        """Return what another method makes of a model; changes: fields of the task it is given.

        That method's own optimiser, momentum, weight decay and batch size hold for it.
        """
        return method.unlearn(model, replace(self, shared={}, **changes).given_to(method))

    def require_retain(self) -> Examples:
        """Return the retain set, or raise MethodError when access is forget-only."""
        if self.retain is None:
            raise MethodError(
                "This method needs the retain set: set needs_retain = True in its class."
            )
        return self.retain

    def require_other(self) -> nn.Module:
        """Return the other original, or raise MethodError where none was asked for."""
        if self.other is None:
            raise MethodError("This method needs another original: name when in its other_if.")
        return self.other


class ModelAudit(Strict):
    """Stand for one audit that needs the model itself, with its settings.

    A subclass lives in a file of its own, whose name is the audit's; settings and docstring are as
    those of a method. What `logits` returns is stored as the outputs of a run are, so that every
    metric and every attack on signals can be read off it.
    """

    title: ClassVar[str] = ""
    """Its name as people write it."""
    about: ClassVar[str] = ""
    """What it does to a model, in a sentence for the reader of tables."""
    paper: ClassVar[str] = ""
    """Address of the paper that it is from."""
    needs_retrain: ClassVar[bool] = False
    """Whether it compares the model with one that was retrained without the same forget set."""
    compared: ClassVar[tuple[str, ...]] = ("auc", "accuracy", "confidence")
    """What is compared with the same of retrained models, on D_F; auc: of the headline attack."""

    @abstractmethod
    def logits(self, model: nn.Module, case: Case) -> Tensor:
        """Return what the audit makes of a model: logits [n, classes] over the pool, in its order.

        `model` is the audit's own copy, on the device of the pool, and may be changed in place.
        Every random draw must come from `case.seed`.
        """


@dataclass(frozen=True)
class Case:
    """Hold all that an audit may know of the model that it is given; nothing in it may be changed.

    Examples say which device they are on, and how the original was trained: their `recipe`.
    """

    pool: Examples
    """All samples: the training set, the test set, and what serves attacks as non-members."""
    retain: Examples
    """The retain set D_R."""
    forget: Tensor
    """Where the forget set D_F is in the pool: int64 [n]."""
    test: Tensor
    """Where the test set D_T is in the pool: int64 [n]."""
    classes: int
    """How many there are in the data."""
    seed: int
    """Where every random draw must come from."""
    record: Mapping[str, Any]
    """What the run that made the model left: its settings, seconds, notes."""
    retrain: nn.Module | None
    """Retrained without the same forget set, frozen and in eval mode, and not the model itself.

    None where `needs_retrain` does not ask for it, or where the only one there is is audited."""
