"""Kinds of state that torch has one of. They are read only where torch has been imported."""

import sys
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

from unlearnbench.guarding.states import State

FLAGS = {
    "cuDNN": ("cudnn", "enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32"),
    "oneDNN (mkldnn)": ("mkldnn", "enabled", "deterministic"),
    "cuBLAS": (
        "cuda.matmul",
        "allow_tf32",
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    ),
    "opt_einsum": ("opt_einsum", "enabled", "strategy"),
    "quantised operators": ("quantized", "engine"),
}
"""By name for people: where in `torch.backends`, and which flags."""
PRECISIONS = (
    "",
    "cudnn",
    "cudnn.conv",
    "cudnn.rnn",
    "cuda.matmul",
    "mkldnn",
    "mkldnn.conv",
    "mkldnn.matmul",
    "mkldnn.rnn",
)
"""Where in `torch.backends` newer versions keep a precision of float32."""
ATTENTION = ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp")
HOOKS = tuple(
    f"_global_{kind}"
    for kind in (
        "forward_hooks",
        "forward_pre_hooks",
        "forward_hooks_always_called",
        "forward_hooks_with_kwargs",
        "backward_hooks",
        "backward_pre_hooks",
        "buffer_registration_hooks",
        "module_registration_hooks",
        "parameter_registration_hooks",
    )
)
LEAST, ONE = 5e-324, 1.0


def torch() -> Any:
    """Return torch, which is imported if any of these states is read."""
    return sys.modules["torch"]


def _backend(place: str) -> Any:
    backends = torch().backends
    return attrgetter(place)(backends) if place else backends


@lru_cache
def _there(place: str, *names: str) -> tuple[str, ...]:
    """Return those of some flags that this version of torch has."""
    try:
        found = _backend(place)
    except AttributeError:
        return ()
    return tuple(name for name in names if _has(found, name))


def _has(found: Any, name: str) -> bool:
    try:
        getattr(found, name)
    except Exception:  # of flags that it lacks the older versions assert that there are none
        return False
    return True


def _flags(place: str, *names: str) -> list[Any]:
    found = _backend(place) if (known := _there(place, *names)) else None
    return [getattr(found, name) for name in known]


def _set_flags(before: list[Any], place: str, *names: str) -> None:
    for name, value in zip(_there(place, *names), before, strict=True):
        if getattr(_backend(place), name) != value:
            setattr(_backend(place), name, value)


def _of_backend(name: str, *what: str) -> State:
    return State(
        f"flags of {name}", lambda: _flags(*what), lambda before: _set_flags(before, *what)
    )


def _precisions() -> list[Any]:
    return [_flags(place, "fp32_precision") for place in PRECISIONS]


def _set_precisions(before: list[Any]) -> None:
    for place, values in zip(PRECISIONS, before, strict=True):
        _set_flags(values, place, "fp32_precision")


def _attention() -> list[Any]:
    cuda = torch().backends.cuda
    return [
        read() if (read := getattr(cuda, f"{name}_enabled", None)) else None for name in ATTENTION
    ]


def _set_attention(before: list[Any]) -> None:
    for name, value in zip(ATTENTION, before, strict=True):
        if value is not None:
            getattr(torch().backends.cuda, f"enable_{name}")(value)


def _random() -> bytes:
    state: bytes = torch().get_rng_state().numpy().tobytes()
    return state


def _draw(before: bytes) -> None:
    torch().set_rng_state(torch().frombuffer(bytearray(before), dtype=torch().uint8))


def _cuda() -> Any:
    return torch().cuda if torch().cuda.is_initialized() else None


def _gpu() -> Any:
    cuda = _cuda()
    return None if cuda is None else (cuda.current_device(), cuda.current_stream())


def _set_gpu(before: Any) -> None:
    device, stream = before
    _cuda().set_device(device)
    _cuda().set_stream(stream)


def _random_of_gpu() -> bytes | None:
    cuda = _cuda()
    return None if cuda is None else cuda.get_rng_state().numpy().tobytes()


def _draw_on_gpu(before: bytes) -> None:
    _cuda().set_rng_state(torch().frombuffer(bytearray(before), dtype=torch().uint8))


def _taken(before: Any, now: Any) -> bool:
    """Say whether what is known of a GPU differs; that it was first used is no difference.

    What has been taken is given back by the end of the process alone.
    """
    return before is not None and before != now


def _default_device() -> Any:
    context = getattr(torch()._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _deterministic() -> Any:
    torch_ = torch()
    return (
        torch_.are_deterministic_algorithms_enabled(),
        torch_.is_deterministic_algorithms_warn_only_enabled(),
        torch_.utils.deterministic.fill_uninitialized_memory,
    )


def _determine(before: Any) -> None:
    mode, warn_only, fill = before
    # what the public function calls, which imports the compiler first
    torch()._C._set_deterministic_algorithms(mode, warn_only=warn_only)
    torch().utils.deterministic.fill_uninitialized_memory = fill


def _autocast() -> list[Any]:
    torch_ = torch()
    kinds = [
        (torch_.is_autocast_enabled(kind), torch_.get_autocast_dtype(kind))
        for kind in ("cpu", "cuda")
    ]
    return [*kinds, torch_.is_autocast_cache_enabled()]


def _cast(before: list[Any]) -> None:
    *kinds, cache = before
    for kind, (enabled, dtype) in zip(("cpu", "cuda"), kinds, strict=True):
        torch().set_autocast_enabled(kind, enabled)
        torch().set_autocast_dtype(kind, dtype)
    torch().set_autocast_cache_enabled(cache)


def _anomaly() -> Any:
    return torch().is_anomaly_enabled(), torch().is_anomaly_check_nan_enabled()


def _hooks() -> list[Any]:
    module = torch().nn.modules.module
    return [dict(getattr(module, name, {})) for name in HOOKS]


def _set_hooks(before: list[Any]) -> None:
    module = torch().nn.modules.module
    for name, hooks in zip(HOOKS, before, strict=True):
        if hasattr(module, name):
            held = getattr(module, name)
            held.clear()
            held.update(hooks)


def _modes() -> tuple[int, int]:
    c = torch()._C
    return c._len_torch_function_stack(), c._len_torch_dispatch_stack()


def _saved() -> Any:
    return torch()._C._autograd._top_saved_tensors_default_hooks(True)


def _safe_globals() -> set[Any]:
    return set(torch().serialization.get_safe_globals())


def _set_safe_globals(before: set[Any]) -> None:
    torch().serialization.clear_safe_globals()
    torch().serialization.add_safe_globals(list(before))


def _flushes() -> bool:
    return LEAST * ONE == 0.0


def of(name: str) -> Callable[..., Any]:
    """Return a function of torch's by its name, looked up when it is called."""
    return lambda *given: attrgetter(name)(torch())(*given)


TORCH = [
    State("torch's global random state", _random, _draw),
    State("gradients on or off", of("is_grad_enabled"), of("_C._set_grad_enabled")),
    State("inference mode", of("is_inference_mode_enabled")),
    State("the default dtype", of("get_default_dtype"), of("set_default_dtype")),
    State("the default device", _default_device, of("set_default_device")),
    State("the number of threads", of("get_num_threads"), of("set_num_threads")),
    State("the number of interop threads", of("get_num_interop_threads")),
    State("deterministic algorithms", _deterministic, _determine),
    State("denormal numbers", _flushes, of("set_flush_denormal")),
    State(
        "the precision of float32",
        of("get_float32_matmul_precision"),
        of("set_float32_matmul_precision"),
    ),
    State("the precision of float32 by backend", _precisions, _set_precisions),
    *(_of_backend(name, *what) for name, what in FLAGS.items()),
    State("kinds of attention", _attention, _set_attention),
    State("autocast", _autocast, _cast),
    State("anomaly detection", _anomaly, lambda before: of("set_anomaly_enabled")(*before)),
    State("hooks of all modules", _hooks, _set_hooks),
    State("modes of torch", _modes),
    State("hooks of saved tensors", _saved),
    State("what torch.load may load", _safe_globals, _set_safe_globals, of_import=True),
    State("the GPU", _gpu, _set_gpu, differs=_taken),
    # after the device that it is of
    State("the GPU's global random state", _random_of_gpu, _draw_on_gpu, differs=_taken),
]
