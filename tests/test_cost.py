"""What a run is said to cost: gradients by hand arithmetic, time without what comes but once."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from unlearnbench import registry
from unlearnbench.data.prepare import DataSpec
from unlearnbench.data.splits import Split
from unlearnbench.execution import Workplace, contract
from unlearnbench.execution.execute import Outcome, execute
from unlearnbench.execution.warming import warm_up
from unlearnbench.guarding.guard import guarded
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit.counting import counted, tally
from unlearnbench.toolkit.recorder import Recorder, recording

TRAIN, FORGET, VALIDATION, BATCH, EPOCHS = 120, 12, 60, 32, 2
RETAIN = TRAIN - FORGET
N = 10
"""Images of a batch in the tests of single steps."""


def small() -> nn.Module:
    """Two layers that weigh, BatchNorm-free so that samples can be told apart."""
    return counted(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(N, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


def loss_of(model: nn.Module) -> Tensor:
    pixels, labels = batch()
    return functional.cross_entropy(model(pixels), labels)


def plain(model: nn.Module) -> None:
    loss_of(model).backward()  # type: ignore[no-untyped-call]


def accumulated(model: nn.Module) -> None:
    for _ in range(3):
        plain(model)


def two_forwards(model: nn.Module) -> None:
    (loss_of(model) + loss_of(model)).backward()  # type: ignore[no-untyped-call]


def two_backwards(model: nn.Module) -> None:
    loss = loss_of(model)
    for _ in range(2):
        torch.autograd.backward(loss, retain_graph=True)


def forward_alone(model: nn.Module) -> None:
    loss_of(model)
    with torch.no_grad():
        loss_of(model)


def by_the_images(model: nn.Module) -> None:
    model.requires_grad_(False)
    pixels, labels = batch()
    for _ in range(4):
        pixels = pixels.detach().requires_grad_()
        (step,) = torch.autograd.grad(functional.cross_entropy(model(pixels), labels), pixels)
        pixels = pixels + step


def head_alone(model: nn.Module) -> None:
    torch.autograd.grad(loss_of(model), [*model[3].parameters()])  # type: ignore[index]


def of_features(model: nn.Module) -> None:
    seen: list[Tensor] = []
    handle = model[2].register_forward_hook(lambda module, given, made: seen.append(made))  # type: ignore[index]
    model(batch()[0])
    handle.remove()
    seen[0].square().mean().backward()  # type: ignore[no-untyped-call]


def product_with_the_hessian(model: nn.Module) -> None:
    weights = [*model.parameters()]
    slopes = torch.autograd.grad(loss_of(model), weights, create_graph=True)
    along = sum((slope * slope.detach()).sum() for slope in slopes)
    torch.autograd.grad(along, weights)  # type: ignore[arg-type]


def sample_by_sample(model: nn.Module) -> None:
    """Gradients of single samples, vectorised: what vmap shows has a batch of one."""
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, (image[None],))
        return functional.cross_entropy(logits, label[None])

    made = vmap(grad(loss), (None, 0, 0))(weights, *batch())
    assert made["1.weight"].shape == (N, 8, 16)


def copies(model: nn.Module) -> None:
    plain(copy.deepcopy(model))
    plain(model)


def in_another_thread(model: nn.Module) -> None:
    """As the hooks of a GPU run, where no context of the run is seen."""
    loss = loss_of(model)
    thread = threading.Thread(target=loss.backward)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (plain, N),
        (accumulated, 3 * N),
        (two_forwards, 2 * N),
        (two_backwards, 2 * N),
        (forward_alone, 0),
        (by_the_images, 4 * N),
        (head_alone, N),
        (of_features, N),
        (product_with_the_hessian, 2 * N),
        pytest.param(sample_by_sample, N, marks=pytest.mark.slow),  # imports the compiler
        (copies, 2 * N),
        (in_another_thread, N),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_sample_counts_each_time_it_goes_backward(
    work: Callable[[nn.Module], None], expected: int
) -> None:
    recorder = Recorder()
    with recording(recorder):
        work(small())
    assert recorder.gradients == expected


def test_a_loss_counts_for_a_model_that_cannot() -> None:
    """As a compiled step does, in which the model's own hooks do nothing."""
    recorder, model = Recorder(), nn.Linear(16, 3)
    pixels, labels = batch()
    with recording(recorder):
        mean = functional.cross_entropy(model(pixels.flatten(1)), labels)
        tally(mean, "outputs", len(labels))
        mean.backward()  # type: ignore[no-untyped-call]
    assert recorder.gradients == N


def test_what_is_kept_apart_costs_nothing() -> None:
    recorder, model = Recorder(), small()
    with recording(recorder), recorder.timed("total", torch.device("cpu")):
        plain(model)
        with recorder.apart(torch.device("cpu")):
            accumulated(model)
            threading.Event().wait(0.3)
    assert recorder.gradients == N
    assert recorder.seconds["total"] < 0.3 <= recorder.aside


class Bench:
    """Unlearn on digits, in this process, by methods that are named or whose file is given."""

    def __init__(self, folder: Path) -> None:
        data = DataSpec(name="digits", train=TRAIN, test=60, validation=VALIDATION)
        self.folder = folder
        self.common: dict[str, Any] = {
            "data": data,
            "model": "small-cnn",
            "recipe": Recipe(epochs=EPOCHS, lr=0.05, batch_size=BATCH),
            "seed": 1,
        }
        self.split = Split(kind="random", fraction=FORGET / TRAIN, seed=2)  # known to the original
        self.original = Spec(kind="original", **self.common)
        self.trained = self.run(self.original)

    def run(self, spec: Spec, *plugins: registry.Plugin) -> Outcome:
        place = Workplace(self.folder, plugins)
        return execute(spec, "cpu", place, lambda run: self.trained.weights)

    def unlearn(self, method: str | Path, **settings: Any) -> Outcome:
        plugins = [registry.Plugin.of(method)] if isinstance(method, Path) else []
        fields = {"original": self.original.id, "start": self.original.id}
        spec = Spec(
            kind="unlearn",
            method=plugins[0].name if plugins else str(method),
            settings=settings,
            split=self.split,
            **({} if method == "retrain" else fields),
            **self.common,
        )
        return self.run(spec, *plugins)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("cost"))


E2 = {"epochs": EPOCHS}
F, R = FORGET * EPOCHS, RETAIN * EPOCHS  # samples of passes over D_F and D_R
STEPS = EPOCHS * math.ceil(RETAIN / BATCH)
BY_HAND: dict[str, tuple[dict[str, Any], int]] = {
    "retrain": ({}, R),
    "ft": (E2, R),
    "l1-sparse": (E2, R),
    "ga": (E2 | {"descend": False}, F),
    "rl": (E2, F + R),
    "salun": (E2 | {"keep": 0.5}, FORGET + F + R),  # the mask; D_F and D_R
    "delete": (E2, F),
    "boundary-shrink": (E2, 2 * F),  # a step by the images, and one by the weights
    # a batch of D_F beside each step on D_R: all of D_F, which fits one
    "neggrad-plus": (E2 | {"batch_size": BATCH, "forget_batch": FORGET}, R + STEPS * FORGET),
    "bad-teacher": (E2 | {"share": 0.5}, F + R // 2),
    "scrub": (E2 | {"max_epochs": 1, "rewind": False}, FORGET + R),
    # sums over D_F and D_R, then single samples of D_R
    "influence": ({"samples": 20}, FORGET + RETAIN + 20),
    "ssd": ({}, FORGET + TRAIN),
    # squares on D_F and D_R, D_R by steps, D_F before the first and every fifth after it
    "sfron": (E2 | {"every": 5}, FORGET + RETAIN + R + math.ceil(STEPS / 5) * FORGET),
    "boundary-expand": (E2, F),
    "cf-k": (E2, R),
    "ct": (E2, R),
    "eu-k": ({}, R),
    "fisher": ({}, RETAIN * 10),  # of each class that an image may be of
    # a hundred steps of an image each, the weights' importance, and both kinds of image
    "l2ul": (E2 | {"images": 1}, FORGET * 100 + FORGET + 2 * F),
    "lotus": (E2 | {"share": 0.5}, F + R // 2),
    "msg": (E2, 2 * FORGET + R),  # D_F against as many of D_R
    "munba": (E2, F + R),
    "npo": (E2, F + EPOCHS * BATCH),  # a batch of D_R beside each step on D_F
    # FT on D_R and the last third; SalUn's mask and its training on that third and D_R
    "rum": (
        {"middle_epochs": EPOCHS, "high_epochs": EPOCHS},
        FORGET // 3 + 2 * EPOCHS * (RETAIN + FORGET // 3),
    ),
    # 40 steps of an image each, then the images and half of D_R, then that half alone
    "unsir": ({"share": 0.5}, FORGET * 40 + FORGET + RETAIN),
}
SEARCHED = {"amun": {}, "amun-adaptive": {}, "amun-closest": {"search": "closest"}}


def test_every_shipped_method_is_worked_out_by_hand() -> None:
    assert BY_HAND.keys() | SEARCHED.keys() == registry.find("methods").keys() | {"amun-closest"}


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients_are_those_worked_out_by_hand(bench: Bench, name: str) -> None:
    settings, expected = BY_HAND[name]
    assert bench.unlearn(name, **settings).recorder.gradients == expected


@pytest.mark.parametrize("label", SEARCHED)
def test_amun_costs_its_search_and_its_training(bench: Bench, label: str) -> None:
    """A flip at the k-th step took k gradients; tests of the search have the exact numbers."""
    name = label.removesuffix("-closest")
    recorder = bench.unlearn(name, **E2, **SEARCHED[label]).recorder
    note = recorder.notes["adversarial search"]
    shown = FORGET - note["not flipped"] + TRAIN
    assert note["gradients"] > FORGET // 2
    assert recorder.gradients == note["gradients"] + EPOCHS * shown


OWN_LOOP = '''
import torch
from torch.nn import functional
from unlearnbench import Method, Task


class OwnLoop(Method):
    """Descend with PyTorch's own optimiser, which imports the compiler.

    Source: none. Differences: none.
    """

    paper = "https://example.org"
    needs_retain = True

    def unlearn(self, model, task):
        """Two passes over D_R in batches of 32, and an import of its own."""
        import slow_import

        optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            for pixels, labels in task.require_retain().batches(32):
                optimiser.zero_grad()
                functional.cross_entropy(model(pixels), labels).backward()
                optimiser.step()
        return model
'''
FRESH = """
import json, sys
from pathlib import Path
import torch
from tests.test_cost import Bench

torch.set_num_threads(1)
bench = Bench(Path(sys.argv[1]))
trainings = [bench.trained, *(bench.run(bench.original) for _ in range(3))]
of_plugin = [bench.unlearn(Path(sys.argv[2])) for _ in range(4)]
for runs in (trainings, of_plugin):
    made = [run.recorder for run in runs]
    print(json.dumps([[r.seconds["total"] for r in made], [r.gradients for r in made]]))
"""


def in_a_fresh_process(folder: Path, plugin: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of four trainings, and of four runs of the plugin."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder), str(plugin)],
        env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (trainings, _), (own, gradients) = map(json.loads, done.stdout.splitlines())
    assert gradients == [R] * 4
    return trainings, own


def no_longer(trainings: list[float], own: list[float]) -> bool:
    # The plugin's import takes a second, that of the compiler one or more.
    return trainings[0] < 3 * min(trainings[1:]) and own[0] < min(own[1:]) + 0.8


@pytest.mark.slow
def test_the_first_run_takes_no_longer_and_a_loop_of_its_own_is_counted(tmp_path: Path) -> None:
    """In one process of three: what others do on the machine is late once, an import each time."""
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(1)\n")
    plugin = tmp_path / "own-loop.py"
    plugin.write_text(OWN_LOOP)
    assert any(no_longer(*in_a_fresh_process(tmp_path, plugin)) for _ in range(3))


VECTORISED = """
import sys
import torch
from torch.func import functional_call, grad, vmap
from unlearnbench.guarding.guard import guarded
from unlearnbench.execution.warming import import_early

import_early("from torch.func import grad")
known, layer = set(sys.modules), torch.nn.Linear(2, 1)
weights = {name: p.detach() for name, p in layer.named_parameters()}
vmap(grad(lambda w, x: functional_call(layer, w, x).sum()), (None, 0))(weights, torch.ones(3, 2))
assert set(sys.modules) == known
"""


@pytest.mark.slow
def test_nothing_is_imported_while_vectorised_gradients_are_timed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", VECTORISED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_warming_up_leaves_no_trace() -> None:
    recorder = Recorder()
    with recording(recorder), guarded() as left:
        warm_up(counted(contract.small_model(0)), torch.Size((1, 8, 8)), contract.RECIPE)
    assert left.changed == []
    assert recorder.gradients == 0 and not recorder.seconds and not recorder.trace
