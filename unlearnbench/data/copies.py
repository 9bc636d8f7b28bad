"""Exact copies among the samples of a benchmark: what is forgotten may stay under another name."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unlearnbench.data.fitting import Images

Part = tuple[Images, NDArray[np.int64]]
BLOCK = 256
"""Images that are read at a time, where they lie in a file."""


def count_copies(train: Part, others: Sequence[Part]) -> dict[str, int]:
    """Count images that equal another one in every pixel.

    others: those that no model of the benchmark is trained on. train: training images that equal
    another training image; test: others that equal a training image; either "of another label":
    those of them that equal one with another label.
    """
    labels: dict[bytes, list[int]] = {}
    for key, label in _hashed(train):
        labels.setdefault(key, []).append(label)
    found = dict.fromkeys(("train", "train, of another label"), 0)
    for same in labels.values():
        if len(same) > 1:
            found["train"] += len(same)
            found["train, of another label"] += len(same) * (len(set(same)) > 1)
    met = [
        {*labels[key]} - {label} for part in others for key, label in _hashed(part) if key in labels
    ]
    return found | {"test": len(met), "test, of another label": sum(map(bool, met))}


def _hashed(part: Part) -> Iterator[tuple[bytes, int]]:
    """Yield a hash of each image, and its label."""
    images, labels = part
    for start in range(0, len(images), BLOCK):
        block = np.ascontiguousarray(images[start : start + BLOCK])
        for image, label in zip(block, labels[start : start + BLOCK].tolist(), strict=True):
            yield hashlib.sha256(image).digest(), label


def said(copies: Mapping[str, int]) -> str:
    """Say what was counted, in a sentence or two; "" if there are no copies, or none are known."""
    parts = []
    for part in ("train", "test"):
        if number := copies.get(part, 0):
            other = copies[f"{part}, of another label"]
            labels = f" ({other:,} with another label)" if other else ""
            parts.append(
                f"{number:,} of the {'training' if part == 'train' else 'test'} set{labels}"
            )
    if not parts:
        return ""
    return (
        f"Images with an exact copy in the training set: {' and '.join(parts)}. A model that"
        " forgets one may still know its copy."
    )
