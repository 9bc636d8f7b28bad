"""What a method gives back, as a model of the architecture that it was given."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unlearnbench.errors import MethodError
from unlearnbench.execution.checkpoint import COUNT, plain_names
from unlearnbench.toolkit.counting import is_counter
from unlearnbench.toolkit.recorder import recorder

NAMED = 3
"""How many entries an error names."""
ORIG, MASK = "_orig", "_mask"
"""What pruning puts behind the names of a weight and of what is left of it."""


class TensorKind(NamedTuple):
    """Say of an entry of a model what it is, whatever its values are."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


def kinds(model: nn.Module) -> dict[str, TensorKind]:
    """Say what the entries of a model are."""
    return {name: _kind(value) for name, value in model.state_dict().items()}


def _kind(value: Tensor) -> TensorKind:
    return TensorKind(value.shape, value.dtype, value.device)


def returned(
    model: object, like: Mapping[str, TensorKind], fresh: Callable[[], nn.Module]
) -> nn.Module:
    """Return what a method gave back, with finite weights and without what wraps them.

    DataParallel, torch.compile, averages of weights, pruning, parametrisations and hooks are taken
    off, and weights of another precision taken as float32, which is noted: then they are those of
    a `fresh` model. like: the entries of the model that the method was given. Raises MethodError
    for any other model.
    """
    if not isinstance(model, nn.Module):
        raise MethodError(f"unlearn returned {type(model).__name__}, not a model.")
    if not _is_like(model.state_dict(), like) or _is_hooked(model):
        model = _unwrapped(model, like, fresh())
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise MethodError(f"unlearn returned non-finite weights in {name}: it diverged.")
    return model


def _is_like(state: Mapping[str, object], like: Mapping[str, TensorKind]) -> bool:
    return state.keys() == like.keys() and all(
        isinstance(value, Tensor) and _kind(value) == like[name] for name, value in state.items()
    )


def _is_hooked(model: nn.Module) -> bool:
    """Say whether more than its weights and its class has a part in what a model computes."""
    for module in model.modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        if "forward" in vars(module) or not all(map(is_counter, hooks)):
            return True
    return False


def _unwrapped(model: nn.Module, like: Mapping[str, TensorKind], fresh: nn.Module) -> nn.Module:
    """Give a fresh model the weights that another one computes with."""
    with torch.no_grad():
        entries = dict(_entries(model))
    entries.pop(COUNT, None)
    state = dict(zip(plain_names(entries), entries.values(), strict=True))
    names = dict(zip(plain_names(like), like, strict=True))
    _require_shapes(state, {name: like[own].shape for name, own in names.items()})
    other = {
        str(value.dtype).removeprefix("torch.")
        for name, value in state.items()
        if value.dtype != like[names[name]].dtype
    }
    if any(value.is_quantized or value.is_complex() for value in state.values()):
        raise MethodError(
            f"unlearn returned weights of {', '.join(sorted(other))}: return them as float32."
        )
    if other:
        recorder().warn(f"unlearn returned weights of {', '.join(sorted(other))}: taken as float32")
    fresh.load_state_dict({own: state[name] for name, own in names.items()})
    return fresh


def _entries(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what a model computes with, by the names that it has without pruning and the like."""
    for place, module in model.named_modules(remove_duplicate=False):
        if ".parametrizations." in f".{place}.":
            continue
        prefix = f"{place}." if place else ""
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        transient = module._non_persistent_buffers_set
        own |= {k: v for k, v in module.named_buffers(recurse=False) if k not in transient}
        stems = {name.removesuffix(MASK) for name in own if name.endswith(MASK)}
        for pruned in {stem for stem in stems if stem + ORIG in own}:
            own[pruned] = own.pop(pruned + ORIG) * own.pop(pruned + MASK)
        yield from ((prefix + name, value) for name, value in own.items())
        if parametrize.is_parametrized(module):
            held = cast("nn.ModuleDict", module.parametrizations)
            for name in held:
                yield prefix + name, getattr(module, name)


def _require_shapes(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Raise MethodError unless the entries are those of an architecture."""
    problems = [
        _told("is missing", sorted(shapes.keys() - state.keys())),
        _told("has", sorted(state.keys() - shapes.keys()), " that it did not have"),
        _told(
            "has",
            [name for name in shapes if name in state and state[name].shape != shapes[name]],
            " of another shape",
        ),
    ]
    if found := [problem for problem in problems if problem]:
        raise MethodError(
            f"unlearn returned a model of another architecture: it {', '.join(found)}. Return the"
            " model that it was given, or one of `task.untrained`, with nothing put round it."
        )


def _told(verb: str, names: list[str], what: str = "") -> str:
    some = ", ".join(names[:NAMED]) + (", ..." if names[NAMED:] else "")
    return f"{verb} {some}{what}" if names else ""
