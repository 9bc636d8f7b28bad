"""Steps of training as one graph of kernels, which a GPU is given in a single call.

A step of a small net is hundreds of kernels, and giving them out one by one takes longer than they
run.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

WARM_UP = 3
"""Times that a step is made before it is captured, so that libraries have chosen their kernels."""
FEWEST = 10
"""Full batches of an epoch from which capturing a step pays."""


def captured(step: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """Return a function that does what `step` does, on the tensors that it was captured with.

    What it returns lies where the step's result lay, until the next call. The step is made a few
    times meanwhile. Raises whatever it raises, and RuntimeError for what no graph can hold, such as
    waiting for the device. The current stream is as it was then, too.
    """
    here, aside = torch.cuda.current_stream(device), _aside(device)
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP - 1):
            step()
        with _waiting_refused():
            step()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Where a capture breaks off, torch's own block leaves its stream the current one.
    with torch.cuda.stream(here), torch.cuda.graph(graph, stream=aside):
        made = step()

    def replay() -> Tensor:
        graph.replay()
        return made

    return replay


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that steps are tried and captured on, one a device for all of them.

    cuBLAS keeps memory for each stream that it has worked on, 32 MB a thread on a Hopper, for good.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _waiting_refused() -> Iterator[None]:
    """Raise RuntimeError where the block waits for a device.

    A capture would break off there, before torch has taken its generator and its allocator out of
    it, and later draws and allocations of this process may fail.
    """
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():  # torch warns that it does not find all of them
        warnings.filterwarnings("ignore", "Synchronization debug mode", UserWarning)
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
