"""What a worker of a slot does for others than the scheduler: a try, in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unlearnbench.errors import MethodError
from unlearnbench.execution.trying import Run, Tried
from unlearnbench.scheduling.processes import LOST, open_workers
from unlearnbench.scheduling.slots import Slot


@contextmanager
def in_own_process() -> Iterator[Run]:
    """Yield a function that calls others in a worker, as runs are made in one.

    A worker that dies, or is not as it was before, is replaced. Raises MethodError if it dies.
    """
    with open_workers(["cpu"], 1) as (worker,):

        def run(work: Callable[..., Tried], given: tuple[Any, ...]) -> Tried:
            try:
                tried = worker.submit(_call, (work, given)).result()
            except LOST as error:
                worker.stop()
                raise MethodError("its process was ended, by itself or by the system") from error
            if tried.stuck:
                worker.stop()
            return tried

        try:
            yield run
        finally:
            worker.stop()


def _call(job: tuple[Callable[..., Tried], tuple[Any, ...]], slot: Slot) -> Tried:
    work, given = job
    return work(*given)
