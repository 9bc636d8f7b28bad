"""What takes the place of AMUN's adversarial set: images, labels and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unlearnbench.errors import MethodError
from unlearnbench.execution import contract
from unlearnbench.toolkit import Examples, stand_in
from unlearnbench.toolkit.stand_ins import StandIn
from unlearnbench.toolkit.stored import as_pixels

CLASSES, N = 5, 400


@pytest.fixture(scope="module")
def pairs() -> tuple[Examples, Examples]:
    """Make clean examples, and beside each an "adversarial" one 0.5 away under the next label."""
    clean = contract.examples(N)
    clean = replace(clean, images=clean.images // 5 + 102)  # away from the ends of [0, 1]
    step = torch.zeros(clean.images.shape)
    step[:, 0, 0, :4] = 0.25
    adversarial = Examples(
        clean.pixels + step, (clean.labels + 1) % CLASSES, clean.augment, clean.recipe
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

    images, start = made.pixels, clean.pixels
    if image == "sphere":
        away = images - start
        assert torch.allclose(away.flatten(1).norm(dim=1), torch.tensor(0.5), atol=1e-5)
        assert away.mean().abs() < 0.005, "uniform: no direction stands out"
        assert images.min() > 0 and images.max() < 1
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


def test_points_of_the_sphere_stay_images(pairs: tuple[Examples, Examples]) -> None:
    adversarial, clean = pairs
    black = replace(clean, images=torch.zeros_like(clean.images))
    adversarial = replace(adversarial, images=torch.full(clean.images.shape, 1 / 16))
    made = stand_in("adv-rs", adversarial, black, CLASSES, seed=7).images
    assert made.min() == 0 and made.max() > 0.1
    assert float((made == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert bool((made.flatten(1).norm(dim=1) < 0.5).all()), "nearer than on the sphere"


def test_two_classes_have_no_third_label(pairs: tuple[Examples, Examples]) -> None:
    with pytest.raises(MethodError, match="adv-rl needs a label that is neither"):
        stand_in("adv-rl", *pairs, 2, seed=7)
