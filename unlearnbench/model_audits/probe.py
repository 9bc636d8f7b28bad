"""An audit: what a model's features still say of its forget set, whatever its last layer says."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

from unlearnbench import param
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.toolkit import features, recorder


class Probe(ModelAudit):
    """Fit a new last layer to D_R, by logistic regression on the features below the old one.

    Where a method changed the last layer alone, the features still tell forget samples from others,
    and the probe says so. The record has the similarity of the features to those of a model that
    was retrained on the same forget set, on D_F and on D_T: linear CKA, 1 where they are equal up
    to rotation and scale, None without such a model.

    Source: linear probes on unlearned models, arXiv 2604.08271; CKA, Kornblith et al. (arXiv
    1905.00414), equation 3 for the linear kernel.

    Differences: features are standardised on D_R, and the regression has a small l2 penalty, so
    that it has one solution, also where a whole class is forgotten.
    """

    title = "Linear probe"
    about = "A new last layer is fitted to the retain set, on the features below the old one."
    paper = "https://arxiv.org/abs/2604.08271"
    needs_retrain: ClassVar[bool] = True
    compared: ClassVar[tuple[str, ...]] = ("accuracy", "confidence")

    penalty: float = param(
        1e-3, gt=0, help="half of it times the squared weights", source="ourselves"
    )
    steps: int = param(1000, ge=1, help="most that L-BFGS takes", source="ourselves")

    def logits(self, model: nn.Module, case: Case) -> Tensor:
        """Return the outputs of the probe."""
        pool = features(model, case.pool).double()
        if case.retrain is not None:
            other = features(case.retrain, case.pool).double()
            parts = {"cka_forget": case.forget, "cka_test": case.test}
            similar = {name: cka(pool[part], other[part]) for name, part in parts.items()}
            recorder().notes |= similar
        kept = features(model, case.retain).double()
        scale, centre = torch.std_mean(kept, 0)
        scale[scale == 0] = 1.0
        kept, pool = ((one - centre) / scale for one in (kept, pool))
        weights = self.fitted(with_ones(kept), case.retain.labels, case.classes)
        return with_ones(pool) @ weights

    def fitted(self, features: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Return the weights [d, classes] with the least mean cross-entropy plus penalty."""
        wanted = functional.one_hot(labels, classes).to(features)

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = torch.from_numpy(flat).to(features).view(-1, classes)
            logits = features @ weights
            loss = (
                functional.cross_entropy(logits, labels) + self.penalty / 2 * weights.square().sum()
            )
            error = (logits.softmax(1) - wanted) / len(labels)
            gradient = features.T @ error + self.penalty * weights
            return float(loss), gradient.flatten().cpu().numpy()

        found: Any = minimize(
            objective,
            np.zeros(features.shape[1] * classes),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.steps},
        )
        recorder().notes["probe"] = {"steps": int(found.nit), "converged": bool(found.success)}
        return torch.from_numpy(found.x).to(features).view(-1, classes)


def with_ones(features: Tensor) -> Tensor:
    """Add a column of ones, whose weights are the intercepts."""
    return functional.pad(features, (0, 1), value=1.0)


def cka(one: Tensor, other: Tensor) -> float | None:
    """Return the linear CKA of features [n, d] and [n, e] of the same samples.

    None where either does not vary. Rotations, scale and shifts of either do not change it.
    """
    one, other = one - one.mean(0), other - other.mean(0)
    lengths = (one.T @ one).norm() * (other.T @ other).norm()
    return float((one.T @ other).norm() ** 2 / lengths) if lengths > 0 else None
