"""Data sets, their subsets, and forget sets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlearnbench import registry
from unlearnbench.data.handing import hand_on, handed
from unlearnbench.data.prepare import Data, DataSpec, Drawn, Pool, Source, draw_samples
from unlearnbench.data.splits import Indices, Split, cut, require_partition
from unlearnbench.errors import DataError, UserError
from unlearnbench.execution import Feeding, Workplace, pool
from unlearnbench.execution.execute import execute
from unlearnbench.planning.plan import Spec
from unlearnbench.recipe import Recipe


def load(spec: DataSpec, root: Path) -> Data:
    source = registry.source(spec, root)
    source.fetch()
    return draw_samples(source, spec)


def keys(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_digits_are_real_and_parts_are_disjoint(tmp_path: Path) -> None:
    data = load(DataSpec(name="digits", train=500, test=500, validation=500), tmp_path)
    assert data.train[0].shape == (500, 1, 8, 8) and data.train[0].dtype == np.uint8
    assert data.train[0].max() == 255 and data.classes == 10
    parts = [keys(part[0]) for part in (data.train, data.test, data.validation)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    again = load(DataSpec(name="digits", train=500, test=500, validation=500), tmp_path)
    assert again.digest == data.digest
    other = load(DataSpec(name="digits", train=500, test=500, validation=500, seed=1), tmp_path)
    assert other.digest != data.digest


def test_validation_stands_in_for_test_when_tuning(tmp_path: Path) -> None:
    spec = DataSpec(name="digits", train=500, test=500, validation=300)
    tuning = spec.model_copy(update={"evaluate": "validation"})
    data, tuned = load(spec, tmp_path), load(tuning, tmp_path)
    assert np.array_equal(data.train[0], tuned.train[0])
    assert np.array_equal(data.validation[0], tuned.test[0])
    assert np.array_equal(data.validation[0], tuned.validation[0]), "methods may use them as ever"
    assert not keys(tuned.test[0]) & keys(data.test[0])


class Floats(Source):
    def load(self) -> Pool:
        images = np.random.default_rng(0).random((20, 1, 4, 4), dtype=np.float32)
        return Pool((images, np.zeros(20, np.int64)), (images[:0], np.zeros(0, np.int64)))  # type: ignore[arg-type]


def test_images_that_are_not_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images float32 \[20, 1, 4, 4\].*must be uint8"):
        draw_samples(Floats(tmp_path), DataSpec(name="floats", train=10, test=10))


def test_other_data_than_before_is_refused(tmp_path: Path) -> None:
    data = DataSpec(name="digits", train=50, test=50)
    spec = Spec(kind="original", data=data, model="small-cnn", recipe=Recipe(epochs=1), seed=1)
    with pytest.raises(DataError, match="not what earlier runs of this benchmark were made of"):
        execute(spec, "cpu", Workplace(tmp_path, digest="0" * 16), lambda run: {})


def test_too_few_samples_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too few samples"):
        load(DataSpec(name="digits", train=1500, test=500), tmp_path)


class Squares(Source):
    """Four-by-four images with a test set of their own."""

    def load(self) -> Pool:
        """Make them."""
        images = np.arange(12 * 16, dtype=np.uint8).reshape(12, 1, 4, 4)
        labels = np.arange(12) % 2
        return Pool((images[:8], labels[:8]), (images[8:], labels[8:]))


def test_all_samples_keep_their_order(tmp_path: Path) -> None:
    data = draw_samples(Squares(tmp_path), DataSpec(name="squares"))
    assert data.train[0][:, 0, 0, 0].tolist() == [16 * i for i in range(8)]
    assert data.labels.tolist() == [i % 2 for i in range(12)]


def test_images_shrink_by_averaging(tmp_path: Path) -> None:
    data = draw_samples(Squares(tmp_path), DataSpec(name="squares", size=2))
    assert data.train[0][0, 0].tolist() == [[2, 4], [10, 12]]  # means 2.5, 4.5, 10.5, 12.5
    with pytest.raises(UserError, match="cannot be averaged"):
        draw_samples(Squares(tmp_path), DataSpec(name="squares", size=3))


class Named(Squares):
    """The same, each sample with a name."""

    def load(self) -> Pool:
        """Make them."""
        pool = super().load()
        names = [f"train/{i}.png" for i in range(8)], [f"test/{i}.png" for i in range(4)]
        return Pool(pool.train, pool.test, names)


def test_names_that_no_file_can_hold_are_a_fault(tmp_path: Path) -> None:
    class Odd(Squares):
        def load(self) -> Pool:
            pool = super().load()
            names = [f"{i}.png" for i in range(7)] + ["\udcff.png"], [f"{i}.png" for i in range(4)]
            return Pool(pool.train, pool.test, names)

    with pytest.raises(DataError, match=r"not UTF-8: 1, first '\\udcff\.png'; rename them"):
        draw_samples(Odd(tmp_path), DataSpec(name="odd"))


def test_samples_can_be_traced_to_their_source(tmp_path: Path) -> None:
    spec = DataSpec(name="named", train=3, test=2, held_out=2, validation=1)
    source = Named(tmp_path)
    pool, data = source.load(), draw_samples(source, spec)
    assert data.of_test.tolist() == [False] * 3 + [True] * 2 + [False] * 2
    parts = [pool.test if test else pool.train for test in data.of_test]
    found = [part[0][i] for part, i in zip(parts, data.ids, strict=True)]
    assert np.array_equal(found, data.images)
    where = ["test" if test else "train" for test in data.of_test]
    assert data.names == [f"{part}/{i}.png" for part, i in zip(where, data.ids, strict=True)]
    plain = draw_samples(Squares(tmp_path), spec)
    assert plain.names is None and plain.digest == data.digest, "names are no part of the data"


def test_validation_samples_in_place_of_the_test_set_are_of_train(tmp_path: Path) -> None:
    spec = DataSpec(name="named", train=4, validation=2, evaluate="validation")
    data = draw_samples(Named(tmp_path), spec)
    assert not data.of_test.any() and len(data.ids) == 6
    assert data.names is not None and all(name.startswith("train/") for name in data.names)


def test_a_source_without_a_test_set_gives_test_samples_of_train(tmp_path: Path) -> None:
    data = load(DataSpec(name="digits", train=500, test=500), tmp_path)
    assert not data.of_test.any() and len(np.unique(data.ids)) == 1000


class Misnamed(Squares):
    def load(self) -> Pool:
        pool = super().load()
        return Pool(pool.train, pool.test, (["a"] * 8, ["b"] * 3))


def test_a_source_names_each_sample_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 names for 4 samples of test"):
        draw_samples(Misnamed(tmp_path), DataSpec(name="misnamed"))


def image_folder(root: Path, parts: tuple[str, str] = ("train", "test")) -> None:
    draw = np.random.default_rng(0)
    for part, count in zip(parts, (6, 3), strict=True):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")


def test_folder_of_images_is_decoded_once_and_cached(tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    spec = DataSpec(name="folder", path="pets")
    data = load(spec, tmp_path)
    assert data.train[0].shape == (12, 3, 8, 8) and data.test[0].shape == (6, 3, 8, 8)
    assert data.train[1].tolist() == [0] * 6 + [1] * 6
    first = np.asarray(Image.open(tmp_path / "pets/train/cat/0.png")).transpose(2, 0, 1)
    assert np.array_equal(data.train[0][0], first)
    (cache,) = (tmp_path / "pets" / ".unlearnbench").glob("*.npy")
    stamp = cache.stat().st_mtime_ns
    assert load(spec, tmp_path).digest == data.digest
    assert cache.stat().st_mtime_ns == stamp


def test_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*nowhere/train.*train/<class>/<image>"):
        load(DataSpec(name="folder", path="nowhere"), tmp_path)


def test_tiny_imagenet_layout(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    image_folder(root, ("train", "unused"))
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for index, name in enumerate(["dog", "cat", "dog"]):
        pixels = np.full((8, 8), 40 * index, dtype=np.uint8)  # some of its images are grey
        Image.fromarray(pixels).save(root / "val" / "images" / f"val_{index}.png")
        lines.append(f"val_{index}.png\t{name}\t0\t0\t7\t7")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines))
    data = load(DataSpec(name="tiny-imagenet"), tmp_path)
    assert data.test[1].tolist() == [1, 0, 1] and data.test[0].shape == (3, 3, 8, 8)
    assert data.names is not None
    assert data.names[0] == "train/cat/0.png" and data.names[-1] == "val/images/val_2.png"
    lines[0] = lines[0].replace("dog", "cow")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match="only val has cow"):
        load(DataSpec(name="tiny-imagenet"), tmp_path)
    (root / "val" / "val_annotations.txt").write_text("../../train/cat/0.png\tcat")
    with pytest.raises(DataError, match=r"names '\.\./\.\./train/cat/0.png', which is no file in"):
        load(DataSpec(name="tiny-imagenet"), tmp_path)
    (root / "val" / "val_annotations.txt").unlink()
    os.mkfifo(root / "val" / "val_annotations.txt")
    with pytest.raises(DataError, match="it is no regular file"):
        load(DataSpec(name="tiny-imagenet"), tmp_path)


def test_random_forget_set_is_the_authors_draw() -> None:
    labels = np.arange(1000) % 10
    made = cut(Split(fraction=0.1, seed=10), labels, 1000)
    drawn = np.random.RandomState(10).choice(1000, 100, replace=False)
    assert np.array_equal(made.forget, np.sort(drawn))
    assert len(made.retain) == 900 and len(made.earlier) == 0


def test_requests_in_a_row_are_disjoint_and_add_up() -> None:
    labels = np.arange(1000) % 10
    splits = [Split(fraction=0.02, seed=1, requests=5, request=r) for r in range(1, 6)]
    parts = [cut(split, labels, 1000) for split in splits]
    together = np.concatenate([part.forget for part in parts])
    assert len(np.unique(together)) == 100
    assert np.array_equal(np.sort(together[:80]), parts[4].earlier)
    assert len(parts[4].retain) == 900


def test_class_wise_forgetting() -> None:
    labels = np.arange(100) % 4
    whole = cut(Split(kind="class", fraction=1.0, seed=1, target=2), labels, 100)
    assert (labels[whole.forget] == 2).all() and len(whole.forget) == 25
    half = cut(Split(kind="class", fraction=0.5, seed=1, target=2), labels, 100)
    assert (labels[half.forget] == 2).all() and len(half.forget) == 12
    with pytest.raises(UserError, match="no class 7"):
        cut(Split(kind="class", fraction=1.0, seed=1, target=7), labels, 100)


def test_a_split_that_is_no_partition_is_caught() -> None:
    wrong = Indices(np.array([0, 1]), np.array([], dtype=np.int64), np.array([1, 2, 3]))
    with pytest.raises(AssertionError, match="partition"):
        require_partition(wrong, 4)


def test_swapped_sets_come_from_outside_the_training_set() -> None:
    labels = np.arange(1500) % 10
    plain = cut(Split(fraction=0.1, seed=10), labels, 1000)
    swapped = cut(Split(fraction=0.1, seed=10, swap=True), labels, 1000)
    assert np.array_equal(plain.retain, swapped.retain)
    assert len(np.unique(swapped.forget)) == 100 and swapped.forget.min() >= 1000
    with pytest.raises(UserError, match="100 forgotten samples cannot change places with 50"):
        cut(Split(fraction=0.1, seed=10, swap=True), labels[:1050], 1000)


def test_worlds_of_ulira_come_in_pairs_that_exchange_halves() -> None:
    labels = np.zeros(1000, dtype=np.int64)
    splits = [
        Split(kind="shadow", fraction=0.1, seed=0, requests=8, request=r) for r in range(1, 9)
    ]
    worlds = [cut(split, labels, 500) for split in splits]
    audited = np.unique(np.concatenate([world.forget for world in worlds]))
    assert len(audited) == 100
    for first, second in zip(worlds[::2], worlds[1::2], strict=True):
        assert len(first.forget) == 50 and len(first.retain) == 450
        assert np.array_equal(np.sort(np.concatenate((first.forget, second.forget))), audited)
        assert not np.intersect1d(first.retain, audited).size
    assert not np.array_equal(worlds[0].forget, worlds[2].forget)
    assert not np.array_equal(worlds[0].retain, worlds[1].retain)
    with pytest.raises(UserError, match="U-LiRA cannot audit"):
        cut(splits[0], labels[:520], 500)


def worlds(labels: np.ndarray, train: int, **asked: object) -> list[Indices]:
    splits = [
        Split.model_validate({"kind": "shadow", "seed": 0, "requests": 8, "request": r} | asked)
        for r in range(1, 9)
    ]
    backwards = np.arange(len(labels))[::-1]
    return [cut(split, labels, train, order=lambda count: backwards[-count:]) for split in splits]


@pytest.mark.parametrize(
    ("asked", "audited"),
    [
        ({"audited": "most-memorised", "fraction": 0.1}, range(100)),
        ({"audited": "least-memorised", "fraction": 0.1}, range(900, 1000)),
        ({"audited": "class", "fraction": 1.0, "target": 3}, range(3, 1000, 9)),
        ({"audited": "class", "fraction": 1.0}, range(0, 1000, 9)),
    ],
)
def test_targeted_worlds_audit_the_targets_and_forget_half_of_them(
    asked: dict[str, object], audited: range
) -> None:
    made = worlds(np.arange(1000) % 9, 500, **asked)
    for first, second in zip(made[::2], made[1::2], strict=True):
        both = np.concatenate((first.forget, second.forget))
        assert np.array_equal(np.sort(both), np.array(audited))
        assert abs(len(first.forget) - len(second.forget)) == len(audited) % 2
        for world in (first, second):
            assert len(world.forget) + len(world.retain) == 500
            assert not np.isin(world.retain, audited).any(), "a retrained model sees none of them"
    assert not np.array_equal(made[0].forget, made[2].forget)


def test_worlds_audit_a_share_of_a_class_where_a_share_is_forgotten() -> None:
    labels = np.arange(1000) % 10
    (world, *_), classes = worlds(labels, 500, audited="class", fraction=0.5, target=2), labels == 2
    assert len(world.forget) == 25 and classes[world.forget].all()
    assert classes[world.retain].any(), "the rest of the class may be learnt"
    with pytest.raises(UserError, match="U-LiRA cannot audit 0 of 1000 samples"):
        worlds(labels, 500, audited="class", fraction=1.0, target=10)


def test_held_out_samples_are_cut_from_the_training_set() -> None:
    source = registry.source_class(registry.find("datasets")["digits"])(Path())
    asked = DataSpec(name="digits", train=300, test=200, validation=100, held_out=150)
    made = draw_samples(source, asked)
    assert len(made.held_out[1]) == 150 and len(made.labels) == 650
    parts = (made.train, made.test, made.held_out, made.validation)
    images = np.concatenate([images for images, _ in parts])
    assert len(images) == 750
    plain = draw_samples(source, asked.model_copy(update={"held_out": 0, "test": 200}))
    assert np.array_equal(plain.train[0], made.train[0]), "the training set stays what it was"


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    made = registry.source_class(registry.find("datasets")["digits"])(Path()).load()
    assert np.array_equal(made.train[1], labels)
    assert np.array_equal(made.train[0].reshape(-1, 64), np.round(pixels * (255 / 16)))


def same_data(one: Data, other: Data) -> bool:
    fields = ("classes", "digest", "names", "copies")
    arrays = ("labels", "subclasses", "ids", "of_test", "images")
    alike = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    held = all(
        np.array_equal(np.asarray(getattr(one, part)[at]), np.asarray(getattr(other, part)[at]))
        for part in ("train", "test", "held_out", "validation")
        for at in (0, 1)
    )
    return alike and held and all(getattr(one, f) == getattr(other, f) for f in fields)


def test_data_handed_out_are_the_same_and_lie_in_memory_once(tmp_path: Path) -> None:
    spec = DataSpec(name="digits", train=100, test=50, validation=30, held_out=20)
    data = draw_samples(registry.source(spec, tmp_path), spec)
    assert hand_on(data, spec, tmp_path) == tmp_path
    one, other = handed(tmp_path, spec), handed(tmp_path, spec)
    assert one is not None and other is not None and same_data(one, data)
    assert one.whole is not None and np.shares_memory(one.whole, one.train[0])
    one.train[0][0] = 255  # what a method must not do harms no other process
    assert np.array_equal(other.train[0], data.train[0])
    assert handed(tmp_path, spec.model_copy(update={"seed": 1})) is None
    assert hand_on(data, spec, tmp_path / "gone") is None


def test_images_in_a_file_are_not_copied_but_named(tmp_path: Path) -> None:
    """The test set's rows are the last ones of the file."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for label in range(3):
            (tmp_path / "own" / part / str(label)).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"own/{part}/{label}/{number}.png")
    spec = DataSpec(name="folder", path="own", train=12, validation=4)
    data = load(spec, tmp_path)
    (tmp_path / "out").mkdir()
    assert hand_on(data, spec, tmp_path / "out") is not None
    assert not (tmp_path / "out" / "images.npy").exists()
    found = handed(tmp_path / "out", spec)
    assert found is not None and same_data(found, data)
    assert isinstance(found.test[0], Drawn)


def test_images_that_were_handed_on_stay_when_another_process_sees_other_files(
    tmp_path: Path,
) -> None:
    """They go when nobody uses them any longer, and the next command looks."""
    image_folder(tmp_path / "pets")
    spec, kept = DataSpec(name="folder", path="pets"), tmp_path / "pets" / ".unlearnbench"
    data, folder = load(spec, tmp_path), tmp_path / "out"
    folder.mkdir()
    assert hand_on(data, spec, folder) is not None
    train = tmp_path / "pets" / "train"
    shutil.copy(train / "dog" / "0.png", train / "dog" / "new.png")
    registry.source(spec, tmp_path).check()  # a lock is of a map, not of a process
    found = handed(folder, spec)
    assert found is not None and same_data(found, data) and len(list(kept.glob("*.npy"))) == 2
    del found, data
    registry.source(spec, tmp_path).check()
    assert len(list(kept.glob("*.npy"))) == len(list(kept.glob("*.sha256"))) == 1


def test_a_worker_takes_what_it_is_handed_and_reads_nothing_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec(
        kind="original",
        seed=1,
        data=DataSpec(name="digits", train=60, test=30),
        model="small-cnn",
        recipe=Recipe(epochs=1, batch_size=16),
    )
    data = draw_samples(registry.source(spec.data, tmp_path), spec.data)
    hand_on(data, spec.data, tmp_path)
    alone = execute(spec, "cpu", Workplace(tmp_path), lambda run: {})

    def refused(*given: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(pool, "draw_samples", refused)
    both: tuple[Feeding, ...] = ("resident", "streamed")
    for fed in both:
        place = Workplace(tmp_path, handed=tmp_path, images=fed)
        found = execute(spec, "cpu", place, lambda run: {})
        assert np.array_equal(found.signals["margin"], alone.signals["margin"])
        assert found.about["images"] == fed
