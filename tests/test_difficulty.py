"""Kinds of forget set that are not random: who is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.peak import peak
from unlearnbench.data.prepare import Data, DataSpec, Pool, Source, draw_samples
from unlearnbench.data.splits import Split, SplitKind, by_memorisation, cut
from unlearnbench.errors import UserError


class Clusters(Source):
    """Four classes of dark, grey, light and white images, 50 each, with a little noise."""

    def load(self) -> Pool:
        labels = np.repeat(np.arange(4), 50)
        noise = np.random.default_rng(0).integers(0, 20, (200, 1, 4, 4))
        images = (labels[:, None, None, None] * 70 + noise).astype(np.uint8)
        return Pool((images, labels), (images[::10], labels[::10]))


def data(**settings: object) -> Data:
    asked = DataSpec.model_validate({"name": "clusters", **settings})
    return draw_samples(Clusters(Path()), asked)


def test_samples_among_strangers_come_last() -> None:
    images, labels = data().train
    labels = labels.copy()
    wrong = np.array([3, 60, 120, 199])
    labels[wrong] = (labels[wrong] + 1) % 4
    order = by_memorisation(images, labels)
    assert sorted(order) == list(range(200))
    assert set(order[-4:]) == set(wrong), "all of their neighbours carry another label"


def test_images_stay_bytes_while_they_are_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 images of 64x64 would take 20 GB."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (96, 3, 48, 48)).astype(np.uint8), np.arange(96) % 3
    whole = by_memorisation(images, labels)
    monkeypatch.setattr("unlearnbench.data.splits.BLOCK", 10)
    assert peak(lambda: by_memorisation(images, labels)) < 4 * images.nbytes
    assert by_memorisation(images, labels).tolist() == whole.tolist()


@pytest.mark.parametrize("kind", ["most-memorised", "least-memorised"])
def test_hard_and_easy_sets_are_drawn_from_one_end(kind: SplitKind) -> None:
    labels, order = np.zeros(100, dtype=np.int64), np.arange(100)[::-1]
    sets = [
        cut(Split(kind=kind, fraction=0.1, seed=s), labels, 100, order=lambda _: order)
        for s in (1, 2)
    ]
    end = range(20) if kind == "most-memorised" else range(80, 100)
    for one in sets:
        assert len(one.forget) == 10 and set(one.forget) <= set(end)
    assert set(sets[0].forget) != set(sets[1].forget), "the seed draws"


def test_a_subclass_is_forgotten_and_its_superclass_is_not() -> None:
    found = data(superclasses=[[0, 2], [1, 3]])
    assert (
        found.classes == 2 and found.train[1].tolist() == [0] * 50 + [1] * 50 + [0] * 50 + [1] * 50
    )
    split = Split(kind="subclass", fraction=1.0, seed=1, target=2)
    made = cut(split, found.labels, 200, subclasses=found.subclasses)
    assert made.forget.tolist() == list(range(100, 150))


def test_without_a_target_the_seed_names_the_class() -> None:
    labels = data().labels
    for seed, first in ((1, 50), (6, 100)):
        made = cut(Split(kind="class", fraction=1.0, seed=seed), labels, 200)
        assert made.forget.tolist() == list(range(first, first + 50))


@pytest.mark.parametrize("groups", [[[0, 1], [2]], [[0, 1], [1, 2, 3]], [[0, 1], [2, 3, 4]]])
def test_superclasses_name_each_class_once(groups: list[list[int]]) -> None:
    with pytest.raises(UserError, match="each of the 4 classes of 'clusters' once"):
        data(superclasses=groups)
