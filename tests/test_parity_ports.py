"""Every method against a plain port of its paper's update, on a net with BatchNorm."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import unlearnbench as ub
from docs.builder.parity import LIMIT
from tests.conftest import Parity
from tests.ports import PORTS
from tests.ports.case import (
    CLASSES,
    FORGET,
    RECIPE,
    RETAIN,
    SEED,
    UNSEEN,
    Data,
    Port,
    case,
    fresh,
    trained,
)
from tests.test_parity import Array
from unlearnbench.authoring import Task
from unlearnbench.toolkit import Examples


def examples(data: Data) -> Examples:
    images, labels = data
    return Examples(images, labels, torch.ones_like(labels, dtype=torch.bool), RECIPE)


def task() -> Task:
    return Task(
        forget=examples(FORGET),
        retain=examples(RETAIN),
        classes=CLASSES,
        seed=SEED,
        device=torch.device("cpu"),
        recipe=RECIPE,
        original=case().original,
        validation=examples(UNSEEN),
        build=fresh,
    )


def state(net: nn.Module) -> list[Array]:
    """Return weights, and what BatchNorm keeps beside them."""
    return [value.detach().double().numpy() for value in net.state_dict().values()]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.method)
def test_a_method_is_what_its_port_is(port: Port, parity: Parity) -> None:
    start = trained(11)  # not the original, as after an earlier request
    method = ub.method(port.method, **port.settings)
    made = task().hand_to(method, copy.deepcopy(start))
    ported = port.run(copy.deepcopy(start), case(), **port.settings)
    parity(port.method, state(made), state(ported), "port")
    both = zip(made.parameters(), start.parameters(), strict=True)
    moved = max(float((weight - before).detach().abs().max()) for weight, before in both)
    assert moved > 100 * LIMIT, "what did not move agrees with anything"
