"""Steps of training as one graph of kernels, which a GPU is given in a single call.

A step of a small net is hundreds of kernels, and giving them out one by one takes longer than they
run.
"""

from collections.abc import Callable

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
    waiting for the device.
    """
    here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = step()

    def replay() -> Tensor:
        graph.replay()
        return made

    return replay
