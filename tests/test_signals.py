"""Signals against the textbook formulas."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from tests.peak import peak
from unlearnbench.errors import MethodError
from unlearnbench.execution.contract import RECIPE, examples
from unlearnbench.execution.signals import compact, read_logits, signals
from unlearnbench.metrics.distances import agreement
from unlearnbench.storage.records import SIGNALS, PoolSize, check_arrays
from unlearnbench.toolkit import Examples


def test_margin_is_the_log_odds_of_the_confidence() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 4)).astype(np.float32)
    labels = np.arange(50) % 4
    made = signals(logits, labels, np.zeros(50, dtype=bool))
    p = softmax(logits.astype(np.float64), axis=1)[np.arange(50), labels]
    assert made["confidence"] == pytest.approx(p, abs=1e-6)
    assert made["margin"] == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert np.array_equal(made["correct"], logits.argmax(1) == labels)
    assert np.array_equal(made["label"], labels)
    shifted = signals(logits + 5, labels, np.zeros(50, dtype=bool))
    assert shifted["margin"] == pytest.approx(made["margin"], abs=1e-4)


def test_stored_logits_say_the_same_however_large_they_are() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (500, 10)).astype(np.float32)
    stored = compact(logits)
    assert np.array_equal(stored.argmax(1), logits.argmax(1)) and stored.max() == 0
    kept = softmax(stored.astype(np.float64), axis=1)
    assert kept == pytest.approx(softmax(logits.astype(np.float64), axis=1), abs=2e-3)
    huge = compact(logits * 1e6)
    assert np.isfinite(huge).all() and np.array_equal(huge.argmax(1), logits.argmax(1))
    other = compact(np.roll(logits, 1, axis=1) * 1e6)
    same = (np.roll(logits, 1, axis=1).argmax(1) == logits.argmax(1)).mean()
    assert agreement(huge.astype(float), other.astype(float)) == pytest.approx(100 * same)


def test_sm_taylor_by_hand() -> None:
    made = signals(np.array([[2.0, 1.0]], dtype=np.float32), np.array([0]), np.array([True]))

    def t(c: float) -> float:
        return 1 + c + c**2 / 2 + c**3 / 6

    assert made["sm_taylor"][0] == pytest.approx(t(1 - 0.6) / (t(1 - 0.6) + t(0.5)), abs=1e-6)


def test_modified_entropy_depends_on_the_label() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]], dtype=np.float32))
    made = signals(logits, np.array([0, 1]), np.array([True, True]))["modified_entropy"]
    right = -0.3 * np.log(0.7) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9)
    wrong = -0.8 * np.log(0.2) - 0.7 * np.log(0.3) - 0.1 * np.log(0.9)
    assert made == pytest.approx([right, wrong], abs=1e-6)
    sure = signals(np.array([[200.0, 0.0]] * 2), np.array([0, 1]), np.array([True, True]))
    assert sure["modified_entropy"][0] == 0 and np.isfinite(sure["modified_entropy"][1])


def test_batch_size_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    whole, split = read_logits(model, examples(48)), read_logits(model, examples(48), batch=7)
    assert whole == pytest.approx(split, abs=1e-5)


def test_outputs_that_are_not_finite_are_an_error() -> None:
    linear = nn.Linear(64, 3)
    linear.weight.data.fill_(float("nan"))
    model = nn.Sequential(nn.Flatten(), linear)
    some = Examples(torch.zeros(2, 1, 8, 8), torch.zeros(2).long(), torch.ones(2).bool(), RECIPE)
    with pytest.raises(MethodError, match="not finite"):
        read_logits(model, some)


@pytest.mark.parametrize(("samples", "classes"), [(1, 2), (33, 7), (257, 100)])
def test_blocks_of_samples_change_no_bit(
    samples: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 9, (samples, classes)).astype(np.float32)
    of = logits, draw.integers(0, classes, samples), np.zeros(samples, dtype=bool)
    whole, stored = signals(*of), compact(logits)
    for block in (1, 5 * classes, samples * classes):
        monkeypatch.setattr("unlearnbench.blocks.BLOCK", block)
        made = signals(*of)
        assert list(made) == list(whole), "the order of arrays in a file"
        assert all(made[name].tobytes() == whole[name].tobytes() for name in whole), block
        assert compact(logits).tobytes() == stored.tobytes()


def test_memory_does_not_grow_with_samples_times_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million images of a thousand classes would take 76 GB, beside 5 GB of logits."""
    monkeypatch.setattr("unlearnbench.blocks.BLOCK", 2**14)
    logits = np.random.default_rng(0).normal(size=(2000, 500)).astype(np.float32)
    labels, member = np.arange(2000) % 500, np.zeros(2000, dtype=bool)
    assert peak(lambda: signals(logits, labels, member)) < logits.nbytes
    assert peak(lambda: compact(logits)) < logits.nbytes, "two bytes a logit are what is made"


def test_there_may_be_more_classes_than_16_bits_tell_apart() -> None:
    labels = np.array([0, 32_767, 32_768, 39_999])
    logits = np.random.default_rng(0).normal(size=(4, 40_000)).astype(np.float32)
    made, file = signals(logits, labels, np.zeros(4, dtype=bool)), BytesIO()
    assert made["label"].tolist() == labels.tolist()
    np.savez(file, **made)  # type: ignore[arg-type]
    assert check_arrays(SIGNALS, file, PoolSize(2, 2, 0, classes=40_000)) is not None
    few = signals(logits[:2], labels[:2], np.zeros(2, dtype=bool))
    assert few["label"].dtype == np.int16, "as it was always stored"
