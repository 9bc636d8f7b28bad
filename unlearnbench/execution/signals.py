"""What is read off a model once: everything that metrics are computed from."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax
from torch import Tensor, nn

from unlearnbench.blocks import row_blocks
from unlearnbench.errors import MethodError
from unlearnbench.toolkit.examples import Examples, outputs

TEMPERATURE, SOFT_MARGIN = 2.0, 0.6
"""RMIA's settings for CIFAR-10, which AMUN uses; the Taylor series is cut after the cubic term."""


def read_logits(
    model: nn.Module, examples: Examples, why: str = "the method diverged", batch: int = 1024
) -> NDArray[np.float32]:
    """Return the logits [n, classes] of clean images, in eval mode and fp32.

    Raises MethodError if any is not finite, with the reason `why`.
    """
    return finite(outputs(model, examples, batch), "The model's outputs", why)


def finite(logits: Tensor, whose: str, why: str) -> NDArray[np.float32]:
    """Return logits as an array. Raises MethodError, with these words, if one is not finite."""
    if not torch.isfinite(logits).all():
        raise MethodError(f"{whose} are not finite: {why}.")
    return logits.float().cpu().numpy()


def compact(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return logits [n, classes] as they are stored: less the row's largest, in half precision.

    A constant a row changes no prediction and no probability, and no row can overflow: what is
    lower than half precision reaches is held at its end, where its probability is zero anyway.
    """
    lowest, stored = np.finfo(np.float16).min, np.empty(logits.shape, dtype=np.float16)
    for rows in row_blocks(logits):
        below = logits[rows].astype(np.float64) - logits[rows].max(axis=1, keepdims=True)
        stored[rows] = np.maximum(below, lowest)
    return stored


def narrow(labels: NDArray[np.int64]) -> NDArray[np.signedinteger]:
    """Return labels as they are stored: in 16 bits where those tell the classes apart, or in 32."""
    most = labels.max(initial=0)
    return labels.astype(np.int16 if most <= np.iinfo(np.int16).max else np.int32)


def signals(
    logits: NDArray[np.float32], labels: NDArray[np.int64], member: NDArray[np.bool_]
) -> dict[str, NDArray[np.generic]]:
    """Reduce logits [n, classes] to one number a sample.

    margin = the label's logit minus logsumexp of the others = log(p / (1 - p)); confidence = p;
    sm_taylor = RMIA's soft-margin Taylor softmax with each cubic held above 0, sm_taylor_exact the
    same as AMUN's code has it; modified_entropy = SalUn's, label-aware; correct; member = trained
    on; label: the true class. Computed in float64, stored as float32.
    """
    made = [_of_rows(logits[rows], labels[rows]) for rows in row_blocks(logits)]
    numbers = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
    return numbers | {"member": member, "label": narrow(labels)}


def _of_rows(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, NDArray[np.generic]]:
    """Return what logits alone say of some samples."""
    z = logits.astype(np.float64)
    row = np.arange(len(z))
    others = z.copy()
    others[row, labels] = -np.inf
    margin = z[row, labels] - logsumexp(others, axis=1)
    return {
        "margin": margin.astype(np.float32),
        "confidence": expit(margin).astype(np.float32),
        "sm_taylor": _sm_taylor(z, labels, least=1e-6).astype(np.float32),
        "sm_taylor_exact": _sm_taylor(z, labels).astype(np.float32),
        "modified_entropy": _modified_entropy(z, margin, labels).astype(np.float32),
        "correct": z.argmax(1) == labels,
    }


def _modified_entropy(
    z: NDArray[np.float64], margin: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the modified entropy (Song and Mittal, arXiv 2003.10595): small if sure and right.

    -(1 - p_y) log p_y - sum over j != y of p_j log(1 - p_j). SalUn's code, and what was copied from
    it, lets the label change every column of every row, so that no label matters any more.
    """
    p = softmax(z, axis=1)
    away = -p * np.log1p(-np.minimum(p, 1 - np.finfo(np.float64).epsneg))
    away[np.arange(len(z)), labels] = 0
    entropy: NDArray[np.float64] = expit(-margin) * np.logaddexp(0, -margin) + away.sum(1)
    return entropy


def _sm_taylor(
    z: NDArray[np.float64], labels: NDArray[np.int64], least: float = -np.inf
) -> NDArray[np.float64]:
    """Return the SM-Taylor-softmax probability of the label (RMIA, arXiv 2312.03262, appendix).

    The cubic 1 + c + c^2/2 + c^3/6 turns negative below c = -1.6, where a "probability" may have
    any value, negative or above 1; none (a sum of exactly 0) counts as 0. least: where each cubic
    is held, which keeps the probability between 0 and 1 if it is positive.
    """

    def taylor(c: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(1 + c + c**2 / 2 + c**3 / 6, least)

    row, scaled = np.arange(len(z)), z / TEMPERATURE
    scaled[row, labels] -= SOFT_MARGIN
    terms = taylor(scaled)
    own, total = terms[row, labels], terms.sum(1)
    probability: NDArray[np.float64] = np.divide(own, total, np.zeros_like(own), where=total != 0)
    return probability
