"""What only a GPU can show, in a minute: `pytest -m gpu`, on a machine that has one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.conftest import Cli
from tests.test_scheduler import node, plan_of, pretend
from unlearnbench import environment, registry
from unlearnbench.execution import Workplace, contract
from unlearnbench.guarding.exhaustion import of_memory
from unlearnbench.recipe import Recipe, Trades
from unlearnbench.scheduling import worker
from unlearnbench.scheduling.processes import open_workers
from unlearnbench.scheduling.progress import progress
from unlearnbench.scheduling.scheduler import Scheduler
from unlearnbench.scheduling.slots import Event, Job, Slot
from unlearnbench.storage.store import Store
from unlearnbench.toolkit import (
    Examples,
    Trainer,
    adversarial_search,
    finetune,
    outputs,
    saliency_mask,
    train,
)
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.optimisers import SGD, Adam, Optimiser
from unlearnbench.toolkit.precision import ieee_float32
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.stored import as_stored

THERE = torch.cuda.is_available()
DEVICE = torch.device("cuda:0" if THERE else "cpu")
CPU = torch.device("cpu")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not THERE, reason="there is no GPU")]


def trained() -> nn.Module:
    return train(contract.small_model(0), contract.examples(48), seed=0).to(DEVICE)


def method(name: str, **settings: Any) -> Any:
    plugin = registry.get(registry.find("methods"), "method", name)
    return registry.build(registry.method_class(plugin), name, settings)


@pytest.mark.parametrize("name", ["amun", "ft", "l1-sparse", "rl", "salun", "scrub", "influence"])
def test_methods_keep_the_contract(name: str) -> None:
    tried = contract.Examination(method(name), device=DEVICE)
    with ieee_float32():  # as in a run
        for rule in (tried.must_keep_architecture, tried.must_leave_original, tried.must_stream):
            rule()


def test_float32_is_ieee() -> None:
    """In TF32 the convolution is off by 4e-4, the product by 8e-5, in IEEE's sums by 1e-6."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(8, 64, 16, 16, generator=draw)
    weights = torch.randn(64, 64, 3, 3, generator=draw)
    exact = functional.conv2d(images.double(), weights.double())
    torch.backends.cudnn.allow_tf32 = True
    with ieee_float32():
        found = functional.conv2d(images.to(DEVICE), weights.to(DEVICE)).cpu().double()
        product = (weights.flatten(1).to(DEVICE) @ weights.flatten(1).T.to(DEVICE)).cpu().double()
    assert float((found - exact).abs().max() / exact.abs().max()) < 2e-5
    rows = weights.flatten(1).double()
    assert float((product - rows @ rows.T).abs().max() / 576) < 2e-5


def test_outputs_are_those_of_the_cpu() -> None:
    model, few = trained(), contract.examples(48)
    with ieee_float32():
        here = outputs(model, contract.examples(48, DEVICE)).cpu()
    assert torch.allclose(here, outputs(model.cpu(), few), atol=1e-4)


def test_what_a_search_finds_is_a_flip_on_the_cpu_too() -> None:
    model, few = trained(), contract.examples(48, DEVICE)
    with ieee_float32():
        found = adversarial_search(model, few, radius=0.2)
        flipped = found["labels"] != few.labels
        assert bool(flipped.any())
    there = model.cpu()(found["images"].cpu()).argmax(1)
    differ = (there != found["labels"].cpu()) & flipped.cpu()
    assert int(differ.sum()) <= 1, "next to the boundary a last digit may decide"


def bf16(**changes: Any) -> Recipe:
    return contract.RECIPE.model_copy(update={"precision": "bf16", **changes})


def test_training_in_bf16_learns_and_keeps_weights_in_fp32() -> None:
    few = contract.examples(48, DEVICE).fed_by(bf16(epochs=12))
    model = train(contract.small_model(0).to(DEVICE), few, seed=0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    right = outputs(model, few).argmax(1) == few.labels
    assert float(right.float().mean()) > 0.6


def test_trades_in_bf16_gives_every_weight_a_gradient() -> None:
    few = contract.examples(32, DEVICE).fed_by(bf16(epochs=1, trades=Trades(radius=0.3, steps=2)))
    model = train(contract.small_model(0).to(DEVICE), few, seed=1)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


@pytest.mark.filterwarnings("default")
def test_compiled_steps_are_the_eager_ones() -> None:
    made = []
    for compiled in ("always", "never"):
        recipe = contract.RECIPE.model_copy(update={"compiled": compiled, "epochs": 2})
        few = contract.examples(48, DEVICE).fed_by(recipe)
        with ieee_float32():
            model = train(contract.small_model(0).to(DEVICE), few, seed=1)
        made.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(made[0], made[1], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("changed", "architecture"),
    [
        ({}, "small-cnn"),
        ({"precision": "bf16"}, "small-cnn"),
        ({"clip_norm": 0.1}, "small-cnn"),
        ({"label_smoothing": 0.1, "momentum": 0.0}, "small-lipschitz"),
    ],
    ids=str,
)
def test_captured_steps_are_the_eager_ones(changed: dict[str, object], architecture: str) -> None:
    made: list[Tensor] = []
    counts, notes = [], []
    for compiled in ("auto", "never"):
        recipe = contract.RECIPE.model_copy(update={"compiled": compiled, "epochs": 2} | changed)
        few = contract.examples(200, DEVICE).fed_by(recipe)
        with ieee_float32(), recording(Recorder()) as recorder:
            model = counted(contract.small_model(0, architecture).to(DEVICE))
            start = weights_of(model)
            mask = saliency_mask(model, few, keep=0.5)
            train(model, few, seed=1)
            finetune(model, few, lr=0.05, epochs=2, seed=2, mask=mask)
        made.append(weights_of(model))
        counts.append(recorder.gradients)
        notes.append(recorder.notes.get("training step"))
    assert notes == [{"used": "one graph"}, None]
    assert counts == [5 * 200] * 2
    # The rate is a float32 in a graph: the last digit of a weight may decide how bf16 rounds it.
    apart = float((made[0] - made[1]).norm() / (made[1] - start).norm())
    assert apart < (0.05 if changed.get("precision") == "bf16" else 1e-3)


def weights_of(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_memory_of_captured_steps_is_given_back() -> None:
    """All but what libraries keep, which does not grow from run to run."""

    def reserved_after(runs: int) -> int:
        for _ in range(runs):
            train(contract.small_model(0).to(DEVICE), contract.examples(200, DEVICE), seed=1)
        assert worker.cleaned_up(str(DEVICE)) == []
        return torch.cuda.memory_reserved(DEVICE)

    first = reserved_after(1)
    assert reserved_after(3) < first + 2**24


def test_a_model_that_waits_for_its_gpu_is_trained_eagerly() -> None:
    class Waits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = contract.small_model(0)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: Tensor = self.inner(images) * float(images.max() >= 0)
            return logits

    few, stream = contract.examples(200, DEVICE), torch.cuda.current_stream()
    with recording(Recorder()) as recorder:
        model = train(Waits().to(DEVICE), few, seed=1)
    note = recorder.notes["training step"]
    assert note["used"] == "eager" and "synchronizing" in note["why"], note
    assert all(p.isfinite().all() for p in model.parameters())
    assert torch.cuda.current_stream() == stream and torch.cuda.get_sync_debug_mode() == 0
    assert float(torch.rand(1, device=DEVICE)) < 1, "which may fail once a capture has broken off"


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_fused_steps_are_those_of_the_cpu_though_a_layer_begins_late(kind: str) -> None:
    made = []
    for device in (DEVICE, CPU):
        parameters = [nn.Parameter(torch.ones(50, device=device)) for _ in range(3)]
        rule: Optimiser = SGD(parameters, momentum=0.9, weight_decay=0.1)
        if kind == "adam":
            rule = Adam(parameters)
        for step in range(3):
            for number, one in enumerate(parameters):
                one.grad = torch.full_like(one, 1.0 + number) if number <= step else None
            rule.step(0.1)
        made.append(torch.stack([p.detach().cpu() for p in parameters]))
    assert torch.allclose(made[0], made[1], atol=1e-5)


def test_masked_weights_stay() -> None:
    few, model = contract.examples(32, DEVICE), contract.small_model(0).to(DEVICE)
    mask = {
        n: (torch.arange(p.numel(), device=DEVICE) % 2 == 0).view(p.shape)
        for n, p in model.named_parameters()
    }
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    Trainer(model, few.recipe, lr=0.1, seed=0, mask=mask).epoch(few)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter[~mask[name]], before[name][~mask[name]]), name
        assert not torch.equal(parameter, before[name]), name


def test_streamed_images_are_the_resident_ones() -> None:
    few, model = contract.examples(48, CPU), trained()
    there = contract.examples(48, DEVICE)
    streamed = as_stored(few.images)
    stored = cast("Tensor", type(streamed)(streamed.arrays, streamed.index, DEVICE))
    again = Examples(stored, there.labels, there.augment, there.recipe)
    assert torch.equal(outputs(model, again, 7), outputs(model, there, 7))


def test_influence_is_the_same_with_its_matrix_in_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = contract.Examination(method("influence", samples=12), device=DEVICE)
    with ieee_float32():
        here = tried.unlearn(tried.task(8))
        module = sys.modules[type(tried.method).__module__]
        monkeypatch.setattr(module, "place_for", lambda size, device: CPU)
        there = tried.unlearn(tried.task(8))
    for name, value in here.items():
        assert torch.allclose(value.float(), there[name].float(), rtol=1e-3, atol=1e-4), name


def asserting(job: Job, slot: Slot) -> Event:
    """Work as a worker does; a run that `asserts` reads past the end of a tensor on the GPU."""

    def made(job: Job, slot: Slot, began: float) -> Event:
        try:
            where = 5 if job.node.spec.settings["does"] == "asserts" else 0
            torch.zeros(2, device=slot.device)[torch.tensor([where], device=slot.device)].tolist()
        except RuntimeError as error:
            return worker._failed(job, Store(job.results), error, 0.0)
        return pretend(job, slot)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_made", made)
        return worker.work(job, slot)


def test_a_run_that_kills_its_context_fails_alone(tmp_path: Path) -> None:
    plan = plan_of(node(1, 0.0, does="asserts"), *(node(i, 0.0) for i in range(2, 5)))
    store = Store(tmp_path)
    store.prepare()
    with open_workers([str(DEVICE)], 1) as made:
        scheduler = Scheduler(plan, store, made, Workplace(tmp_path), work=asserting)
        events = list(scheduler.run(progress(plan, store, set())))
    ended = {plan.nodes[event.run].spec.seed: event.status for event in events}
    assert ended == {1: "failed", 2: "done", 3: "done", 4: "done"}


def test_memory_that_ran_out_is_known_and_given_back() -> None:
    def fill() -> None:
        kept = [torch.zeros(2**28, device=DEVICE)]
        kept.append(torch.zeros(environment.memory(str(DEVICE)) * 2**18, device=DEVICE))

    environment.begin_peak(str(DEVICE))
    before = torch.cuda.memory_reserved(DEVICE)
    try:
        fill()
    except RuntimeError as error:
        known = of_memory(error)
    assert known and worker.cleaned_up(str(DEVICE)) == []
    assert torch.cuda.memory_reserved(DEVICE) <= before
    reserved = environment.reserved_memory(str(DEVICE))
    assert reserved is not None and reserved >= 1024


def test_a_benchmark_runs_on_it_and_says_how(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    place = ["--devices", str(DEVICE), "--jobs-per-device", "2"]
    done = cli("run", tiny, "--methods", "ft", *place, "--set", "recipe.batch_size=8")
    assert done.code == 0, done.err + done.out
    records = [json.loads(p.read_text()) for p in tmp_path.rglob("runs/ft-*/record.json")]
    assert records
    for record in records:
        assert record["environment"]["device"].startswith(str(DEVICE))
        assert record["precision"]["searches and signals"] == "fp32 (IEEE)"
        assert record["notes"]["training step"] == {"used": "one graph"}
        assert record["reserved memory MB"] >= record["peak memory MB"] > 0
    assert any(record["neighbours"] == 0 for record in records), "the first of a kind is alone"


def test_check_tries_a_method_on_it(cli: Cli) -> None:
    file = Path(__file__).parent.parent / "methods" / "ft.py"
    done = cli("check", file, "--device", str(DEVICE))
    assert done.code == 0, done.out
