"""What a method may give back: the weights count, whatever is put round them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from unlearnbench.errors import MethodError
from unlearnbench.execution.contract import examples, small_model
from unlearnbench.execution.returned import kinds, returned
from unlearnbench.toolkit import outputs
from unlearnbench.toolkit.recorder import Recorder, recording


def compiled_layer(model: nn.Module) -> nn.Module:
    model[0] = torch.compile(model[0])  # type: ignore[index, operator]
    return model


def pruned(model: nn.Module) -> nn.Module:
    prune.l1_unstructured(model[0], "weight", amount=0.5)  # type: ignore[index, no-untyped-call]
    with torch.no_grad():
        model[0].weight_orig.mul_(2)  # type: ignore[index]
    return model


def normed(model: nn.Module) -> nn.Module:
    parametrizations.weight_norm(model[0], "weight")  # type: ignore[index]
    return model


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "nothing": lambda model: model,
    "DataParallel": nn.DataParallel,
    "torch.compile": lambda model: torch.compile(model),
    "both": lambda model: nn.DataParallel(torch.compile(model)),
    "a compiled layer": compiled_layer,
    "an average of weights": AveragedModel,
    "pruning": pruned,
    "a parametrisation": normed,
    "double precision": lambda model: model.double(),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_taken_off(name: str) -> None:
    shown, given = examples(6), small_model(1)
    like, wrapped = kinds(given), WRAPPERS[name](copy.deepcopy(given))
    recorder = Recorder()
    with recording(recorder):
        made = returned(wrapped, like, lambda: small_model(9))
    assert kinds(made) == like
    expected = wrapped.eval() if name == "pruning" else given
    torch.testing.assert_close(outputs(made, shown), outputs(expected, shown))
    said = ["unlearn returned weights of float64: taken as float32"]
    assert recorder.notes.get("warnings", []) == (said if name == "double precision" else [])


@pytest.mark.parametrize("how", ["hook", "hook before", "forward"])
def test_what_is_measured_is_what_the_weights_say(how: str) -> None:
    given = small_model(1)
    shown = examples(6)
    expected, left = outputs(given, shown), copy.deepcopy(given)
    if how == "hook":
        left.register_forward_hook(lambda module, inputs, made: made * 0)
    elif how == "hook before":
        left.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 0,))
    else:
        left.forward = lambda x: given(x) * 0
    assert not torch.equal(outputs(left, shown), expected)
    made = returned(left, kinds(given), lambda: small_model(9))
    assert torch.equal(outputs(made, shown), expected)


def test_half_precision_is_taken_as_float32() -> None:
    given = small_model(1)
    recorder = Recorder()
    with recording(recorder):
        made = returned(copy.deepcopy(given).half(), kinds(given), lambda: small_model(9))
    assert kinds(made) == kinds(given)
    told = ["unlearn returned weights of float16: taken as float32"]
    assert recorder.notes["warnings"] == told
    shown = examples(6)
    torch.testing.assert_close(outputs(made, shown), outputs(given, shown), atol=0.01, rtol=0.01)


def old_norm(model: nn.Module) -> nn.Module:
    nn.utils.weight_norm(model[0])  # type: ignore[index]
    return model


def complex_(model: nn.Module) -> nn.Module:
    model[0].weight.data = model[0].weight.data.to(torch.complex64)  # type: ignore[index]
    return model


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda m: None, "unlearn returned NoneType, not a model."),
        (lambda m: nn.Linear(2, 2), "another architecture: it is missing 0.weight, "),
        (complex_, "weights of complex64: return them as float32."),
    ],
)
def test_others_are_refused_in_a_line(make: Callable[[nn.Module], object], line: str) -> None:
    given = small_model(1)
    with pytest.raises(MethodError) as error:
        returned(make(copy.deepcopy(given)), kinds(given), lambda: small_model(9))
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_what_is_in_the_way_is_named() -> None:
    given = small_model(1)
    line = (
        "it is missing 0.weight, has 0.weight_g, 0.weight_v that it did not have. Return the model"
    )
    with pytest.raises(MethodError, match=line):
        returned(old_norm(copy.deepcopy(given)), kinds(given), lambda: small_model(9))
