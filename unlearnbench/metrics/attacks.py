"""Membership attacks: what each is called, what it needs, and how it scores samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from unlearnbench.metrics import lira, rmia, svc
from unlearnbench.metrics.bank import Bank

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

HEADLINE = "rmia"
"""The attack behind FT, FR and RT AUC."""


@dataclass(frozen=True)
class Samples:
    """Say which samples of the pool are forgotten, retained, tested on, and sure non-members.

    Indices into the signals. others: the non-members that attacks compare with; the test samples,
    or samples held out from the training set before anything was trained. earlier: what requests
    before this one asked to forget.
    """

    forget: Index
    retain: Index
    test: Index
    others: Index
    earlier: Index = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def all_forgotten(self) -> Index:
        """What this request and all before it asked to forget."""
        return np.concatenate((self.forget, self.earlier))


@dataclass(frozen=True)
class View:
    """Hold what an attacker sees of one model: its signals over the pool."""

    signals: Mapping[str, NDArray[Any]]
    samples: Samples

    @cached_property
    def margin(self) -> Floats:
        """Log-odds of the true label."""
        margin: Floats = self.signals["margin"].astype(np.float64)
        return margin

    @cached_property
    def confidence(self) -> Floats:
        """From the margin, which keeps apart what float32 confidences near 1 no longer can."""
        confidence: Floats = expit(self.margin)
        return confidence


def _loss(view: View, bank: Bank) -> Floats:
    return view.margin  # the loss is log(1 + exp(-margin)): it falls as the margin grows


def _rmia(view: View, bank: Bank) -> Floats:
    return view.confidence / bank.online


def _rmia_offline(view: View, bank: Bank) -> Floats:
    return view.confidence / bank.offline


def _rmia_paper(view: View, bank: Bank) -> Floats:
    ratio = view.signals["sm_taylor"].astype(np.float64) / bank.paper
    # Every other sample of the pool is the population; with gamma > 1 none counts itself.
    return rmia.score(ratio, ratio, gamma=rmia.GAMMA, strict=True)


def _lira(view: View, bank: Bank) -> Floats:
    return lira.online(view.margin, bank.gaussians)


def _lira_offline(view: View, bank: Bank) -> Floats:
    return lira.offline(view.margin, bank.gaussians.outside)


def _lira_code(view: View, bank: Bank) -> Floats:
    return lira.offline_as_reference_code(view.margin, bank.code)


def _svc(view: View, bank: Bank | None) -> Floats:
    samples, entropy = view.samples, view.signals["modified_entropy"].astype(np.float64)
    scores = np.full(len(entropy), np.nan)  # of the samples it was trained on there are no scores
    scores[samples.forget], scores[samples.others] = svc.scores(
        entropy[samples.retain], entropy[samples.others], entropy[samples.forget]
    )
    return scores


@dataclass(frozen=True)
class Attack:
    """Describe an attack: title, what it does in a line, whether it needs reference models."""

    title: str
    about: str
    score: Callable[[View, Any], Floats]
    references: bool = True


ATTACKS: dict[str, Attack] = {
    "rmia": Attack("RMIA", "likelihood ratio against references, online", _rmia),
    "rmia-paper": Attack(
        "RMIA, AMUN's",
        "as in AMUN's evaluation: SM-Taylor, T = 2, m = 0.6, n = 4, gamma = 2, all other samples"
        " as population, online",
        _rmia_paper,
    ),
    "rmia-offline": Attack(
        "RMIA offline", "likelihood ratio against references without the sample", _rmia_offline
    ),
    "lira": Attack("LiRA", "Gaussians of the margin with and without the sample", _lira),
    "lira-offline": Attack(
        "LiRA offline", "how far above its distribution without the sample", _lira_offline
    ),
    "lira-offline-code": Attack(
        "LiRA offline, code",
        "the published code's form: minus the log density without the sample, two-sided",
        _lira_code,
    ),
    "loss": Attack("Loss", "the loss itself (Attack-P)", _loss, references=False),
    "svc": Attack(
        "SVC", "an SVC on the label-aware modified entropy (SalUn)", _svc, references=False
    ),
}


def score(name: str, view: View, bank: Bank | None) -> Floats:
    """Return an attack's membership scores of the pool, [n]; higher is likelier a member."""
    return ATTACKS[name].score(view, bank)


def possible(names: list[str], bank: Bank | None) -> list[str]:
    """Keep the attacks that can be made with the references there are."""
    return [name for name in names if bank is not None or not ATTACKS[name].references]
