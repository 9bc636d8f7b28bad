"""Layers whose norm is at most 1, against the dense matrix of their map."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from unlearnbench import registry
from unlearnbench.execution import contract
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, finetune, train
from unlearnbench.toolkit.bounded import Block, Bounded, BoundedConv, BoundedLinear, settle

RECIPE = Recipe(epochs=2, lr=0.5, batch_size=8, momentum=0.9)


def norm(layer: Bounded) -> float:
    """Return the largest singular value of the map, written out as a matrix."""
    shape = layer.direction.shape[1:]
    basis = torch.eye(shape.numel()).view(-1, *shape)
    with torch.no_grad():
        matrix = layer.there(basis).flatten(1)
    return float(torch.linalg.matrix_norm(matrix, 2))


def project(layer: Bounded, rounds: int) -> None:
    for _ in range(rounds):
        layer.project()


def layers(model: nn.Module) -> list[Bounded]:
    return [layer for layer in model.modules() if isinstance(layer, Bounded)]


def some(count: int = 24) -> Examples:
    e = contract.examples(count)
    return Examples(e.images, e.labels, e.augment, RECIPE)


def net() -> nn.Module:
    """Build a small net; of fewer than 8 channels torch 2.14's strided 1x1 convolution crashes."""
    torch.manual_seed(0)
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), BoundedLinear(8, 3))
    return nn.Sequential(BoundedConv(1, 4, 3, 8), Block(4, 8, 8, 1), Block(8, 8, 8, 2), flat)


@pytest.mark.parametrize(
    "layer",
    [
        BoundedConv(2, 3, 3, 6),
        BoundedConv(2, 3, 3, 6, stride=2),
        BoundedConv(2, 3, 3, 5, stride=2),
        BoundedConv(3, 2, 1, 5, stride=2),
        BoundedLinear(7, 4),
    ],
    ids=repr,
)
def test_projection_clips_the_norm_of_the_layers_own_map(layer: Bounded) -> None:
    assert norm(layer) == pytest.approx(1.0, abs=1e-4), "it begins as a map that keeps lengths"
    torch.manual_seed(1)
    drawn = torch.randn(layer.weight.shape)
    with torch.no_grad():
        layer.weight.copy_(drawn)
        layer.weight.mul_(1.3 / norm(layer))
    project(layer, 1000)
    assert norm(layer) == pytest.approx(1.0, abs=5e-3)
    with torch.no_grad():
        layer.weight.mul_(0.5)
    before = layer.weight.clone()
    project(layer, 3)
    assert torch.equal(layer.weight, before), "what is within the bound stays as it is"


def test_only_what_is_above_the_bound_is_lowered() -> None:
    layer = BoundedLinear(4, 4)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))[0]
    with torch.no_grad():
        layer.weight.copy_(turn @ torch.diag(torch.tensor([0.7, 0.45, 0.25, 0.05])))
    project(layer, 60)  # nothing to lower yet, but the direction is found
    with torch.no_grad():
        layer.weight.mul_(2)
    layer.project()
    values = torch.linalg.svdvals(layer.weight.detach())
    assert torch.allclose(values, torch.tensor([1.0, 0.9, 0.5, 0.1]), atol=1e-3)


def test_adjoint_and_slope_are_those_of_the_map() -> None:
    torch.manual_seed(2)
    for layer in (BoundedConv(2, 3, 3, 5, stride=2), BoundedLinear(7, 4)):
        nn.init.normal_(layer.weight)
        x = torch.randn(1, *layer.direction.shape[1:])
        image = layer.there(x)
        y = torch.randn_like(image)
        product = (image * y).sum()
        assert torch.allclose(product, (x * layer.back(y)).sum(), atol=1e-4)
        (slope,) = torch.autograd.grad(product, layer.weight)
        assert torch.allclose(slope, layer.slope(x, y), atol=1e-4)


def test_norms_hold_in_training_and_in_fine_tuning() -> None:
    model = train(net(), some(), seed=0)
    assert all(norm(layer) < 1.1 for layer in layers(model)), "one round a step keeps up"
    for made in (model, finetune(model, some(), lr=0.2, epochs=2, seed=0)):
        settle(made)
        norms = [norm(layer) for layer in layers(made)]
        assert len(norms) == 8 and max(norms) < 1.02 and max(norms) > 0.9


def test_what_is_like_a_settled_model_is_left_as_it_is() -> None:
    model = net()
    with torch.no_grad():
        for layer in layers(model):
            layer.weight.mul_(2)
    again = copy.deepcopy(model)
    settle(again, model)
    pairs = list(zip(layers(model), layers(again), strict=True))
    assert all(torch.equal(one.weight, other.weight) for one, other in pairs)
    settle(again)
    assert max(norm(layer) for layer in layers(again)) < 1.02


def test_outputs_change_no_faster_than_the_bound() -> None:
    model = train(net(), some(), seed=0)
    settle(model)
    model.eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 1, 8, 8, generator=generator)
    # One block keeps the shape: at most 2. The mean over 4 x 4 positions: a quarter.
    bound = 2 / 4 * 1.02
    for size in (1.0, 0.01):
        away = size * torch.randn(x.shape, generator=generator)
        with torch.no_grad():
            change: Tensor = (model(x + away) - model(x)).norm(dim=1)
        assert bool((change <= bound * away.flatten(1).norm(dim=1)).all())


def test_other_models_are_left_alone() -> None:
    model = contract.small_model(0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settle(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("name", "count"), [("small-lipschitz", 14), ("resnet18-lipschitz", 21)])
def test_models_are_made_of_bounded_layers_only(name: str, count: int) -> None:
    channels, size = (1, 8) if name == "small-lipschitz" else (3, 32)
    model = registry.find("models")[name].load().build(7, channels, size).eval()
    weights = [n for n, _ in model.named_parameters() if n.endswith("weight")]
    assert len(layers(model)) == len(weights) == count
    assert model(torch.rand(2, channels, size, size)).shape == (2, 7)
