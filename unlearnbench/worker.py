"""What one worker does with one node: execute it, store the result, say how it went."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unlearnbench import slots
from unlearnbench.environment import describe
from unlearnbench.errors import UnlearnBenchError
from unlearnbench.execute import Bench, Outcome, execute
from unlearnbench.jobs import Event, Job
from unlearnbench.plan import Node
from unlearnbench.spec import digest
from unlearnbench.store import Arrays, Store, write


def work(job: Job) -> Event:
    """Make one model and store it. A failure is written down and returned, never raised."""
    node, store, slot = job.node, Store(job.results), slots.mine()
    run = node.spec.id
    start = time.perf_counter()

    def on_epoch(epoch: int, epochs: int) -> None:
        slot.busy(slots.Activity(run, node.label, epoch, epochs))

    def weights(model: str) -> Mapping[str, Tensor]:
        return load_file(store.model_path(model), device=slot.device)

    slot.busy(slots.Activity(run, node.label))
    try:
        if slot.device.startswith("cuda"):
            torch.cuda.set_device(slot.device)
        bench = Bench(slot.device, job.data_root, job.plugins)
        outcome = execute(node.spec, bench, weights, on_epoch)
        save(store, node, outcome, slot.device)
    except Exception as error:  # the boundary: whatever a method does, the other runs go on
        store.fail(node.spec, traceback.format_exc())
        text = str(error).partition("\n")[0]
        message = (
            text if isinstance(error, UnlearnBenchError) else f"{type(error).__name__}: {text}"
        )
        exhausted = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if exhausted and slot.device.startswith("cuda"):
            torch.cuda.empty_cache()  # for its neighbours
        seconds = time.perf_counter() - start
        return Event("failed", run, node.label, seconds, message, exhausted=exhausted)
    finally:
        slot.idle()
    memory = outcome.about["peak memory MB"]
    return Event("done", run, node.label, time.perf_counter() - start, memory=memory)


def save(store: Store, node: Node, outcome: Outcome, device: str) -> None:
    """Write weights, split, signals and logits, and last the record."""
    spec = node.spec
    if node.keep_weights:
        weights = {name: value.contiguous() for name, value in outcome.weights.items()}
        write(store.model_path(spec.id), lambda draft: save_file(weights, draft))
    forget: Arrays = {}
    if outcome.indices is not None:
        forget = {"forget": outcome.indices.forget, "earlier": outcome.indices.earlier}
        store.save_split(str(spec.split_id), forget)
    recorder = outcome.recorder
    record = {
        "status": "done",
        "spec": spec.model_dump(mode="json"),
        "split": spec.split_id,
        "forget hash": digest(forget["forget"].tolist()) if forget else None,
        "seconds": recorder.seconds,
        "gradients": recorder.gradients,
        "trace": recorder.trace,
        "notes": recorder.notes,
        "environment": describe(device),
        **outcome.about,
    }
    # References serve attacks, which need one number a sample; whole distributions would be bulk.
    logits: Arrays = {}
    if spec.kind != "reference":
        logits = {"logits": outcome.logits.astype("float16")}
    store.save(spec, record, outcome.signals, logits)
