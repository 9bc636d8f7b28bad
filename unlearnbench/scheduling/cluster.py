"""More than one machine: the scheduler's jobs as tasks of a Dask cluster."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import cache
from typing import Any

from unlearnbench.errors import UserError
from unlearnbench.scheduling.slots import Activity, Event, Job, Slot
from unlearnbench.scratch import scratch

RESOURCE = "slot"
PATIENCE = 10
"""Seconds to wait for the scheduler to answer."""
HINT = f"Start workers with: dask worker ADDRESS --nthreads 1 --resources '{RESOURCE}=1'."


class ClusterWorker:
    """Stand for one slot somewhere in the cluster; Dask says where, and outlives its workers."""

    def __init__(self, slot: Slot, client: Any, gpus: "Gpus") -> None:
        """Submit to `client`, a distributed.Client; gpus: seen so far, of all workers."""
        self.slot, self._gpus = slot, gpus
        self.fresh = True
        self._client = client
        self._task: Any = None
        self._spoilt: str | None = None

    def submit(self, work: Callable[[Job, Slot], Event], job: Job) -> Future[Event]:
        """Run `work` on whichever worker has a slot free."""
        self.slot.busy(Activity(job.node.spec.id, job.node.label))
        ended: Future[Event] = Future()
        if not self._connected:
            raise self._lost()
        self.fresh = self._task is None
        self._task = self._client.submit(_there, work, job, pure=False, resources={RESOURCE: 1})
        self._task.add_done_callback(lambda task: self._hand_over(task, ended))
        return ended

    @property
    def _connected(self) -> bool:
        """Whether the scheduler is there; a client whose scheduler went away tries to reconnect."""
        return bool(self._client.status == "running")

    def _lost(self) -> UserError:
        where = self.slot.device.partition("#")[0]
        hint = "What is finished is kept; start it again, and the same command goes on."
        return UserError(f"The Dask scheduler at {where} is gone.", hint)

    def _hand_over(self, task: Any, ended: Future[Event]) -> None:
        self.slot.idle()
        if task.status == "finished":
            try:
                event, where, gpu = task.result(timeout=PATIENCE)
            except Exception as error:  # who has the result, or knows who, has just gone
                lost = CancelledError(str(error)) if self._connected else self._lost()
                ended.set_exception(lost)
                return
            self._spoilt = where if event.stuck else None
            self._gpus.note(where, gpu)
            ended.set_result(event)
        elif not self._connected:
            ended.set_exception(self._lost())
        else:  # cancelled, lost, or the death of one worker after another
            ended.set_exception(CancelledError(f"the task is {task.status}"))

    def stop(self) -> None:
        """Give up the task, if there is one; what a worker has begun there it ends, unheard.

        A worker in which a plugin has left what cannot be put back is started again, by its nanny:
        raises UserError where it has none.
        """
        if self._task is not None and self._connected:
            self._task.cancel(force=True)
        self._task = None
        where, self._spoilt = self._spoilt, None
        if where is not None and self._connected:
            try:
                self._client.restart_workers([where])
            except ValueError as error:
                problem = f"A method left the worker {where} unfit for other runs."
                raise UserError(
                    problem, "Start workers with a nanny, and type it again."
                ) from error
        self.slot.idle()


Gpu = tuple[str, str] | None
"""What no other GPU has, and its name; None for a worker that has none."""


def _there(work: Callable[[Job, Slot], Event], job: Job) -> tuple[Event, str, Gpu]:
    """Do a job; return its event, where that was, and on which GPU."""
    from distributed import get_worker

    return work(job, _slot_there()), get_worker().address, _gpu_there()


@cache
def _slot_there() -> Slot:
    """Make this worker's slot, of the GPU that it sees or else of its CPU."""
    import torch

    torch.set_num_threads(1)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return Slot(None, device)  # the display is on another machine


@cache
def _gpu_there() -> Gpu:
    """Return the GPU that this worker takes."""
    import torch

    if not torch.cuda.is_available():
        return None
    about = torch.cuda.get_device_properties(0)
    return str(getattr(about, "uuid", "")), about.name


class Gpus:
    """Know which GPU each worker takes, and name those that take one together, once a worker."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Tell in lines."""
        self._tell = tell
        self._seen: dict[str, Gpu] = {}

    def note(self, worker: str, gpu: Gpu) -> None:
        """Note what a worker, by its address, has said of itself."""
        if gpu is None or not gpu[0] or worker in self._seen:
            return
        for other, taken in self._seen.items():
            if taken == gpu:
                self._tell(
                    f"Workers {other} and {worker} take the same GPU ({gpu[1]}): start each with a"
                    " CUDA_VISIBLE_DEVICES of its own."
                )
                break
        self._seen[worker] = gpu


@contextmanager
def open_cluster(
    address: str, tell: Callable[[str], None] = lambda text: None
) -> Iterator[list[ClusterWorker]]:
    """Connect to a Dask scheduler for as long as the block lasts, or raise UserError.

    tell: hears which workers take one GPU together.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("Dask is not installed.", "pip install 'unlearnbench[dask]'") from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what ends a run is said in a line
    try:
        client = Client(address, timeout=PATIENCE)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(f"There is no Dask scheduler at {address}: {error}.", HINT) from error
    with client, scratch() as folder:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        count = int(sum(worker["resources"].get(RESOURCE, 0) for worker in workers))
        if not count:
            raise UserError(f"The workers at {address} offer no '{RESOURCE}'.", HINT)
        slots = [Slot(folder / f"{n}.json", f"{address}#{n + 1}") for n in range(count)]
        gpus = Gpus(tell)
        yield [ClusterWorker(slot, client, gpus) for slot in slots]
