"""Make the models that a plan lacks, on the slots of this machine or of a cluster."""

import signal
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module

from unlearnbench.api import samples
from unlearnbench.api.listener import Listener, Outlook
from unlearnbench.api.request import Request
from unlearnbench.data.handing import hand_on
from unlearnbench.errors import MethodError
from unlearnbench.execution import Workplace
from unlearnbench.planning.expansion import Planned
from unlearnbench.registry import Plugin
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.cluster import open_cluster
from unlearnbench.scheduling.placement import guessed_need
from unlearnbench.scheduling.processes import open_workers
from unlearnbench.scheduling.scheduler import Scheduler
from unlearnbench.scratch import scratch
from unlearnbench.storage.store import Store


def work_off(
    request: Request,
    planned: Planned,
    store: Store,
    outlook: Outlook,
    listener: Listener,
    seen: samples.DataSeen,
) -> bool:
    """Make the open nodes of the data that were seen; say whether all could be made."""
    address, placement = request.address, request.placement
    workers_here = open_workers(placement.devices, placement.jobs)
    opened = open_cluster(address, listener.told) if address else workers_here
    # Workers find those that are shipped or installed by themselves.
    classes = [plugin for plugin in planned.plugins.values() if plugin.pickled]
    added = (*map(Plugin.of, planned.benchmark.plugins), *classes)
    root, failed = request.data.resolve(), 0
    lists, given = request.asked.lists, request.given
    workplace = Workplace(
        root, added, request.profile, lists=lists, given=given, images=request.images
    )
    with opened as workers, scratch() as folder:
        if seen.data is not None and not address:
            given_out = hand_on(seen.data, planned.benchmark.data, folder)
            workplace = replace(workplace, handed=given_out)
        scheduler = Scheduler(
            planned.plan,
            store,
            workers,
            workplace,
            length=outlook.known.length,
            capacity=placement.capacity(planned.plan, store, partial(_need, planned, seen)),
            timeout=request.timeout,
            tell=listener.told,
        )
        slots = [worker.slot for worker in workers]
        with _hearing_ctrl_c(scheduler, listener), listener.working(outlook, slots):
            _import_meanwhile()
            for event in scheduler.run(outlook.state):
                node = planned.plan.nodes[event.run]
                if event.status == "done" and not event.message:
                    took = estimate.undivided(event.seconds, event.device, event.neighbours)
                    outlook.known.learn(node, took)
                listener.ended(event)
                failed += event.status in ("failed", "blocked")
        if scheduler.stopping:
            raise KeyboardInterrupt
    store.refresh()
    return not failed


def _import_meanwhile() -> None:
    """Import what measuring takes longest to import, while models are being made."""
    threading.Thread(target=import_module, args=("sklearn.svm",), daemon=True).start()


def _need(planned: Planned, seen: samples.DataSeen) -> int | None:
    """Guess the MB that a run takes on a GPU, from the model's parameters and a batch of images."""
    # torch, which a CPU's run has no need of
    from unlearnbench.execution.building import build_model

    if seen.data is None:
        return None
    asked, data = planned.benchmark, seen.data
    _, channels, _, side = data.train[0].shape
    try:
        model = build_model(asked.model, 0, data.classes, channels, side, asked.plugins)
    except MethodError:  # which each run says, where it is made
        return None
    parameters, image = sum(p.numel() for p in model.parameters()), channels * side**2
    return guessed_need(parameters, asked.recipe.batch_size, image, len(data.labels))


def _hearing_ctrl_c(scheduler: Scheduler, listener: Listener) -> ExitStack:
    """Let the first Ctrl-C finish what is running and the second one stop at once."""

    def on_signal(number: int, frame: object) -> None:
        if scheduler.stopping:
            raise KeyboardInterrupt
        scheduler.stopping = True
        listener.told(
            "Finishing what is running; Ctrl-C again stops at once"
            " (in a notebook: the stop button)."
        )

    after = ExitStack()
    if threading.current_thread() is threading.main_thread():  # no other hears signals
        after.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, on_signal))
    return after
