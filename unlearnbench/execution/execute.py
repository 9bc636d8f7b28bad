"""Make one model as its spec says, and read its signals. Knows no terminal and no folder."""

import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from unlearnbench import registry
from unlearnbench.authoring import Method, Task
from unlearnbench.data.prepare import Data, DataSpec, draw_samples
from unlearnbench.data.splits import Indices, by_memorisation, cut, reference_members
from unlearnbench.errors import DataError, MethodError
from unlearnbench.execution.signals import read_logits, signals
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Recipe
from unlearnbench.seeds import seed_for
from unlearnbench.storage.store import Store
from unlearnbench.toolkit.bounded import settle
from unlearnbench.toolkit.examples import Examples, outputs
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.training import train


@lru_cache(maxsize=2)
def load_data(spec: DataSpec, root: Path) -> Data:
    """Read a data set once a worker."""
    return draw_samples(registry.source(spec, root), spec)


@lru_cache(maxsize=2)
def memorisation_order(spec: DataSpec, root: Path) -> NDArray[np.int64]:
    """Order the training samples once a worker: all pairs are compared."""
    return by_memorisation(*load_data(spec, root).train)  # pyright: ignore[reportArgumentType]


@lru_cache(maxsize=1)
def resident(spec: DataSpec, root: Path, recipe: Recipe, device: torch.device) -> Examples:
    """Keep the pool of one benchmark on the device, as uint8."""
    data = load_data(spec, root)  # pyright: ignore[reportArgumentType]
    test, held_out = (examples_of(part, recipe, device) for part in (data.test, data.held_out))
    return examples_of(data.train, recipe, device) + test + held_out


def examples_of(
    part: tuple[NDArray[np.uint8], NDArray[np.int64]], recipe: Recipe, device: torch.device
) -> Examples:
    """Move arrays to the device."""
    images, labels = (torch.from_numpy(array).to(device) for array in part)
    return Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), recipe)


Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Bench:
    """Say where a worker finds things: device, data folder, methods that were added.

    digest: that the data must have, those of earlier runs; None if there are none.
    """

    device: str
    data_root: Path
    plugins: tuple[registry.Plugin, ...] = ()
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
        pool = resident(spec.data, bench.data_root, spec.recipe, device)  # pyright: ignore[reportArgumentType]
    indices, about = forget_set(spec, data, bench.data_root), _about(spec, data)
    member = trained_on(spec, data, indices, len(pool))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with recording(recorder):
        if curve and indices is not None:
            recorder.probe = accuracies(pool, indices.forget, data)
        if spec.kind == "unlearn" and indices is not None:
            method, about["source"] = _method(spec, bench)
            model = unlearn(method, spec, data, indices, pool, weights, recorder)
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
    about["peak memory MB"] = peak_memory(device)
    kept = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return Outcome(read, logits, kept, indices, recorder, about)


def _about(spec: Spec, data: Data) -> dict[str, Any]:
    """Say which data a run has, for its record."""
    return {
        "data": data.digest,
        "data source": registry.find("datasets")[spec.data.name].source_hash(),
        "train": len(data.train[1]),
        "test": len(data.test[1]),
        "classes": data.classes,
        "image": list(data.train[0].shape[1:]),
    }


def _method(spec: Spec, bench: Bench) -> tuple[Method, str]:
    """Return the method of a spec with its settings, and the hash of its source."""
    plugin = registry.get(registry.runnable(bench.plugins), "method", str(spec.method))
    method = registry.build(registry.method_class(plugin), plugin.name, spec.settings)
    return method, plugin.source_hash()


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
    pool: Examples,
    weights: Callable[[str], Weights],
    recorder: Recorder,
) -> nn.Module:
    """Hand a method its own copy of the model and what it may know; check what it gives back."""
    seed, device = seed_for(spec.seed, "unlearn"), pool.labels.device

    def stored(model_id: str | None) -> nn.Module:
        model = new_model(spec, data, device, seed)
        if model_id is not None:
            model.load_state_dict(weights(model_id))
        return model

    def part(index: NDArray[np.int64]) -> Examples:
        return pool.select(torch.from_numpy(index).to(device))  # training samples come first

    def fixed(model_id: str | None) -> nn.Module:
        return stored(model_id).eval().requires_grad_(False)

    validation = examples_of(data.validation, spec.recipe, device)
    task = Task(
        forget=part(indices.forget),
        retain=part(indices.retain) if spec.access == "full" else None,
        classes=data.classes,
        seed=seed,
        device=device,
        recipe=spec.recipe,
        original=fixed(spec.original),
        validation=validation if spec.data.validation else None,
        build=lambda s: new_model(spec, data, device, s),
        other=fixed(spec.other) if spec.other else None,
    )
    start = stored(spec.start)
    shape = {name: value.shape for name, value in start.state_dict().items()}
    with recorder.timed("total", device):
        model = method.unlearn(start, task)
    verify_model(model, shape)
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
        training, percent = model.training, {}
        for name, examples in parts.items():
            right = outputs(model, examples).argmax(1) == examples.labels
            percent[name] = 100 * float(right.float().mean())
        model.train(training)
        return percent

    return probe


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


def stored_model(store: Store, run: str, root: Path) -> nn.Module:
    """Return a model whose weights were kept, on the CPU and in eval mode.

    root: of data sets, which are read only for a record of a version that did not note their shape.
    """
    record = store.record(run)
    spec = Spec.model_validate(record["spec"])
    if "image" in record:
        classes, (channels, _, side) = record["classes"], record["image"]
    else:
        data = load_data(spec.data, root)  # pyright: ignore[reportArgumentType]
        classes, (channels, _, side) = data.classes, data.train[0].shape[1:]
    plugin = registry.get(registry.find("models"), "model", spec.model)
    with torch.random.fork_rng(devices=[]):
        model = cast("nn.Module", plugin.load().build(classes, channels, side))
    model.load_state_dict(load_file(store.model_path(run)))
    return model.eval()
