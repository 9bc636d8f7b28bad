"""What one worker does with one node: execute it, store the result, say how it went."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unlearnbench.environment import describe
from unlearnbench.errors import DataError, MethodError, NoRoomError, causes
from unlearnbench.execution.execute import Outcome, execute
from unlearnbench.execution.signals import compact
from unlearnbench.guarding.border import told, traced
from unlearnbench.guarding.guard import guarded
from unlearnbench.planning.plan import Node, digest
from unlearnbench.scheduling.slots import Activity, Event, Job, Slot
from unlearnbench.storage.store import Store

EXHAUSTED = (MemoryError, torch.cuda.OutOfMemoryError)
"""What is raised for want of memory."""


def work(job: Job, slot: Slot) -> Event:
    """Make one model and store it. A failure is written down and returned, never raised.

    This process is then as it was before, or the event says what it is that could not be put back.
    """
    slot.busy(Activity(job.node.spec.id, job.node.label))
    try:
        with guarded() as left:
            event = _made(job, slot)
    except NoRoomError as error:
        return Event("failed", job.node.spec.id, job.node.label, 0.0, str(error), fatal=True)
    finally:
        slot.idle()
    return replace(event, stuck=tuple(left.stuck))


def _made(job: Job, slot: Slot) -> Event:
    """Make one model and store it. Raises NoRoomError where nothing more can be written."""
    node, store = job.node, _store(job.results)
    run = node.spec.id
    start = time.perf_counter()

    def on_epoch(epoch: int, epochs: int) -> None:
        slot.busy(Activity(run, node.label, epoch, epochs))

    def weights(model: str) -> Mapping[str, Tensor]:
        damage = store.damage(model)
        if damage is not None:
            raise MethodError(f"{damage}: start again, and it is made again")
        return load_file(store.model_path(model), device=slot.device)

    try:
        store.renew(node.needs)
        if slot.device.startswith("cuda"):
            torch.cuda.set_device(slot.device)
        place = job.workplace
        outcome = execute(
            node.spec, slot.device, place, weights, on_epoch, store.record, curve=node.curve
        )
        save(store, node, outcome, slot.device)
    except NoRoomError:
        raise
    except BaseException as error:  # the border: whatever a plugin does, the other runs go on
        failure = error
    else:
        memory, trace = outcome.about["peak memory MB"], outcome.recorder.trace
        seconds = time.perf_counter() - start
        return Event("done", run, node.label, seconds, memory=memory, trace=trace)
    return _failed(job, slot, store, failure, time.perf_counter() - start)


def _failed(job: Job, slot: Slot, store: Store, error: BaseException, seconds: float) -> Event:
    """Write down why a run failed, unless it is tried again or no other can be made either."""
    run, label, message = job.node.spec.id, job.node.label, told(error)
    exhausted = any(isinstance(one, EXHAUSTED) for one in causes(error))
    if isinstance(error, DataError) and not exhausted:
        return Event("failed", run, label, 0.0, message, fatal=True)
    if not exhausted:  # which the scheduler tries again before it is a failure
        store.fail(job.node.spec, f"{traced(error)}\n{message}\n")
    elif slot.device.startswith("cuda"):
        torch.cuda.empty_cache()  # for its neighbours
    return Event("failed", run, label, seconds, message, exhausted=exhausted)


@lru_cache(maxsize=1)
def _store(folder: Path) -> Store:
    """Keep the results of one benchmark: thousands of folders are not listed for every node."""
    return Store(folder)


def save(store: Store, node: Node, outcome: Outcome, device: str) -> None:
    """Write all that a run leaves."""
    spec, drawn, recorder = node.spec, outcome.indices, outcome.recorder
    split = {"forget": drawn.forget, "earlier": drawn.earlier} if drawn else None
    record: dict[str, Any] = {
        "status": "done",
        "spec": spec.model_dump(mode="json"),
        "forget hash": digest(split["forget"].tolist()) if split else None,
        "seconds": recorder.seconds,
        "gradients": recorder.gradients if spec.given is None else None,
        "trace": recorder.trace,
        "notes": recorder.notes,
        "environment": describe(device),
        "made from": {need: store.weights_checksum(need) for need in node.needs},
        **outcome.about,
    }
    if spec.shared is not None:
        charge(record, spec.shared, store.record(spec.shared))
    if recorder.profile is not None:
        inside = {part: s for part, s in recorder.seconds.items() if part != "total"}
        record["profile"] = recorder.profile | inside
    # References serve attacks, which need one number a sample; whole distributions would be bulk.
    logits = {}
    if outcome.logits is not None and spec.kind != "reference":
        logits["logits"] = compact(outcome.logits)
    tensors = {name: value.contiguous() for name, value in outcome.weights.items()}
    weights = partial(save_file, tensors) if node.keep_weights else None
    store.save(spec, record, outcome.signals, logits, split, weights)


def charge(record: dict[str, Any], shared: str, made: dict[str, Any]) -> None:
    """Add to a run's costs those of the work that it shares, and to its notes what that noted.

    shared, made: id and record of the work. How much of the costs is its own is kept apart.
    """
    seconds, extra = record["seconds"], made["seconds"]
    record["shared"] = {"run": shared, "seconds": extra["total"], "gradients": made["gradients"]}
    record["seconds"] = {
        part: seconds.get(part, 0.0) + extra.get(part, 0.0) for part in {**extra, **seconds}
    }
    record["gradients"] += made["gradients"]
    notes = made["notes"], record["notes"]
    record["notes"] = notes[0] | notes[1]
    if warned := [text for noted in notes for text in noted.get("warnings", ())]:
        record["notes"]["warnings"] = warned
    record["peak memory MB"] = max(record["peak memory MB"], made["peak memory MB"])
