"""What one worker does with one node: execute it, store the result, say how it went."""

import gc
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unlearnbench.environment import RESERVED, describe
from unlearnbench.errors import DataError, MethodError, NoRoomError, causes
from unlearnbench.execution.execute import Outcome, execute
from unlearnbench.execution.signals import compact
from unlearnbench.guarding.border import told, traced
from unlearnbench.guarding.exhaustion import of_memory
from unlearnbench.guarding.guard import guarded
from unlearnbench.planning.plan import Node, digest
from unlearnbench.scheduling.slots import Activity, Event, Job, Slot
from unlearnbench.storage.store import Store

UNFIT = "the GPU's context, which a kernel's fault has ended"
"""What is left of a GPU in this process after an error that no later call outlives."""


def work(job: Job, slot: Slot) -> Event:
    """Make one model and store it. A failure is written down and returned, never raised.

    This process is then as it was before, or the event says what it is that could not be put back.
    """
    began = slot.enter()
    slot.busy(Activity(job.node.spec.id, job.node.label))
    try:
        with guarded() as left:
            event = _made(job, slot, began)
        unfit = cleaned_up(slot.device)
    except NoRoomError as error:
        return Event("failed", job.node.spec.id, job.node.label, 0.0, str(error), fatal=True)
    finally:
        slot.idle()
    return replace(event, stuck=(*left.stuck, *unfit))


def cleaned_up(device: str) -> list[str]:
    """Give back what a run left on a GPU; return why this process is fit for no other, if so.

    A trainer, its model and the graph of its steps hold each other, and of a run that failed the
    error's traceback held them: they lie there, gigabytes a run, until Python looks for garbage. A
    fault in a kernel, such as an index out of range, spoils all that is done in this process later,
    and would be blamed on whatever comes next.
    """
    if not device.startswith("cuda"):
        return []
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return [UNFIT]
    gc.collect()
    torch.cuda.empty_cache()  # for its neighbours
    return []


def _made(job: Job, slot: Slot, began: float) -> Event:
    """Make one model and store it; no error outlives this call, nor what hangs on its traceback.

    Raises NoRoomError where nothing more can be written.
    """
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
        beside = slot.neighbours(began)
        save(store, node, outcome, slot.device, beside)
    except NoRoomError:
        raise
    except BaseException as error:  # the border: whatever a plugin does, the other runs go on
        return _failed(job, store, error, time.perf_counter() - start)
    about, trace = outcome.about, outcome.recorder.trace
    memory, seconds = about.get(RESERVED, about["peak memory MB"]), time.perf_counter() - start
    made = Event("done", run, node.label, seconds, memory=memory, trace=trace)
    return replace(made, device=slot.device, neighbours=beside)


def _failed(job: Job, store: Store, error: BaseException, seconds: float) -> Event:
    """Write down why a run failed, unless it is tried again or no other can be made either."""
    run, label, message = job.node.spec.id, job.node.label, told(error)
    exhausted = any(map(of_memory, causes(error)))
    if isinstance(error, DataError) and not exhausted:
        return Event("failed", run, label, 0.0, message, fatal=True)
    if not exhausted:  # which the scheduler tries again before it is a failure
        store.fail(job.node.spec, f"{traced(error)}\n{message}\n")
    return Event("failed", run, label, seconds, message, exhausted=exhausted)


@lru_cache(maxsize=1)
def _store(folder: Path) -> Store:
    """Keep the results of one benchmark: thousands of folders are not listed for every node."""
    return Store(folder)


def save(
    store: Store, node: Node, outcome: Outcome, device: str, neighbours: float | None = None
) -> None:
    """Write all that a run leaves; neighbours: how many other runs its device had, on average."""
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
        "neighbours": neighbours,
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
