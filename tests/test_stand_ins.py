"""What takes the place of AMUN's adversarial set: images, labels and nothing else."""

from __future__ import annotations

import pytest
import torch

from unlearnbench.execution import contract
from unlearnbench.toolkit import Examples, stand_in
from unlearnbench.toolkit.examples import as_pixels
from unlearnbench.toolkit.stand_ins import StandIn

CLASSES, N = 5, 400


@pytest.fixture(scope="module")
def pairs() -> tuple[Examples, Examples]:
    """Make clean examples, and beside each an "adversarial" one 0.5 away under the next label."""
    clean = contract.examples(N)
    step = torch.zeros(clean.images.shape)
    step[:, 0, 0, :4] = 0.25
    adversarial = Examples(
        as_pixels(clean.images) + step, (clean.labels + 1) % CLASSES, clean.augment, clean.recipe
    )
    return adversarial.unaugmented(), clean


@pytest.mark.parametrize(
    ("kind", "image", "label"),
    [
        ("adv", "adversarial", "adversarial"),
        ("orig", "clean", "true"),
        ("adv-rs", "sphere", "adversarial"),
        ("adv-rl", "adversarial", "neither"),
        ("orig-rl", "clean", "neither"),
        ("orig-advl", "clean", "adversarial"),
    ],
)
def test_each_differs_from_the_adversarial_set_in_one_thing(
    pairs: tuple[Examples, Examples], kind: StandIn, image: str, label: str
) -> None:
    adversarial, clean = pairs
    made = stand_in(kind, adversarial, clean, CLASSES, seed=7)
    again = stand_in(kind, adversarial, clean, CLASSES, seed=7)
    assert torch.equal(made.images, again.images) and torch.equal(made.labels, again.labels)
    assert not made.augment.any(), "D_A is not augmented"

    images, start = as_pixels(made.images), as_pixels(clean.images)
    if image == "sphere":
        away = images - start
        assert torch.allclose(away.flatten(1).norm(dim=1), torch.tensor(0.5), atol=1e-5)
        assert away.mean().abs() < 0.005, "uniform: no direction stands out"
    else:
        wanted = adversarial.images if image == "adversarial" else start
        assert torch.equal(images, as_pixels(wanted))

    if label == "neither":
        assert (made.labels != clean.labels).all() and (made.labels != adversarial.labels).all()
        steps = (made.labels - clean.labels) % CLASSES
        assert sorted(set(steps.tolist())) == [2, 3, 4]
        assert (torch.bincount(steps)[2:] > N / 3 * 0.75).all(), "each of the others as often"
    else:
        assert torch.equal(
            made.labels, adversarial.labels if label == "adversarial" else clean.labels
        )
