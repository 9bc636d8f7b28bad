"""The layers of a model, for any model, and how the last of them are trained alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unlearnbench import registry
from unlearnbench.execution.building import build_model
from unlearnbench.toolkit import last_layer, layers, only_last_layers
from unlearnbench.toolkit.recorder import Recorder, recording

COUNTS = {
    "cifarnet": 8,
    "mobilenet-v2": 53,
    "resnet18": 21,
    "resnet18-lipschitz": 21,
    "resnet8": 10,
    "small-cnn": 4,
    "small-lipschitz": 14,
    "small-vit": 26,
    "vgg19-bn": 17,
}
"""Convolutions and linear layers of each model that is shipped, the shortcuts' included."""


def test_every_model_is_counted() -> None:
    assert COUNTS.keys() == registry.find("models").keys()


@pytest.mark.parametrize("name", COUNTS)
def test_layers_part_all_that_a_model_holds(name: str) -> None:
    model = build_model(name, 0, 10, 3, 32)
    found = layers(model)
    assert len(found) == COUNTS[name]
    assert [n for layer in found for n in layer] == list(model.state_dict())
    head = last_layer(model)
    assert {id(model.get_parameter(n)) for n in found[-1] if "weight" in n or "bias" in n} == {
        id(p) for p in head.parameters()
    }
    for layer in found:
        shapes = [model.state_dict()[n].ndim for n in layer if n.endswith("weight")]
        assert shapes[0] > 1 and set(shapes[1:]) <= {1}, "a weight, and norms after it"


def test_batchnorm_belongs_to_the_convolution_before_it() -> None:
    second = layers(build_model("small-cnn", 0, 10, 1, 8))[1]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert second == ["3.weight", *(f"4.{name}" for name in norm)]


def test_norms_at_the_start_belong_to_the_first_layer_and_attention_is_parted() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16)
    found = layers(nn.Sequential(nn.LayerNorm(8), block, nn.Linear(8, 3)))
    assert [layer[0] for layer in found] == [
        "0.weight",
        "1.self_attn.in_proj_weight",
        "1.self_attn.out_proj.weight",
        "1.linear1.weight",
        "1.linear2.weight",
        "2.weight",
    ]


@pytest.mark.parametrize(("count", "told"), [(1, "1 of 4"), (2, "2 of 4"), (9, "4 of 4")])
def test_only_the_last_layers_get_gradients(count: int, told: str) -> None:
    model = build_model("small-cnn", 0, 10, 1, 8)
    with recording(Recorder()) as noted, only_last_layers(model, count) as names:
        model(torch.rand(4, 1, 8, 8)).sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == set(names) & {name for name, _ in model.named_parameters()}
    assert noted.notes["layers trained"] == told
    assert all(p.requires_grad for p in model.parameters()), "afterwards all can be trained"
