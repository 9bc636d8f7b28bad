"""Make one model as its spec says, and read its signals. Knows no terminal and no folder."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearnbench import registry
from unlearnbench.data.prepare import Data
from unlearnbench.data.splits import Indices, cut, reference_members
from unlearnbench.errors import DataError, MethodError
from unlearnbench.execution.pool import examples_of, load_data, memorisation_order, resident
from unlearnbench.execution.signals import read_logits, signals
from unlearnbench.method import Method
from unlearnbench.planning.spec import Spec
from unlearnbench.seeds import seed_for
from unlearnbench.task import Task
from unlearnbench.toolkit.bounded import settle
from unlearnbench.toolkit.examples import Examples
from unlearnbench.toolkit.outputs import outputs
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.training import train

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Bench:
    """Say where a worker finds things: device, data folder, plugin files.

    digest: that the data must have, those of earlier runs; None if there are none.
    """

    device: str
    data_root: Path
    plugins: tuple[Path, ...] = ()
    digest: str | None = None


@dataclass
class Outcome:
    """Hold what a run leaves: signals and logits over training + test set, weights, bookkeeping."""

    signals: dict[str, NDArray[np.generic]]
    logits: NDArray[np.float32]
    weights: dict[str, Tensor]
    indices: Indices | None
    recorder: Recorder
    about: dict[str, Any] = field(default_factory=dict)


def execute(
    spec: Spec,
    bench: Bench,
    weights: Callable[[str], Weights],
    on_epoch: Callable[[int, int], None] | None = None,
    *,
    profile: bool = False,
    curve: bool = False,
) -> Outcome:
    """Train or unlearn as `spec` says; `weights` loads the model with a given id.

    profile: note where all of the time goes, at the price of a device that waits after each step.
    curve: note the accuracies on D_F and D_T after each epoch, for the reader and not the method.
    The time of an unlearning run is the method's alone: synchronised, its searches and masks
    inside, loading and evaluation outside. Raises MethodError if the method breaks its contract.
    """
    device = torch.device(bench.device)
    recorder = Recorder(on_epoch=on_epoch, profile={} if profile else None)
    with recorder.part("reading data", device):
        data = _data(spec, bench)
        pool = resident(data, spec.recipe, device)
    indices = forget_set(spec, data, bench.data_root)
    about: dict[str, Any] = {
        "data": data.digest,
        "data source": registry.find("datasets")[spec.data.name].source_hash(),
        "train": len(data.train[1]),
        "test": len(data.test[1]),
    }
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    member = trained_on(spec, data, indices, len(pool))
    with recording(recorder):
        if curve and indices is not None:
            recorder.probe = accuracies(pool, indices.forget, data)
        if spec.kind == "unlearn" and indices is not None:
            plugin = registry.get(registry.runnable(bench.plugins), "method", str(spec.method))
            about["source"] = plugin.source_hash()
            method = registry.build(registry.method_class(plugin), plugin.name, spec.settings)
            model = unlearn(method, spec, data, indices, device, weights, recorder)
        else:
            world = spec.split.request if spec.split and spec.split.kind == "shadow" else 0
            seed = seed_for(spec.seed, spec.kind, spec.member or world)
            model = new_model(spec, data, device, seed)
            examples = pool.select(torch.from_numpy(member).to(device))
            with recorder.timed("total", device):
                settle(train(model, examples, seed=seed))

    with recorder.part("evaluation", device):
        logits = read_logits(model, pool)
        read = signals(logits, data.labels, member)
    return Outcome(
        signals=read,
        logits=logits,
        weights={name: value.detach().cpu() for name, value in model.state_dict().items()},
        indices=indices,
        recorder=recorder,
        about=about | {"peak memory MB": peak_memory(device)},
    )


def _data(spec: Spec, bench: Bench) -> Data:
    """Read the data of a spec. Raises DataError if earlier runs were made of others."""
    data = load_data(spec.data, bench.data_root)  # pyright: ignore[reportArgumentType]
    if bench.digest not in (None, data.digest):
        raise DataError(
            f"Data set '{spec.data.name}' is not what earlier runs of this benchmark were made of:"
            " other images or labels.",
            "Put those back, or keep new results apart: --results DIR.",
        )
    return data


def forget_set(spec: Spec, data: Data, root: Path) -> Indices | None:
    """Draw the forget set of a spec; None if it has none."""
    if spec.split is None:
        return None
    return cut(
        spec.split,
        data.labels,
        len(data.train[1]),
        subclasses=data.subclasses,
        order=lambda: memorisation_order(spec.data, root),  # pyright: ignore[reportArgumentType]
    )


def trained_on(spec: Spec, data: Data, indices: Indices | None, count: int) -> NDArray[np.bool_]:
    """Return which of the `count` samples of the pool a model is, or may stay, trained on."""
    member = np.zeros(count, dtype=np.bool_)
    if indices is not None:
        member[indices.retain] = True
        if spec.kind == "original":  # of a world in which other samples are forgotten
            member[np.concatenate((indices.forget, indices.earlier))] = True
    elif spec.kind == "original":
        member[: len(data.train[1])] = True
    else:
        bank = reference_members(count, cast("int", spec.bank), spec.seed)
        member = bank[cast("int", spec.member)]
    return member


def unlearn(
    method: Method,
    spec: Spec,
    data: Data,
    indices: Indices,
    device: torch.device,
    weights: Callable[[str], Weights],
    recorder: Recorder,
) -> nn.Module:
    """Hand a method its own copy of the model and what it may know; check what it gives back."""
    seed = seed_for(spec.seed, "unlearn")
    pool = resident(data, spec.recipe, device)

    def stored(model_id: str | None) -> nn.Module:
        model = new_model(spec, data, device, seed)
        if model_id is not None:
            model.load_state_dict(weights(model_id))
        return model

    def part(index: NDArray[np.int64]) -> Examples:
        return pool.select(torch.from_numpy(index).to(device))  # training samples come first

    def fixed(model_id: str | None) -> nn.Module:
        return stored(model_id).eval().requires_grad_(False)

    task = Task(
        forget=part(indices.forget),
        retain=part(indices.retain) if spec.access == "full" else None,
        classes=data.classes,
        seed=seed,
        device=device,
        recipe=spec.recipe,
        original=fixed(spec.original),
        validation=examples_of(data.validation, spec.recipe, device)
        if spec.data.validation
        else None,
        build=lambda s: new_model(spec, data, device, s),
        other=fixed(spec.other) if spec.other else None,
    )
    start = stored(spec.start)
    shape = {name: value.shape for name, value in start.state_dict().items()}
    with recorder.timed("total", device):
        model = method.unlearn(start, task)
    verify(model, shape)
    settle(model, task.original)
    return model


def accuracies(
    pool: Examples, forget: NDArray[np.int64], data: Data
) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function from a model to its accuracies on D_F and D_T in percent."""
    train = len(data.train[1])
    tested = np.arange(train, train + len(data.test[1]))
    parts = {
        name: pool.select(torch.from_numpy(index).to(pool.labels.device))
        for name, index in (("forget_accuracy", forget), ("test_accuracy", tested))
    }

    def probe(model: nn.Module) -> dict[str, float]:
        training, found = model.training, {}
        for name, examples in parts.items():
            right = outputs(model, examples).argmax(1) == examples.labels
            found[name] = 100 * float(right.float().mean())
        model.train(training)
        return found

    return probe


def verify(model: object, shape: Mapping[str, torch.Size]) -> None:
    """Raise MethodError unless `model` is a module of the given shape with finite weights."""
    if not isinstance(model, nn.Module):
        raise MethodError(f"unlearn returned {type(model).__name__}, not a model.")
    state = model.state_dict()
    if {name: value.shape for name, value in state.items()} != shape:
        raise MethodError("unlearn returned a model of another architecture.")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise MethodError(f"unlearn returned non-finite weights in {name}: it diverged.")


def new_model(spec: Spec, data: Data, device: torch.device, seed: int) -> nn.Module:
    """Build the benchmark's architecture with weights drawn from `seed`, whatever the device."""
    plugin = registry.get(registry.find("models"), "model", spec.model)
    images = data.train[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(seed, "initialisation"))
        model = plugin.load().build(data.classes, images.shape[1], images.shape[-1])
    return cast("nn.Module", model.to(device))


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in MB: of this run on a GPU, of the whole worker so far on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
