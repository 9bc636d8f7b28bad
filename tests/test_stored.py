"""Images that stay in memory or in a file: the same results, and nothing read that need not be."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from unlearnbench.data.prepare import Data, DataSpec, Drawn, Images, Pool, Source, draw_samples
from unlearnbench.execution import Feeding, pool
from unlearnbench.recipe import Recipe
from unlearnbench.toolkit import Examples, outputs
from unlearnbench.toolkit.examples import Batch
from unlearnbench.toolkit.stored import Stored, as_pixels, as_stored

from .conftest import TWO, Cli

CPU = torch.device("cpu")
RECIPE = Recipe(batch_size=8, crop=2, flip=True)


def colours(count: int, seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 4
    return Examples(images, labels, labels > 0, RECIPE)


def streamed(examples: Examples) -> Examples:
    return replace(examples, images=cast("Tensor", as_stored(examples.images)))


def floats(examples: Examples) -> Examples:
    return replace(examples, images=as_pixels(examples.images) * 0.9)


def batches(examples: Examples) -> list[Batch]:
    generator = torch.Generator().manual_seed(7)
    shown = [batch for _ in range(2) for batch in examples.shuffled(generator)]
    return [*shown, *examples.batches(5), *examples.batches(100)]


def same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one, other) and one.stride() == other.stride()


SETS = {
    "as it is": lambda e: e,
    "selected": lambda e: e.select(torch.tensor([5, 0, 5, 24, 3, 9, 8, 1, 2])),
    "masked": lambda e: e.select(e.labels == 2),
    "joined": lambda e: e.select(torch.arange(20)) + e.select(torch.arange(3, 25)),
    "after a tensor": lambda e: colours(9, 1) + e,
    "before floats": lambda e: e + floats(colours(9, 1)),
    "joined, then selected": lambda e: (floats(colours(9, 1)) + e + colours(6, 2)).select(
        torch.arange(0, 40, 3)
    ),
    "of one image": lambda e: e.select(torch.tensor([7])),
    "of none": lambda e: e.select(torch.arange(0)),
}


@pytest.mark.parametrize("name", SETS)
def test_batches_are_the_same_to_the_last_bit_and_stride(name: str) -> None:
    whole, stored = (SETS[name](e) for e in (colours(25), streamed(colours(25))))
    assert isinstance(stored.images, Stored) and not isinstance(whole.images, Stored)
    assert (stored.images.shape, stored.images.dtype) == (whole.images.shape, whole.images.dtype)
    assert same(stored.pixels, whole.pixels) and torch.equal(stored.labels, whole.labels)
    pairs = list(zip(batches(stored), batches(whole), strict=True))
    assert all(same(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("side", "sizes"), [(32, [12, 8]), (2048, [1] * 20), (1024, [5] * 4)])
def test_large_images_are_looked_at_in_smaller_batches(side: int, sizes: list[int]) -> None:
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(20, 3, side, side)
    wide = Examples(images, torch.zeros(20, dtype=torch.int64), torch.ones(20) > 0, RECIPE)
    seen: list[int] = []

    class Model(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(len(pixels))
            return pixels[:, 0, 0, :2]

    assert outputs(Model(), wide, 12).shape == (20, 2) and seen == sizes


def test_it_is_indexed_as_a_tensor_is() -> None:
    images = colours(25).images
    stored = as_stored(images)
    for index in (3, -1, slice(2, 9), torch.tensor([4, 4, 0]), images[:, 0, 0, 0] > 99):
        assert torch.equal(stored[index], images[index])
    assert len(stored) == 25 and torch.equal(stored[:], images)


def test_what_cannot_be_read_is_raised_where_it_is_wanted() -> None:
    stored = Stored((colours(4).images,), torch.arange(8), CPU)  # a file that has lost its end
    with pytest.raises((IndexError, RuntimeError)):
        list(stored.split(2))


def test_a_pass_that_is_given_up_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in range(3):
        next(streamed(colours(64)).shuffled(torch.Generator()))
    endless = streamed(colours(64)).endless(torch.Generator())
    for _ in range(20):
        next(endless)
    assert threading.active_count() == before + 1
    endless.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


class OnDisk(Source):
    """Colour images in a file."""

    mapped = True

    def load(self) -> Pool:
        """Map them into memory, or read them."""
        path = self.root / "images.npy"
        if not path.exists():
            np.save(path, colours(60).images.numpy())
        images = np.load(path, mmap_mode="r" if self.mapped else None)
        labels = np.arange(60) % 4
        return Pool((images[:40], labels[:40]), (images[40:], labels[40:]))


class InMemory(OnDisk):
    mapped = False


SPEC = DataSpec(name="on-disk", train=20, test=15, validation=8, held_out=5)


def test_a_mapped_file_is_read_only_where_images_are_asked_for(tmp_path: Path) -> None:
    data, known = (draw_samples(kind(tmp_path), SPEC) for kind in (OnDisk, InMemory))
    assert data.digest == known.digest and np.array_equal(data.images, known.images)
    for part, expected in zip(parts(data), parts(known), strict=True):
        assert isinstance(part, Drawn) and part.shape == expected.shape
        assert np.array_equal(part[:], expected)
        held = cast("Stored", pool.stored(part, CPU))
        assert np.shares_memory(held.arrays[0].numpy(), part.file), "nothing was copied"
        assert torch.equal(held[:], torch.from_numpy(expected))


def parts(data: Data) -> tuple[Images, ...]:
    return data.train[0], data.test[0], data.held_out[0], data.validation[0]


def test_images_that_shrink_are_read_at_once(tmp_path: Path) -> None:
    small = SPEC.model_copy(update={"size": 4})
    data, known = (draw_samples(kind(tmp_path), small) for kind in (OnDisk, InMemory))
    assert data.digest == known.digest and data.train[0].shape == (20, 3, 4, 4)


@pytest.mark.parametrize(
    ("images", "share", "expected"),
    [("auto", 0.25, False), ("auto", 0.0, True), ("resident", 0.0, False), ("streamed", 1, True)],
)
def test_large_data_are_streamed_unless_one_says_otherwise(
    images: Feeding, share: float, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SHARE", share)
    data = DataSpec(name="digits", train=50, test=50)
    made = pool.pooled.__wrapped__(data, tmp_path, (), RECIPE, CPU, images)
    assert isinstance(made.images, Stored) == expected and len(made) == 100


@pytest.mark.slow
def test_a_benchmark_gives_the_same_resident_and_streamed(
    tiny: Path, cli: Cli, tmp_path: Path
) -> None:
    asked = ["run", tiny, "--methods", "ft,amun,ssd", *TWO, "--keep-weights"]
    small = ["data.validation=20", "recipe.crop=1", "recipe.flip=true", "controls=true"]
    audits = ["model_audits.perturbed.sets=1", "model_audits.probe.sets=1", "ulira.shadows=4"]
    changes = [word for change in [*small, *audits] for word in ("--set", change)]
    for form in ("resident", "streamed"):
        done = cli(*asked, *changes, "--images", form, "--results", form)
        assert done.code == 0, done.err + done.out
    runs = sorted((tmp_path / "resident" / "tiny" / "runs").iterdir())
    for run in runs:
        for name in ("signals.npz", "logits.npz"):
            ours = tmp_path / "streamed" / "tiny" / "runs" / run.name / name
            assert ours.exists() == (run / name).exists()
            if ours.exists():
                assert ours.read_bytes() == (run / name).read_bytes(), f"{run.name}/{name}"
    assert len(runs) > 20
    for weights in (tmp_path / "resident" / "tiny" / "models").iterdir():
        made = load_file(tmp_path / "streamed" / "tiny" / "models" / weights.name)
        assert all(torch.equal(made[name], value) for name, value in load_file(weights).items())
