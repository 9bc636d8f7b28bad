"""The reference models' view of the pool, and what attacks need of it, worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from unlearnbench.metrics import lira, rmia

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


def reference_counts(references: int) -> list[int]:
    """Return with how many of the references attacks are tried: 2, 4, 8, ... and all."""
    return sorted({2**power for power in range(1, references.bit_length())} | {references})


@dataclass(frozen=True)
class Bank:
    """Hold what k reference models say of n samples.

    margin, sm_taylor: float64 [k, n]; member: bool [k, n], who was trained on what. Every sample
    must be in exactly half of the models.
    """

    margin: Floats
    sm_taylor: Floats
    member: NDArray[np.bool_]

    @classmethod
    def join(cls, references: list[Arrays]) -> Bank:
        """Join the signals of all reference models."""
        return cls(
            np.stack([r["margin"].astype(np.float64) for r in references]),
            np.stack([r["sm_taylor"].astype(np.float64) for r in references]),
            np.stack([r["member"] for r in references]),
        )

    @cached_property
    def online(self) -> Floats:
        """P(x) of RMIA's online form, from softmax confidences, [n]."""
        return rmia.online(expit(self.margin), self.member)

    @cached_property
    def online_by_count(self) -> dict[int, Floats]:
        """P(x) of RMIA's online form with 2, 4, 8, ... models and with all, [n] each.

        Of each sample the first models trained on it, and as many of the others.
        """
        order = np.argsort(~self.member, axis=0, kind="stable")
        sums = np.take_along_axis(expit(self.margin), order, axis=0)
        half = len(sums) // 2
        inside, outside = (np.cumsum(part, axis=0) for part in (sums[:half], sums[half:]))
        counts = reference_counts(len(sums))
        return {k: (inside[k // 2 - 1] + outside[k // 2 - 1]) / k for k in counts}

    @cached_property
    def memorisation(self) -> Floats:
        """How much surer models trained on a sample are of it than others, [n], in [-1, 1].

        Feldman and Zhang's estimate (arXiv 2008.03703), with confidences in place of hits.
        """
        sure, member = expit(self.margin), self.member
        difference: Floats = rmia.mean_over(member, sure) - rmia.mean_over(~member, sure)
        return difference

    @cached_property
    def offline_a(self) -> float:
        """RMIA's offline constant a, chosen by attacking reference models."""
        return rmia.choose_a(expit(self.margin), self.member)

    @cached_property
    def offline(self) -> Floats:
        """P(x) of RMIA's offline form, [n]."""
        return rmia.offline(expit(self.margin), self.member, self.offline_a)

    @cached_property
    def paper(self) -> Floats:
        """P(x) as in AMUN's evaluation: the plain mean of SM-Taylor probabilities, [n]."""
        mean: Floats = self.sm_taylor.mean(0)
        return mean

    @cached_property
    def gaussians(self) -> lira.Gaussians:
        """LiRA's Gaussians of the margin with and without each sample."""
        return lira.fit(self.margin, self.member)

    @cached_property
    def code(self) -> lira.Normal:
        """The Gaussians of LiRA's reference code without each sample."""
        return lira.fit_as_reference_code(self.margin, self.member)
