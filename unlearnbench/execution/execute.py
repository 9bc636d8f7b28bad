"""Make one model as its spec says, and read its signals. Knows no terminal and no folder."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearnbench import architectures, registry
from unlearnbench.authoring import Case, Method, ModelAudit, Task
from unlearnbench.data.lists import positions
from unlearnbench.data.splits import Indices, cut, reference_member
from unlearnbench.environment import peak_memory
from unlearnbench.errors import DataError, MethodError
from unlearnbench.execution import GivenFile, Workplace
from unlearnbench.execution.checkpoint import begin_with, beginning, load_into, read_state
from unlearnbench.execution.pool import examples_of, load_data, memorisation_order, pooled
from unlearnbench.execution.signals import finite, read_logits, signals
from unlearnbench.execution.warming import import_early, warm_up
from unlearnbench.planning.plan import Spec
from unlearnbench.planning.sources import behind
from unlearnbench.recipe import Recipe
from unlearnbench.registry import Own, Plugin
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.bounded import settle
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.examples import Examples, outputs
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.stored import Stored
from unlearnbench.toolkit.training import train

Weights = Callable[[str], Mapping[str, Tensor]]
"""Loads the weights of the model with a given id."""
Loads = Callable[[str], Mapping[str, Any]]
"""Loads the record that the run with a given id left."""


@dataclass
class Outcome:
    """Hold what a run leaves: signals and logits over training + test set, weights, bookkeeping.

    An audit leaves no weights; shared work leaves its tensors in their place, and nothing else.
    """

    signals: dict[str, NDArray[np.generic]]
    logits: NDArray[np.float32] | None
    weights: dict[str, Tensor]
    indices: Indices | None
    recorder: Recorder
    about: dict[str, Any]


def execute(
    spec: Spec,
    device: str,
    workplace: Workplace,
    weights: Weights,
    on_epoch: Callable[[int, int], None] | None = None,
    records: Loads = lambda run: {},
    *,
    curve: bool = False,
) -> Outcome:
    """Train, unlearn, audit, or do the work that unlearning runs share, as `spec` says.

    records: asked for that of a run which is audited; curve: note the accuracies on D_F and D_T
    after each epoch, for the reader and not the method. The time of an unlearning run is the
    method's alone: synchronised, its searches and masks inside, loading and evaluation outside, and
    so is what the first run of a process would pay for all: imports, kernels, the choice of a
    compiled step; an audit's is all of its own. Raises MethodError if the method breaks its
    contract, DataError if the data are not those of earlier runs.
    """
    place = torch.device(device)
    recorder = Recorder(on_epoch=on_epoch, profile={} if workplace.profile else None)
    with recorder.part("reading data", place):
        material = Material(spec, workplace, place)
    plugin = plugin_of(spec, workplace)
    about = material.about() | {
        name: now() for name, now in behind(spec, plugin, workplace.plugins).items()
    }
    indices, member = material.indices, material.member()
    image, classes = material.pool.images.shape[1:], material.data.classes
    warm(spec.model, workplace.plugins, image, classes, spec.recipe, place)  # pyright: ignore[reportArgumentType]
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    # what dropout draws; nothing of ours draws from it
    with recording(recorder), torch.random.fork_rng([place] if place.type == "cuda" else []):
        torch.manual_seed(seed_for(spec.seed, "layers", spec.id))
        if curve and indices is not None:
            recorder.probe = material.accuracies(indices.forget)
        if plugin:
            for text in plugin.sources():
                import_early(text)
        made = material.make(plugin, weights, records, recorder)

    if isinstance(made, dict):  # work that is shared, of which there is nothing to evaluate
        about["peak memory MB"] = peak_memory(device)
        return Outcome({}, None, made, indices, recorder, about)
    with recorder.part("evaluation", place):
        why = "its training diverged" if plugin is None else "the method diverged"
        if spec.given is not None:
            why = f"{material.file.path.name} holds no model of these images"
        logits = read_logits(made, material.pool, why) if isinstance(made, nn.Module) else made
        read = signals(logits, material.data.labels, member)
        if spec.data.superclasses is not None:
            read["subclass"] = material.data.subclasses.astype(np.int16)
    about["peak memory MB"] = peak_memory(device)
    state = made.state_dict() if isinstance(made, nn.Module) else {}
    kept = {name: value.detach().cpu() for name, value in state.items()}
    return Outcome(read, logits, kept, indices, recorder, about)


def plugin_of(spec: Spec, workplace: Workplace) -> Plugin | None:
    """Return the file of the method or audit that a spec names; None if it names none."""
    if spec.audit is not None:
        known = registry.find("model_audits", workplace.plugins)
        return registry.get(known, "audit of models", spec.audit)
    if spec.method is not None:
        return registry.get(registry.runnable(workplace.plugins), "method", spec.method)
    return None


@cache
def warm(
    architecture: str,
    plugins: tuple[Plugin, ...],
    image: torch.Size,
    classes: int,
    recipe: Recipe,
    device: torch.device,
) -> None:
    """Warm this process up for runs of one kind, before the first of them is timed."""
    model = build_model(architecture, 0, classes, image[0], image[-1], plugins)
    warm_up(model.to(device), image, recipe)


class Material:
    """Hold what one run is made of: its data, which of them it forgets."""

    def __init__(self, spec: Spec, workplace: Workplace, device: torch.device) -> None:
        """Read the data. Raises DataError if they are not those of earlier runs."""
        self.spec, self.root, self.device = spec, workplace.data_root, device
        self.lists, self.files = workplace.lists, workplace.given
        self.plugins = workplace.plugins
        if start := spec.recipe.pretrained:
            beginning(start)  # here, where nothing is timed
        self.data = load_data(spec.data, self.root, self.plugins)  # pyright: ignore[reportArgumentType]
        self.data.require(workplace.digest, spec.data.name)
        architectures.require_side(spec.model, self.data.train[0].shape[-1], self.plugins)
        of = spec.data, self.root, self.plugins, spec.recipe, device, workplace.images
        self.pool = pooled(*of)  # pyright: ignore[reportArgumentType]
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
        spec, root, own = self.spec.data, self.root, self.plugins
        return memorisation_order(spec, root, own, count)  # pyright: ignore[reportArgumentType]

    def about(self) -> dict[str, Any]:
        """Say which data these are, for the record."""
        return {
            "data": self.data.digest,
            "train": len(self.data.train[1]),
            "test": len(self.data.test[1]),
            "classes": self.data.classes,
            "image": list(self.data.train[0].shape[1:]),
            "copies": self.data.copies,
            "images": "streamed" if self.streamed else "resident",
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
        with recorder.timed("total", self.device):
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
        spec, seed = self.spec, seed_for(self.spec.seed, "unlearn")

        def fixed(model_id: str | None) -> nn.Module:
            return _fixed(self.stored(model_id, seed, weights))

        validation = examples_of(self.data.validation, spec.recipe, self.device, self.streamed)
        given_all = spec.kind == "unlearn" and spec.access == "full"
        return Task(
            forget=self.part(indices.forget).resident(),
            retain=self.part(indices.retain) if given_all else None,
            classes=self.data.classes,
            seed=seed,
            device=self.device,
            recipe=spec.recipe,
            original=fixed(spec.original),
            validation=validation if spec.data.validation else None,
            build=self.model,
            other=fixed(spec.other) if spec.other else None,
            shared=weights(spec.shared) if spec.shared else {},
        )

    def unlearn(
        self, method: Method, task: Task, weights: Weights, recorder: Recorder
    ) -> nn.Module:
        """Hand a method a model of its own and what it may know; check what it gives back."""
        start = self.stored(self.spec.start, task.seed, weights)
        shape = {name: value.shape for name, value in start.state_dict().items()}
        task = task.given_to(method)
        with recorder.timed("total", self.device):
            model = method.unlearn(start, task)
        verify_model(model, shape)
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
        spec, seed = self.spec, seed_for(self.spec.seed, "audit", str(self.spec.audit))
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
        with recorder.timed("total", self.device):
            logits = audit.logits(model, case)
        if logits.shape != (wanted := (len(self.pool), self.data.classes)):
            raise MethodError(f"{spec.audit} returned {list(logits.shape)}, not {list(wanted)}.")
        return finite(logits, "The audit's outputs", f"{spec.audit} diverged")

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


def verify_model(model: object, shape: Mapping[str, torch.Size]) -> None:
    """Raise MethodError unless `model` is a module of the given shape with finite weights."""
    if not isinstance(model, nn.Module):
        raise MethodError(f"unlearn returned {type(model).__name__}, not a model.")
    state = model.state_dict()
    if {name: value.shape for name, value in state.items()} != shape:
        raise MethodError("unlearn returned a model of another architecture.")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise MethodError(f"unlearn returned non-finite weights in {name}: it diverged.")


def build_model(
    architecture: str,
    seed: int,
    classes: int,
    channels: int,
    side: int,
    plugins: Iterable[Own] = (),
) -> nn.Module:
    """Build a model with weights drawn from `seed`; the global random state is left alone.

    plugins: the user's, in which it may be.
    """
    plugin = architectures.architecture(architecture, plugins)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = plugin.load().build(classes, channels, side)
    return model
