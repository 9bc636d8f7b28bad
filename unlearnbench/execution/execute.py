"""Make one model as its spec says, and read its signals. Knows no terminal and no folder."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearnbench import registry
from unlearnbench.data.splits import Indices
from unlearnbench.environment import RESERVED, begin_peak, peak_memory, reserved_memory
from unlearnbench.execution import Workplace
from unlearnbench.execution.building import build_model
from unlearnbench.execution.material import Loads, Material, Weights
from unlearnbench.execution.signals import narrow, read_logits, signals
from unlearnbench.execution.warming import import_early, warm_up
from unlearnbench.planning.plan import Spec
from unlearnbench.planning.sources import behind
from unlearnbench.recipe import Recipe
from unlearnbench.registry import Plugin
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit.precision import ieee_float32
from unlearnbench.toolkit.recorder import Recorder, recording


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


@ieee_float32()
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
    begin_peak(device)
    # what dropout draws, and what foreign code draws without a seed; nothing of ours draws from it
    with recording(recorder), torch.random.fork_rng([place] if place.type == "cuda" else []):
        unsaid = seed_for(spec.seed, "layers", spec.id)
        torch.manual_seed(unsaid)
        random.seed(unsaid)
        np.random.seed(unsaid % 2**32)
        if curve and indices is not None:
            recorder.probe = material.accuracies(indices.forget)
        if plugin:
            for text in plugin.sources():
                import_early(text)
        made = material.make(plugin, weights, records, recorder)

    if isinstance(made, dict):  # work that is shared, of which there is nothing to evaluate
        about |= _memory(device)
        return Outcome({}, None, made, indices, recorder, about)
    with recorder.part("evaluation", place):
        why = "its training diverged" if plugin is None else "the method diverged"
        if spec.given is not None:
            why = f"{material.file.path.name} holds no model of these images"
        logits = read_logits(made, material.pool, why) if isinstance(made, nn.Module) else made
        read = signals(logits, material.data.labels, member)
        if spec.data.superclasses is not None:
            read["subclass"] = narrow(material.data.subclasses)
    about |= _memory(device)
    state = made.state_dict() if isinstance(made, nn.Module) else {}
    kept = {name: value.detach().cpu() for name, value in state.items()}
    return Outcome(read, logits, kept, indices, recorder, about)


def _memory(device: str) -> dict[str, int]:
    """Say for the record what memory a run needed."""
    reserved = reserved_memory(device)
    more = {} if reserved is None else {RESERVED: reserved}
    return {"peak memory MB": peak_memory(device)} | more


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
