"""What one run is made of, and what is made of it: a model, an audit, work that runs share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearnbench import architectures, registry
from unlearnbench.authoring import Case, Method, ModelAudit, Task
from unlearnbench.data.lists import positions
from unlearnbench.data.splits import Indices, cut, reference_member
from unlearnbench.errors import DataError, MethodError
from unlearnbench.execution import GivenFile, Workplace
from unlearnbench.execution.building import build_model
from unlearnbench.execution.checkpoint import begin_with, beginning, load_into, read_state
from unlearnbench.execution.pool import (
    copied,
    examples_of,
    forget_images,
    load_data,
    mark,
    memorisation_order,
    pool_mark,
    pooled,
)
from unlearnbench.execution.returned import kinds, returned
from unlearnbench.execution.signals import finite
from unlearnbench.guarding.guard import foreign
from unlearnbench.planning.plan import Spec
from unlearnbench.registry import Plugin
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.bounded import settle
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.examples import Examples, outputs
from unlearnbench.toolkit.precision import precision_note
from unlearnbench.toolkit.recorder import Recorder
from unlearnbench.toolkit.stored import Stored
from unlearnbench.toolkit.training import train

Weights = Callable[[str], Mapping[str, Tensor]]
"""Loads the weights of the model with a given id."""
Loads = Callable[[str], Mapping[str, Any]]
"""Loads the record that the run with a given id left."""


class Material:
    """Hold what one run is made of: its data, which of them it forgets."""

    def __init__(self, spec: Spec, workplace: Workplace, device: torch.device) -> None:
        """Read the data. Raises DataError if they are not those of earlier runs."""
        self.spec, self.root, self.device = spec, workplace.data_root, device
        self.lists, self.files = workplace.lists, workplace.given
        self.plugins = workplace.plugins
        if start := spec.recipe.pretrained:
            beginning(start)  # here, where nothing is timed
        given = workplace.handed
        self.data = load_data(spec.data, self.root, self.plugins, given)  # pyright: ignore[reportArgumentType]
        self.data.require(workplace.digest, spec.data.name)
        architectures.require_side(spec.model, self.data.train[0].shape[-1], self.plugins)
        fed = spec.recipe, device, workplace.images, given
        self.shared = spec.data, self.root, self.plugins, *fed
        self.pool = pooled(*self.shared)  # pyright: ignore[reportArgumentType]
        self.streamed = isinstance(self.pool.images, Stored)

    @cached_property
    def indices(self) -> Indices | None:
        """The forget set; None if the run has none."""
        split = self.spec.split
        if split is None:
            return None
        listed = positions(self.lists[split.listed], self.data) if split.listed else None
        return cut(
            split,
            self.data.labels,
            len(self.data.train[1]),
            subclasses=self.data.subclasses,
            order=self._memorisation,
            listed=listed,
        )

    def _memorisation(self, count: int) -> NDArray[np.int64]:
        spec, root, own, *_, given = self.shared
        return memorisation_order(spec, root, own, count, given)  # pyright: ignore[reportArgumentType]

    def about(self) -> dict[str, Any]:
        """Say which data these are, and how exactly is computed, for the record."""
        return {
            "data": self.data.digest,
            "train": len(self.data.train[1]),
            "test": len(self.data.test[1]),
            "classes": self.data.classes,
            "image": list(self.data.train[0].shape[1:]),
            "copies": self.data.copies,
            "images": "streamed" if self.streamed else "resident",
            "precision": precision_note(self.spec.recipe, self.device),
        }

    def member(self) -> NDArray[np.bool_]:
        """Return which samples of the pool the model is, or may stay, trained on."""
        spec, indices, member = self.spec, self.indices, np.zeros(len(self.pool), dtype=np.bool_)
        if indices is not None:
            member[indices.retain] = True
            if spec.kind == "original":  # of a world in which other samples are forgotten
                member[np.concatenate((indices.forget, indices.earlier))] = True
        elif spec.kind == "original":
            member[: len(self.data.train[1])] = True
        elif spec.given is not None:
            listed = self.file.members or ()
            member[positions(listed, self.data, everywhere=True)] = True
        else:
            member = reference_member(len(member), cast("int", spec.member), spec.seed)
        return member

    def part(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Examples:
        """Return some samples of the pool, of which those of the training set come first."""
        return self.pool.select(torch.from_numpy(which).to(self.device))

    def model(self, seed: int) -> nn.Module:
        """Build the benchmark's architecture, laid out as images are, with weights from `seed`."""
        _, channels, _, side = self.data.train[0].shape
        initial = seed_for(seed, "initialisation")
        classes, plugins = self.data.classes, self.plugins
        model = build_model(self.spec.model, initial, classes, channels, side, plugins)
        return counted(model.to(self.device).to(memory_format=torch.channels_last))

    def begun(self, seed: int) -> nn.Module:
        """Build a model as training begins: from `seed`, or with the weights the recipe names."""
        model, start = self.model(seed), self.spec.recipe.pretrained
        return begin_with(model, start) if start else model

    def make(
        self, plugin: Plugin | None, weights: Weights, records: Loads, recorder: Recorder
    ) -> nn.Module | NDArray[np.float32] | dict[str, Tensor]:
        """Return a model, the logits that an audit comes to, or the tensors of shared work."""
        spec, indices = self.spec, self.indices
        if spec.given is not None:
            model = self.model(spec.seed)
            load_into(model, read_state(self.file.path), self.file.path)
            return model
        if plugin is None or indices is None:
            world = spec.split.request if spec.split and spec.split.kind == "shadow" else 0
            seed = seed_for(spec.seed, spec.kind, spec.member or world)
            model, examples = self.begun(seed), self.part(self.member())
            with recorder.timed("total", self.device):
                settle(train(model, examples, seed=seed))
            return model
        if spec.kind == "audit":
            audit = registry.build(registry.audit_class(plugin), plugin.name, spec.settings)
            return self.audit(audit, indices, weights, records, recorder)
        method = registry.build(registry.method_class(plugin), plugin.name, spec.settings)
        task = self.task(indices, weights)
        if not method.starts_from_original:
            task = replace(task, build=self.begun)
        if spec.kind == "unlearn":
            return self.unlearn(method, task, weights, recorder)
        with self._lending(), foreign(MethodError), recorder.timed("total", self.device):
            return shared_by(method, task)

    @property
    def file(self) -> GivenFile:
        """The file that a model made elsewhere is from. Raises DataError if none is named now."""
        digest = str(self.spec.given)
        if digest not in self.files:
            raise DataError(
                "A model that was made elsewhere cannot be made here.",
                "Type the audit again, with all of its files.",
            )
        return self.files[digest]

    def stored(self, model_id: str | None, seed: int, weights: Weights) -> nn.Module:
        """Load a model by its id; without one, draw its weights from `seed`."""
        model = self.model(seed)
        if model_id is not None:
            model.load_state_dict(weights(model_id))
        return model

    def task(self, indices: Indices, weights: Weights) -> Task:
        """Put together what a method may know; work that is shared is done without D_R."""
        spec, seed = self.spec, self._seed("unlearn")

        def fixed(model_id: str | None) -> nn.Module:
            return _fixed(self.stored(model_id, seed, weights))

        held = examples_of(self.data.validation, spec.recipe, self.device, self.streamed)
        given_all = spec.kind == "unlearn" and spec.access == "full"
        return Task(
            forget=self.part(indices.forget).resident(),
            retain=self.part(indices.retain) if given_all else None,
            classes=self.data.classes,
            seed=seed,
            device=self.device,
            recipe=spec.recipe,
            original=fixed(spec.original),
            validation=copied(held) if spec.data.validation else None,
            build=self.model,
            other=fixed(spec.other) if spec.other else None,
            shared=weights(spec.shared) if spec.shared else {},
        )

    def _seed(self, *purpose: str) -> int:
        """Derive the seed of what is done to a model; models of other forget sets share none."""
        return seed_for(self.spec.seed, *purpose, str(self.spec.split_id))

    def unlearn(
        self, method: Method, task: Task, weights: Weights, recorder: Recorder
    ) -> nn.Module:
        """Hand a method a model of its own and what it may know; check what it gives back."""
        start = self.stored(self.spec.start, task.seed, weights)
        like = kinds(start)
        with self._lending(), foreign(MethodError):
            task = task.given_to(method)
            with recorder.timed("total", self.device):
                made: object = method.unlearn(start, task)
        model = returned(made, like, lambda: self.model(task.seed))
        settle(model, task.original)
        return model

    def audit(
        self,
        audit: ModelAudit,
        indices: Indices,
        weights: Weights,
        records: Loads,
        recorder: Recorder,
    ) -> NDArray[np.float32]:
        """Hand an audit a model of its own and what it may know; return the logits it comes to."""
        spec, seed = self.spec, self._seed("audit", str(self.spec.audit))
        model = self.stored(spec.start, seed, weights)
        other = self.stored(spec.other, seed, weights) if spec.other else None
        case = Case(
            pool=self.pool,
            retain=self.part(indices.retain),
            forget=torch.from_numpy(indices.forget).to(self.device),
            test=torch.from_numpy(self.tested).to(self.device),
            classes=self.data.classes,
            seed=seed,
            record=records(str(spec.start)),
            retrain=_fixed(other) if other else None,
        )
        with self._lending(), foreign(MethodError), recorder.timed("total", self.device):
            logits = audit.logits(model, case)
        if logits.shape != (wanted := (len(self.pool), self.data.classes)):
            raise MethodError(f"{spec.audit} returned {list(logits.shape)}, not {list(wanted)}.")
        return finite(logits, "The audit's outputs", f"{spec.audit} diverged")

    @contextmanager
    def _lending(self) -> Iterator[None]:
        """Raise MethodError if what all runs share, and is lent to save room, was changed."""
        before = pool_mark(*self.shared)  # pyright: ignore[reportArgumentType]
        try:
            yield
        finally:
            if mark(self.pool) != before:
                forget_images()
                raise MethodError("It changed the images that all runs share: copy them first.")

    @property
    def tested(self) -> NDArray[np.int64]:
        """Where the test set is in the pool."""
        train = len(self.data.train[1])
        return np.arange(train, train + len(self.data.test[1]))

    def accuracies(self, forget: NDArray[np.int64]) -> Callable[[nn.Module], dict[str, float]]:
        """Return a function from a model to its accuracies on D_F and D_T in percent."""
        parts = {"forget_accuracy": self.part(forget), "test_accuracy": self.part(self.tested)}

        def probe(model: nn.Module) -> dict[str, float]:
            training, percent = model.training, {}
            for name, examples in parts.items():
                right = outputs(model, examples).argmax(1) == examples.labels
                percent[name] = 100 * float(right.float().mean())
            model.train(training)
            return percent

        return probe


def shared_by(method: Method, task: Task) -> dict[str, Tensor]:
    """Have a method do its shared work, knowing no setting but those that it depends on.

    Raises AttributeError if it asks for another, MethodError unless it returns tensors by name.
    """
    known, blind = set(method.shared_settings or ()), method.model_copy()
    for name in type(method).model_fields.keys() - known:
        vars(blind).pop(name)
    made: object = blind.shared_work(task)
    if not isinstance(made, dict) or not all(isinstance(one, Tensor) for one in made.values()):
        raise MethodError("shared_work did not return a dictionary of tensors.")
    return {str(name): tensor.detach().cpu() for name, tensor in made.items()}


def _fixed(model: nn.Module) -> nn.Module:
    """Freeze a model, in eval mode."""
    return model.eval().requires_grad_(False)
