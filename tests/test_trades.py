"""TRADES against its formula, on linear models of two classes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from unlearnbench.execution import contract
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Recipe, Trades
from unlearnbench.toolkit import Examples, finetune, train
from unlearnbench.toolkit.counting import counted
from unlearnbench.toolkit.examples import divergence
from unlearnbench.toolkit.recorder import Recorder, recording
from unlearnbench.toolkit.trades import trades_loss, worst_nearby

SIDE = 4


class Linear(nn.Module):
    """Two classes by the sign of w.x + b, and a note of its mode at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(SIDE**2, generator=torch.Generator().manual_seed(0)))
        self.modes: list[bool] = []
        counted(self)

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        score = (x - 0.5).flatten(1) @ self.w
        return torch.stack((-score / 2, score / 2), 1)


def two() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(2, 1, SIDE, SIDE, generator=draw) * 0.2 + 0.4, torch.tensor([1, 0])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def test_divergence_is_the_mean_of_p_log_p_over_q() -> None:
    p, q = torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([[0.6, 0.4], [0.5, 0.5]])
    expected = sum(
        a * math.log(a / b) for a, b in zip(p.flatten().tolist(), q.flatten().tolist(), strict=True)
    )
    assert divergence(q.log(), p.log()).item() == pytest.approx(expected / 2, abs=1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_search_ends_where_the_worst_of_a_linear_model_is(norm: str) -> None:
    """On the surface of the ball, along the weight or in a corner, towards either class."""
    model, (pixels, _) = Linear(), two()
    trades = Trades.model_validate({"norm": norm, "radius": 0.05, "steps": 40, "step": 0.01})
    nearby = worst_nearby(model, pixels, trades, generator())
    away = (nearby - pixels).flatten(1)
    w = model.w.detach()
    worst = 0.05 * (w.sign() if norm == "linf" else w / w.norm())
    for row in away:
        assert min((row - worst).norm(), (row + worst).norm()) < 0.01
    assert model.w.grad is None


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_search_stays_in_the_ball_and_in_the_images(norm: str) -> None:
    model = Linear()
    pixels = torch.rand(32, 1, SIDE, SIDE, generator=generator()).round(decimals=1)
    trades = Trades.model_validate({"norm": norm, "radius": 0.2, "steps": 7, "step": 0.15})
    recorder = Recorder()
    with recording(recorder):
        nearby = worst_nearby(model, pixels, trades, generator())
    away = (nearby - pixels).flatten(1)
    sizes = away.abs().amax(1) if norm == "linf" else away.norm(dim=1)
    assert bool((sizes <= 0.2 + 1e-6).all()) and bool((sizes > 0.05).all())
    assert nearby.min() >= 0 and nearby.max() <= 1
    assert recorder.gradients == 7 * 32


def test_the_loss_and_its_gradient_are_the_formula() -> None:
    model, (pixels, labels) = Linear(), two()
    trades = Trades(weight=3.0, radius=0.3, steps=5, step=0.1)
    nearby = worst_nearby(model, pixels, trades, generator())
    model.modes.clear()
    model.train()
    loss = trades_loss(model, trades, generator())(pixels, labels)
    assert model.modes == [False] * 6 + [True, True], "searched in eval mode, then trained"
    (gradient,) = torch.autograd.grad(loss, model.w)

    w = model.w.detach().double()
    a, b = ((x.double() - 0.5).flatten(1) for x in (pixels, nearby))
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
    p, q = torch.sigmoid(a @ w), torch.sigmoid(b @ w)
    own = -torch.sigmoid(sign * (a @ w)).log()
    apart = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert loss.item() == pytest.approx((own + 3 * apart).mean().item(), rel=1e-4)
    through_p = (p * (1 - p) * ((p / q).log() - ((1 - p) / (1 - q)).log()))[:, None] * a
    through_q = (q - p)[:, None] * b
    of_own = (-sign * torch.sigmoid(-sign * (a @ w)))[:, None] * a
    expected = (of_own + 3 * (through_p + through_q)).mean(0)
    assert torch.allclose(gradient.double(), expected, atol=1e-5)


def test_originals_are_trained_by_it_and_fine_tuning_is_not() -> None:
    few = contract.examples(24)
    plain = few.recipe.model_copy(update={"epochs": 2})
    trades = Trades(radius=0.5, steps=3, step=0.2)
    robust = plain.model_copy(update={"trades": trades})
    states, gradients = {}, {}
    for name, recipe in (("plain", plain), ("robust", robust)):
        examples = Examples(few.images, few.labels, few.augment, recipe)
        for what in ("train", "finetune"):
            recorder, model = Recorder(), counted(contract.small_model(0))
            with recording(recorder):
                if what == "train":
                    train(model, examples, seed=1)
                else:
                    finetune(model, examples, lr=0.1, epochs=2, seed=1)
            states[name, what] = torch.cat([p.flatten() for p in model.parameters()])
            gradients[name, what] = recorder.gradients
    assert not torch.equal(states["plain", "train"], states["robust", "train"])
    assert torch.equal(states["plain", "finetune"], states["robust", "finetune"])
    assert gradients["plain", "train"] == 24 * 2
    assert gradients["robust", "train"] == 24 * 2 * (3 + 2), "steps, the image, the one nearby"


def test_ids_tell_how_models_were_trained() -> None:
    def made(trades: Trades | None) -> str:
        fixed = {"kind": "original", "data": {"name": "digits"}, "model": "m", "seed": 1}
        return Spec.model_validate(fixed | {"recipe": Recipe(trades=trades)}).id

    assert len({made(None), made(Trades()), made(Trades(steps=3))}) == 3
