"""What a plugin does to its process touches no other run, and what it raises ends no other."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.conftest import allowed
from unlearnbench.errors import MethodError, UserError
from unlearnbench.guarding.border import border, told
from unlearnbench.guarding.guard import foreign, guarded, witnessed
from unlearnbench.guarding.states import UNIX

STATES: dict[str, Callable[[], object]] = {
    "gradients on or off": lambda: torch.set_grad_enabled(False),
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the default device": lambda: torch.set_default_device("meta"),
    "the number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "the precision of float32": lambda: torch.set_float32_matmul_precision("medium"),
    "deterministic algorithms": lambda: torch._C._set_deterministic_algorithms(True),
    "flags of cuDNN": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "flags of oneDNN (mkldnn)": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "denormal numbers": lambda: torch.set_flush_denormal(True),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "hooks of all modules": lambda: torch.nn.modules.module.register_module_forward_hook(print),
    "torch's global random state": lambda: torch.rand(1),
    "numpy's global random state": lambda: np.random.rand(),
    "numpy's errors": lambda: np.seterr(all="ignore"),
    "random's global random state": random.random,
    "the warnings filters": lambda: warnings.simplefilter("ignore"),
    "the working folder": lambda: os.chdir("/"),
    "the environment": lambda: os.environ.update(UNLEARNBENCH_TEST="1"),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    "alarms": lambda: signal.alarm(1000),
    "the umask": lambda: os.umask(0o077),
    "the recursion limit": lambda: sys.setrecursionlimit(5000),
    "standard input and output": lambda: setattr(sys, "stdout", None),
    "the way that processes are started": lambda: torch.multiprocessing.set_start_method(
        "spawn", force=True
    ),
    "what stands for torch.nn.functional.cross_entropy": lambda: setattr(
        functional, "cross_entropy", functional.nll_loss
    ),
    "what stands for Tensor.backward": lambda: setattr(torch.Tensor, "backward", print),
}


@pytest.mark.parametrize("name", STATES)
def test_each_kind_of_state_is_put_back_and_named(name: str) -> None:
    with guarded() as left:
        STATES[name]()
    assert name in left.changed and left.stuck == []
    with guarded() as left:
        pass
    assert left.changed == []


def test_resource_limits_are_put_back() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    with guarded() as left:
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))
    assert resource.getrlimit(resource.RLIMIT_CORE) == before
    assert left.changed == ([] if before[0] == 0 else ["resource limits"])
    assert {"resource limits", "the priority"} <= {state.name for state in UNIX}


def test_what_cannot_be_put_back_is_named_as_such() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, args=(60,))
    mode = torch.inference_mode()
    try:
        with guarded() as left:
            thread.start()
            mode.__enter__()
        assert left.stuck == ["threads that go on", "inference mode"]
    finally:
        mode.__exit__(None, None, None)
        go.set()
        thread.join()


def test_a_function_that_is_patched_within_another_guard_is_put_back_there_and_then() -> None:
    loss = functional.cross_entropy
    with guarded() as outer:
        with guarded() as inner:
            functional.cross_entropy = print  # type: ignore[assignment]
        assert functional.cross_entropy is loss
    assert inner.changed and not outer.changed


class SilentError(Exception):
    """Refuse to say what happened."""

    def __str__(self) -> str:
        raise SystemExit(0)


def _stop() -> None:
    sys.exit(0)


def _parse() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--needed", required=True)
    parser.parse_args([])


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (_stop, "SystemExit: 0"),
        (_parse, "SystemExit: 2"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raising(GeneratorExit()), "GeneratorExit"),
        (raising(StopIteration()), "StopIteration"),
        (raising(BaseException("base")), "BaseException: base"),
        (raising(SilentError()), "SilentError: (its message cannot be read)"),
        (raising(ValueError("half \udcff of it")), r"ValueError: half \udcff of it"),
        (raising(ValueError("\x1b[31mred\x00")), r"ValueError: \x1b[31mred\x00"),
        (raising(UserError("known.")), "known."),
    ],
)
def test_whatever_foreign_code_raises_is_one_line(act: Callable[[], None], line: str) -> None:
    with pytest.raises(MethodError) as error, foreign(MethodError):
        act()
    assert str(error.value) == line
    assert told(error.value) == line


def test_a_ctrl_c_that_is_real_goes_through() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt), border(MethodError):
            signal.raise_signal(signal.SIGINT)
            time.sleep(5)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_witnesses_see_is_each_call() -> None:
    with witnessed() as seen:
        for _ in range(2):
            with foreign(MethodError):
                torch.rand(1)
    assert [left.changed for left in seen] == [["torch's global random state"]] * 2


def test_two_guards_one_in_the_other_take_no_five_milliseconds() -> None:
    """As many as a run has: round its job, and round its method."""

    def spent() -> float:
        start = time.process_time()
        with guarded(), foreign(MethodError):
            pass
        return time.process_time() - start

    assert min(spent() for _ in range(30)) < allowed(0.005)
