"""Models of torchvision and timm, built for the classes and the images of a benchmark."""

import copy
from importlib import import_module
from typing import Any

import torch
from torch import nn

from unlearnbench.errors import DataError

IN_PARTS = {"googlenet", "inception_v3"}
"""Models of torchvision that have outputs beside the logits unless they are told not to."""
_tried: set[tuple[str, str, int, int, int]] = set()


def of_library(library: str, name: str, classes: int, channels: int, size: int) -> nn.Module:
    """Build a model of a library with fresh weights. The caller has seeded torch.

    Where the library has no setting for the number of channels, the first convolution is made
    again. Raises DataError in one line if it cannot be built for such images, or does not map them
    to one logit a class.
    """
    key = (library, name, classes, channels, size)
    try:
        make = _of_timm if library == "timm" else _of_torchvision
        model = make(name, classes, channels, size)
        if key not in _tried:
            _try(copy.deepcopy(model), classes, channels, size)
            _tried.add(key)
    except Exception as error:  # whatever a library raises for sizes that it cannot take
        said = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise DataError(
            f"{library}:{name} cannot be trained on images of {channels}x{size}x{size} in"
            f" {classes} classes: {said}.",
            "Name another model, or images of another size.",
        ) from error
    return model


def _of_torchvision(name: str, classes: int, channels: int, size: int) -> nn.Module:
    from torchvision import models

    more: dict[str, Any] = {}
    if name.startswith("vit_"):
        more["image_size"] = size
    if name.startswith("maxvit"):
        more["input_size"] = (size, size)
    if name in IN_PARTS:
        more |= {"aux_logits": False, "init_weights": True}
    model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **more)
    return with_channels(model, channels)


def _of_timm(name: str, classes: int, channels: int, size: int) -> nn.Module:
    timm = import_module("timm")  # which need not be installed
    settings = {"pretrained": False, "num_classes": classes, "in_chans": channels}
    try:  # transformers are made for one size; convolutions take any, and have no such setting
        model: nn.Module = timm.create_model(name, img_size=size, **settings)
    except TypeError:
        model = timm.create_model(name, **settings)
    return model


def with_channels(model: nn.Module, channels: int) -> nn.Module:
    """Have the first convolution of a model take so many channels; returns the model, changed.

    Its weights are those that were drawn, scaled so that outputs vary as much as before.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels != channels:
                parent, _, own = name.rpartition(".")
                setattr(model.get_submodule(parent), own, _taking(layer, channels))
            break
    return model


def _taking(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    taken = torch.arange(channels) % layer.in_channels
    made = copy.deepcopy(layer)
    made.in_channels = channels
    scale = (layer.in_channels / channels) ** 0.5
    made.weight = nn.Parameter(layer.weight.detach()[:, taken] * scale)
    return made


def _try(model: nn.Module, classes: int, channels: int, size: int) -> None:
    """Raise TypeError unless a model, which is not used again, has a logit a class in training."""
    with torch.no_grad():
        outputs: object = model.train()(torch.zeros(2, channels, size, size))
    if not isinstance(outputs, torch.Tensor) or outputs.shape != (2, classes):
        shape = list(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise TypeError(f"it returns {shape} for two images, not [2, {classes}]")
