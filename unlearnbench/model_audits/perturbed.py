"""An audit: what a model says of points next to its forget samples."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unlearnbench import param
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.toolkit import Examples, outputs, recorder
from unlearnbench.toolkit.examples import rows, unit


class Perturbed(ModelAudit):
    """Move each forget sample to a random point of a ball around it, and look at it there.

    AMUN teaches a model wrong labels at one point near each forget sample. A model that forgot the
    sample is as unsure all around it; one that learnt that point alone still knows the rest of the
    ball. Its radius is the distance at which the run's own search found that sample's adversarial
    example, and `radius` where it did not search, or found none.

    The record has what a retrained model says of the very same points: with radii that differ from
    row to row, only that can be compared.

    Source: ours, for AMUN (arXiv 2503.00917).
    """

    title = "Perturbed forget samples"
    about = "Each forget sample is moved to a random point near it, and looked at there."
    paper = "https://arxiv.org/abs/2503.00917"
    needs_retrain: ClassVar[bool] = True
    compared: ClassVar[tuple[str, ...]] = ()  # see above: only at the same points

    radius: float = param(
        0.5, gt=0, help="l2 radius of the ball where a run has not searched", source="ourselves"
    )

    def logits(self, model: nn.Module, case: Case) -> Tensor:
        """Return the model's outputs, those on forget samples read off the points next to them."""
        radii = self.radii(case)
        moved = nearby(case.pool.select(case.forget), radii, case.seed)
        logits, at_them = outputs(model, case.pool), outputs(model, moved)
        logits[case.forget] = at_them
        note: dict[str, Any] = {
            "mean radius": float(radii.mean()),
            **described(at_them, moved.labels),
        }
        if case.retrain is not None:
            note["retrain"] = described(outputs(case.retrain, moved), moved.labels)
        recorder().notes["perturbed"] = note
        return logits

    def radii(self, case: Case) -> Tensor:
        """Return the radius of each forget sample's ball, [n]."""
        search = case.record.get("notes", {}).get("adversarial search", {})
        found = search.get("distances", [])
        if len(found) != len(case.forget):  # none, or of a version that left out what did not flip
            found = [None] * len(case.forget)
        known = [self.radius if distance is None else distance for distance in found]
        return torch.tensor(known, device=case.forget.device)


def nearby(examples: Examples, radii: Tensor, seed: int) -> Examples:
    """Draw a point from the l2 ball of each image, uniformly; what leaves [0, 1] is cut off."""
    clean, device = examples.pixels, radii.device
    generator = torch.Generator(device).manual_seed(seed)
    directions = unit(torch.randn(clean.shape, generator=generator, device=device))
    share = torch.rand(len(clean), generator=generator, device=device)
    length = radii * share ** (1 / clean[0].numel())
    moved = (clean + rows(length) * directions).clamp(0.0, 1.0)
    return Examples(moved, examples.labels, examples.augment, examples.recipe)


def described(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return accuracy in percent, and mean confidence in the label."""
    own = logits.softmax(1).gather(1, labels[:, None])
    right = (logits.argmax(1) == labels).double()
    return {"accuracy": 100 * float(right.mean()), "confidence": float(own.mean())}
