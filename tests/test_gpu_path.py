"""What a CPU can show of the path on a GPU: pretended devices, and a context said to be dead."""

from __future__ import annotations

import shutil
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Cli
from tests.test_lease import photographs
from tests.test_scheduler import left_by, node, plan_of, pretend
from unlearnbench import environment, registry
from unlearnbench.api import making, samples
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.execution import Workplace, contract, trying
from unlearnbench.guarding import torch_states
from unlearnbench.guarding.exhaustion import of_memory
from unlearnbench.metrics.metric import COSTS
from unlearnbench.recipe import Recipe, Trades
from unlearnbench.scheduling import worker
from unlearnbench.scheduling.estimate import Pace, undivided
from unlearnbench.scheduling.placement import OVERHEAD, Capacity, Placement, guessed_need
from unlearnbench.scheduling.progress import progress
from unlearnbench.scheduling.scheduler import Scheduler
from unlearnbench.scheduling.slots import Event, Job, Slot
from unlearnbench.storage.store import Store
from unlearnbench.toolkit import Examples, Trainer, graphs, outputs, place_for, precision, train
from unlearnbench.toolkit.adversarial import frozen

CUDA = "CUDA error: device-side assert triggered"
_dead: list[bool] = []
"""Whether the context of this process, a worker's, is said to be."""


def on_a_gpu(job: Job, slot: Slot) -> Event:
    """Work as a worker does, on a GPU that a run may spoil for all of its process."""

    def made(job: Job, slot: Slot, began: float) -> Event:
        if job.node.spec.settings["does"] == "asserts":
            _dead.append(True)
        try:
            synchronise()
        except RuntimeError as error:
            return worker._failed(job, Store(job.results), error, 0.0)
        return pretend(job, slot)

    def synchronise(device: object = None) -> None:
        if _dead:
            raise RuntimeError(CUDA)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_made", made)
        patch.setattr(torch.cuda, "synchronize", synchronise)
        patch.setattr(torch.cuda, "empty_cache", synchronise)
        return worker.work(job, slot)


class Pretended:
    """Stand for a worker whose process is this one; a fresh process has a context that lives."""

    def __init__(self, slot: Slot) -> None:
        self.slot, self.fresh = slot, False

    def submit(self, work: Callable[[Job, Slot], Event], job: Job) -> Future[Event]:
        ended: Future[Event] = Future()
        ended.set_result(work(job, self.slot))
        return ended

    def stop(self) -> None:
        _dead.clear()


def test_a_run_that_ends_its_context_fails_alone(tmp_path: Path) -> None:
    plan = plan_of(node(1, 0.0, does="asserts"), *(node(i, 0.0) for i in range(2, 6)))
    store, workers = Store(tmp_path), [Pretended(Slot(None, "cuda:0"))]
    store.prepare()
    scheduler = Scheduler(plan, store, workers, Workplace(tmp_path), work=on_a_gpu)
    events = list(scheduler.run(progress(plan, store, set())))
    ended = {plan.nodes[event.run].spec.seed: event for event in events}
    assert {seed: event.status for seed, event in ended.items()} == {
        1: "failed",
        **dict.fromkeys(range(2, 6), "done"),
    }
    assert ended[1].stuck == (worker.UNFIT,) and CUDA in ended[1].message


def test_memory_is_given_back_when_nothing_hangs_on_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Tensor]] = []

    def execute(*given: object, **more: object) -> None:
        large = torch.zeros(1000)
        large.cycle = large  # type: ignore[attr-defined]
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory")

    given_back: list[bool] = []
    monkeypatch.setattr(worker, "execute", execute)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(held[0]() is None))
    job = Job(node(1, 0.0), tmp_path, Workplace(tmp_path))
    Store(tmp_path).prepare()
    event = worker.work(job, Slot(None, "cuda:0"))
    assert (event.status, event.exhausted, event.stuck) == ("failed", True, ())
    assert given_back == [True], "the tensors were gone before the cache was emptied"


def test_memory_of_a_run_that_is_done_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer holds itself, and with it the model and a graph's memory, as Python sees it."""
    held: list[weakref.ref[nn.Module]] = []

    def made(job: Job, slot: Slot, began: float) -> Event:
        model = contract.small_model(0)
        Trainer(model, contract.RECIPE, lr=0.1, seed=0).epoch(contract.examples(16))
        held.append(weakref.ref(model))
        return pretend(job, slot)

    given_back: list[bool] = []
    monkeypatch.setattr(worker, "_made", made)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(held[0]() is None))
    job = Job(node(1, 0.0), tmp_path, Workplace(tmp_path))
    Store(tmp_path).prepare()
    assert worker.work(job, Slot(None, "cuda:0")).status == "done"
    assert given_back == [True]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate"
            " memory: you tried to allocate 1000 bytes."
        ),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_memory_that_ran_out_is_known_by_all_its_names(error: Exception) -> None:
    assert of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError(CUDA), ValueError("out of memory is what I call it"), OSError(2, "no")]
)
def test_what_is_no_lack_of_memory_is_not_tried_again(error: Exception) -> None:
    assert not of_memory(error)


def test_reserved_memory_is_what_placement_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run's record too: what is allocated is less than what neighbours cannot have."""
    one, store = node(1, 0.0), Store(tmp_path)
    record, signals, logits = left_by(one.spec)
    record |= {"environment": {"device": "cuda:0 (H200)"}, "peak memory MB": 1000}
    record |= {environment.RESERVED: 3000, "neighbours": 0.0}
    store.save(one.spec, record, signals, logits)
    monkeypatch.setattr(environment, "memory", lambda device: 16_000)
    placement = Placement(["cuda:0"], 4, measured=True)
    capacity = placement.capacity(plan_of(one), Store(tmp_path), lambda: None)
    assert capacity.needs == {"run": 3000}
    called: list[str] = []
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 5 * 2**30)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append("empty"))
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: called.append("reset")
    )
    environment.begin_peak("cuda:0")
    assert called == ["empty", "reset"], "what an earlier run left is not taken for this one's"
    assert environment.reserved_memory("cuda:0") == 5 * 1024
    assert environment.reserved_memory("cpu") is None


def test_kinds_fit_by_a_guess_before_they_are_known() -> None:
    capacity = Capacity({"cuda:0": 10_000}, guess=2400)
    assert capacity.fits("a", ["b", "c"], "cuda:0") and OVERHEAD == 600
    assert not capacity.fits("a", ["b", "c", "d"], "cuda:0"), "4 x 3000 of 9000 MB"
    capacity.learn("a", 300)
    assert capacity.fits("a", ["a", "b", "c"], "cuda:0"), "what is known takes the guess's place"
    resnet18 = guessed_need(11_200_000, 256, 3072, 60_000)
    assert 3000 < resnet18 < 4000, "four of them beside each other on a card of 16 GB"


def test_times_taken_beside_others_are_none_and_are_divided_in_estimates() -> None:
    seconds = COSTS["seconds"].function  # type: ignore[attr-defined]
    gpu, cpu = {"device": "cuda:0 (H200)"}, {"device": "cpu (EPYC)"}
    run: dict[str, Any] = {"seconds": {"total": 8.0}, "neighbours": 3.0, "environment": gpu}
    assert seconds(run) is None
    assert seconds(run | {"neighbours": 0.0}) == 8.0
    assert seconds(run | {"environment": cpu}) == 8.0, "a core each"
    assert seconds({"seconds": {"total": 8.0}, "environment": gpu}) == 8.0, "of an older version"
    assert undivided(8.0, "cuda:0", 3.0) == 2.0 and undivided(8.0, "cpu", 3.0) == 8.0
    assert undivided(8.0, "cuda:0", None) == 8.0


def test_four_slots_of_a_gpu_are_one_lane() -> None:
    known, nodes = Pace(), [node(i, 0.0) for i in range(8)]
    for one in nodes:
        known.learn(one, undivided(8.0, "cuda:0", 3.0))
    assert known.total(nodes, Placement(["cuda:0"], 4, measured=True).lanes) == 16.0
    assert known.total(nodes, Placement(["cuda:0", "cuda:1"], 4, measured=True).lanes) == 8.0
    assert Placement(["cpu"], 2, measured=True).lanes == 2
    assert Placement(["cuda:0", "cpu"], 2, measured=True).lanes == 3


def test_float32_is_ieee_in_a_run_and_as_it_was_after_it() -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with precision.ieee_float32():
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_searches_and_signals_are_in_fp32_whatever_is_around_them() -> None:
    model, few = contract.small_model(0), contract.examples(8)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(few.pixels).dtype == torch.bfloat16
        assert outputs(model, few).dtype == torch.float32
        with frozen(model):
            assert model(few.pixels).dtype == torch.float32


def in_bf16(monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> Recipe:
    monkeypatch.setattr(precision, "processor_has_bf16", lambda: True)
    return recipe.model_copy(update={"precision": "bf16"})


def test_training_is_in_bf16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu, few = torch.device("cpu"), torch.device("cuda"), contract.examples(24)
    recipe = in_bf16(monkeypatch, contract.RECIPE)
    seen: list[torch.dtype] = []

    def loss(pixels: Tensor, labels: Tensor) -> Tensor:
        logits = model(pixels)
        seen.append(logits.dtype)
        return nn.functional.cross_entropy(logits, labels)

    for has in (True, False):
        monkeypatch.setattr(precision, "processor_has_bf16", lambda has=has: has)
        model = contract.small_model(0)
        Trainer(model, recipe, lr=0.1, seed=0).epoch(few.fed_by(recipe), loss=loss)
        assert precision.precision_note(recipe, gpu)["training"] == "bf16 (autocast)"
        said = precision.precision_note(recipe, cpu)["training"]
        assert said == ("bf16 (autocast)" if has else "fp32 (IEEE)")
    assert seen == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("flags", ["avx512f avx512_bf16", "amx_bf16 amx_tile", "asimd bf16"])
def test_units_for_bf16_are_known(flags: str) -> None:
    assert precision.UNITS.search(f"flags\t: fpu {flags} sse\n")
    assert not precision.UNITS.search("flags\t: fpu avx512f avx2\n")


def test_trades_in_bf16_gives_every_weight_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Casts that autocast kept of a search without gradients would take them from convolutions."""
    few = contract.examples(16)
    recipe = contract.RECIPE.model_copy(update={"epochs": 1, "trades": Trades(radius=0.3, steps=2)})
    cleared: list[bool] = []
    clear = torch.clear_autocast_cache

    def noted() -> None:
        cleared.append(torch.is_autocast_enabled("cpu"))
        clear()

    monkeypatch.setattr(torch, "clear_autocast_cache", noted)
    gradients = []
    for one in (recipe, in_bf16(monkeypatch, recipe)):
        model = contract.small_model(0)
        train(model, Examples(few.images, few.labels, few.augment, one), seed=1)
        gradients.append([p.grad for p in model.parameters()])
    for exact, rough in zip(*gradients, strict=True):
        assert exact is not None and rough is not None
        assert float((exact - rough).norm()) < 0.3 * float(exact.norm()) + 1e-3
    assert True in cleared, "between the search and the loss, while autocast is on"


def test_influence_in_blocks_has_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = registry.get(registry.find("methods"), "method", "influence")
    method = registry.build(registry.method_class(plugin), "influence", {"samples": 12})
    module = sys.modules[type(method).__module__]
    tried = contract.Examination(method)
    whole = tried.unlearn(tried.task(8))
    monkeypatch.setattr(module, "BLOCK", 12 * 100)  # of which there are many then
    for name, value in tried.unlearn(tried.task(8)).items():
        assert torch.allclose(value.float(), whole[name].float(), atol=1e-6), name


def test_what_is_too_large_for_a_gpu_lies_in_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, cpu = torch.device("cuda:0"), torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 200))
    assert (place_for(50, gpu), place_for(51, gpu), place_for(51, cpu)) == (gpu, cpu, cpu)


def test_a_guess_is_made_of_the_benchmark_and_its_data(tmp_path: Path) -> None:
    request = Request(benchmark("digits"), tmp_path, tmp_path)
    planned = prepare(request)
    seen = samples.look_over(request, planned.benchmark)
    need = making._need(planned, seen)
    assert need is not None and 0 <= need < 2000, "of a small net on images of 8x8"
    assert making._need(planned, samples.DataSeen()) is None


SMALL = """
based_on = "cifar10-cpu"
[data]
train = 100
test = 50
validation = 20
[seeds]
originals = [1]
forget = [1]
runs = [1]
[references]
count = 2
"""


def test_a_gpu_needs_no_more_than_the_name_of_a_benchmark(
    inside: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found and used, up to the first call of CUDA in a worker, which has no driver here."""
    photographs(tmp_path / "data" / "cifar10-jpeg")
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(environment, "memory", lambda device: 80_000)
    done = inside("run", "small.toml")
    assert done.code == 1
    errors = [path.read_text() for path in tmp_path.glob("results/small/runs/*/error.txt")]
    assert errors and all("set_device" in text for text in errors), (done, errors)


@dataclass
class Card:
    """Stand for a GPU while steps are captured by torch's own `cuda.graph`; nothing runs on it."""

    current: Stream
    capturing: bool = False
    broken: bool = False
    refuses_to_wait: bool = False
    streams: list[Stream] = field(default_factory=list)
    begun: int = 0

    def waits(self) -> None:
        """Do what `tensor.item()` does."""
        if self.refuses_to_wait:
            raise RuntimeError("called a synchronizing CUDA operation")
        if self.capturing:
            self.broken = True
            raise RuntimeError("operation not permitted when stream is capturing")

    def refuse(self, mode: object) -> None:
        self.refuses_to_wait = mode == "error"


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card(Stream())

    def stream(device: object = None) -> Stream:
        card.streams.append(Stream())
        return card.streams[-1]

    class On:
        """Has no end but that which it is told: torch's block of a capture may not tell it."""

        def __init__(self, stream: Stream) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            self.before, card.current = card.current, self.stream

        def __exit__(self, *error: object) -> None:
            card.current = self.before

    class Graph:
        def capture_begin(self, **options: object) -> None:
            card.begun, card.capturing = card.begun + 1, True

        def capture_end(self) -> None:
            card.capturing = False
            if card.broken:
                raise RuntimeError("operation failed due to a previous error during capture")

        def replay(self) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: card.current)
    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "stream", On)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", card.refuse)
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    graphs._aside.cache_clear()
    return card


CUDA_0 = torch.device("cuda:0")


def test_a_step_that_waits_is_found_before_any_capture_begins(card: Card) -> None:
    """A capture that breaks off leaves torch's allocator and its generator as if in it."""

    def step() -> Tensor:
        card.waits()
        return torch.zeros(())

    with pytest.raises(RuntimeError, match="synchronizing"):
        graphs.captured(step, CUDA_0)
    assert (card.begun, card.refuses_to_wait) == (0, False)


def test_a_capture_that_breaks_off_leaves_the_stream_as_it_was(card: Card) -> None:
    here = card.current

    def step() -> Tensor:
        if card.capturing:
            card.waits()
        return torch.zeros(())

    with pytest.raises(RuntimeError, match="capture"):
        graphs.captured(step, CUDA_0)
    assert card.begun == 1 and card.current is here


def test_all_captures_of_a_process_use_one_stream(card: Card) -> None:
    """Libraries keep memory for each stream that they have ever worked on."""
    used: list[Stream] = []

    def step() -> Tensor:
        used.append(card.current)
        return torch.zeros(())

    for _ in range(3):
        graphs.captured(step, CUDA_0)()
    assert len(used) == 3 * (graphs.WARM_UP + 1)
    assert len(card.streams) == 1 and {id(one) for one in used} == {id(card.streams[0])}


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> torch.Generator:
    """Return what stands for a GPU's global generator, which torch.manual_seed seeds as well."""
    generator = torch.Generator()
    stands = SimpleNamespace(
        current_device=lambda: 0,
        current_stream=lambda: None,
        get_rng_state=generator.get_state,
        set_rng_state=generator.set_state,
    )
    monkeypatch.setattr(torch.cuda, "manual_seed_all", generator.manual_seed)
    monkeypatch.setattr(torch_states, "_cuda", lambda: stands)
    return generator


def test_a_model_is_built_without_a_draw_on_a_gpu(draws: torch.Generator) -> None:
    """Else what its dropout draws in a run would follow from the seed of its weights."""
    before = draws.get_state()
    contract.small_model(7)
    assert torch.equal(draws.get_state(), before)


DRAWS = """
import torch
import unlearnbench as ub


class Draws(ub.Method):
    \"\"\"Draw from what all share.\"\"\"

    paper = "https://example.org"

    def unlearn(self, model, task):
        torch.cuda.manual_seed_all(task.seed)
        return model
"""


def test_checks_know_a_draw_on_a_gpu_and_make_none(draws: torch.Generator, tmp_path: Path) -> None:
    (tmp_path / "draws.py").write_text(DRAWS)
    found = dict(trying.examine(tmp_path / "draws.py"))
    (rule,) = (rule for rule in found if "global random state" in rule)
    problem = "the GPU's global random state was changed: draw from task.seed"
    assert problem in str(found.pop(rule))
    assert set(found.values()) == {None}, found
