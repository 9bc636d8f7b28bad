"""Folders of image files: classes, faults, what is kept of them, sizes and kinds of images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unlearnbench as ub
from tests.conftest import TINY, Cli
from tests.processes import largest_file
from unlearnbench import registry
from unlearnbench.data import caching, decoding
from unlearnbench.data.caching import Cache
from unlearnbench.data.decoding import FORMATS, Decoder, rgb
from unlearnbench.data.fitting import Fit
from unlearnbench.data.folders import FolderSource
from unlearnbench.data.prepare import Data, DataSpec, Pool, Source, draw_samples
from unlearnbench.data.vision import TorchvisionSource
from unlearnbench.errors import DataError

PETS = DataSpec(name="folder", path="pets")
KEPT = ".unlearnbench"


def pixels(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return a folder of three classes, six training and three test images each."""
    root = tmp_path / "pets"
    for number, name in enumerate(("cat", "dog", "fish")):
        for part, count in (("train", 6), ("test", 3)):
            for index in range(count):
                seed = 100 * number + 10 * index + (part == "test")
                save(root / part / name / f"{index}.png", pixels(seed))
    return root


def load(root: Path, **asked: object) -> Data:
    spec = PETS.model_copy(update=asked)
    source = registry.source(spec, root)
    source.fetch()
    return draw_samples(source, spec)


def check(root: Path, **asked: object) -> list[str]:
    return registry.source(PETS.model_copy(update=asked), root).check()


def kept(pets: Path) -> list[str]:
    return sorted(path.name for path in (pets / KEPT).glob("*.npy"))


def first(pets: Path) -> np.ndarray:
    """Return the training image that comes first, as it should be read."""
    path = min((pets / "train").glob("*/*.png"))
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


def test_both_parts_have_the_classes_of_train(tmp_path: Path, pets: Path) -> None:
    data = load(tmp_path)
    assert data.test[1].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    shutil.rmtree(pets / "test" / "cat")
    with pytest.raises(DataError, match="only train has cat: both must have the same classes"):
        load(tmp_path)
    (pets / "train" / "cat").rename(pets / "test" / "cow")
    with pytest.raises(DataError, match=r"pets: only test has cow: both must"):
        load(tmp_path)


def test_samples_are_named_by_their_files(tmp_path: Path, pets: Path) -> None:
    data = load(tmp_path, train=4, seed=3)
    assert data.names is not None and len(data.names) == 13
    for name, image in zip(data.names, data.images, strict=True):
        assert np.array_equal(np.asarray(Image.open(pets / name)).transpose(2, 0, 1), image)


def test_hidden_files_are_passed_over_and_others_are_told(tmp_path: Path, pets: Path) -> None:
    before = load(tmp_path).digest
    (pets / "train" / "cat" / "._0.png").write_bytes(b"of a Mac")
    for folder in ("train", "train/cat"):
        save(pets / folder / ".ipynb_checkpoints" / "0.png", pixels(1))
    (pets / "train" / "cat" / "notes.txt").write_text("not an image")
    assert check(tmp_path) == [] and load(tmp_path).digest == before
    (pets / "train" / "cat" / "7.heic").write_bytes(b"of a phone")
    assert check(tmp_path) == [
        "Skipped, because these are not names of image files: train/cat/7.heic"
    ]


def test_an_empty_class_is_named(tmp_path: Path, pets: Path) -> None:
    for part in ("train", "test"):
        (pets / part / "ant").mkdir()
    with pytest.raises(DataError, match=r"2 faults: no image in train/ant; no image in test/ant\."):
        load(tmp_path)
    for folder in (pets / "test").iterdir():
        shutil.rmtree(folder)
    with pytest.raises(DataError, match="no folder of a class in test"):
        load(tmp_path)


def spoil(pets: Path) -> list[str]:
    """Put one fault of each kind among the images; return what must be said of each."""
    train = pets / "train"
    whole = (train / "cat" / "1.png").read_bytes()
    (train / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    (train / "dog" / "2.png").write_bytes(b"")
    (train / "dog" / "3.png").write_text("no image")
    (train / "fish" / "4.png").unlink()
    (train / "fish" / "4.png").symlink_to("nowhere")
    save(pets / "test" / "fish" / "0.png", pixels(1, 8, 6))
    shutil.rmtree(pets / "test" / "cat")
    return [
        "train/cat/1.png cannot be decoded (",
        "train/dog/2.png is empty",
        "train/dog/3.png is not an image",
        "train/fish/4.png cannot be read (No such file",
        "images of 2 sizes, 8x8 (19, first train/cat/0.png), 6x8 (1, first test/fish/0.png)",
        "only train has cat",
    ]


@pytest.mark.parametrize("look", [load, check])
def test_all_faults_are_told_at_once(
    look: Callable[[Path], object], tmp_path: Path, pets: Path
) -> None:
    expected = spoil(pets)
    with pytest.raises(DataError, match="has 6 faults") as raised:
        look(tmp_path)
    for fault in expected:
        assert fault in str(raised.value)
    assert "more" not in str(raised.value)


def test_faults_after_the_tenth_are_counted(tmp_path: Path, pets: Path) -> None:
    for path in (pets / "train").glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"18 faults: .*dog/3\.png .*; and 8 more\.") as raised:
        load(tmp_path)
    assert str(raised.value).count("cannot be decoded") == 10


def test_images_that_are_not_square_are_refused(tmp_path: Path, pets: Path) -> None:
    for path in pets.glob("*/*/*.png"):
        save(path, pixels(1, 8, 6))
    for asked in ({}, {"size": 2}):
        with pytest.raises(DataError, match=r"images of 6x8 are not square: set data\.resize"):
            load(tmp_path, **asked)
    assert load(tmp_path, crop=6, size=2).train[0].shape == (18, 3, 2, 2)
    with pytest.raises(DataError, match="images of side 6 cannot be averaged to side 4"):
        load(tmp_path, crop=6, size=4)


def test_images_are_decoded_once(
    tmp_path: Path, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = load(tmp_path).digest
    monkeypatch.setattr(Decoder, "decode", lambda *_: pytest.fail("decoded twice"))
    assert load(tmp_path).digest == digest and check(tmp_path) == []


def test_a_class_that_was_removed_is_gone_whatever_times_say(tmp_path: Path, pets: Path) -> None:
    load(tmp_path), load(tmp_path, resize=4)
    assert len(kept(pets)) == 2
    copy = shutil.copytree(pets, tmp_path / "copy" / "pets")  # which keeps all times, as cp -a does
    for part in ("train", "test"):
        shutil.rmtree(copy / part / "cat")
        os.utime(copy / part, (1, 1))
    data = load(copy.parent)
    assert data.classes == 2 and len(data.train[1]) == 12
    assert np.array_equal(data.train[0][0], first(copy))
    assert len(kept(copy)) == 1, "no copy of what was deleted is left, of no size"


def overwrite(path: Path, image: np.ndarray) -> None:
    """Put another image into a file, of the same size, and give it the old one's time."""
    stat, header = path.stat(), b"P6 8 8 255\n"
    path.write_bytes(header + image.tobytes())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size or stat.st_size == 0


def test_an_image_that_was_overwritten_in_place_is_read_anew(tmp_path: Path, pets: Path) -> None:
    path = pets / "train" / "cat" / "0.ppm"
    (pets / "train" / "cat" / "0.png").unlink()
    path.touch()
    overwrite(path, pixels(1))
    load(tmp_path)
    overwrite(path, pixels(2))
    assert np.array_equal(load(tmp_path).train[0][0], pixels(2).transpose(2, 0, 1))
    assert len(kept(pets)) == 1


def test_before_a_run_every_file_is_read_whatever_its_times_say(tmp_path: Path, pets: Path) -> None:
    path, cache = pets / "train" / "cat" / "0.ppm", Cache(pets)
    (pets / "train" / "cat" / "0.png").unlink()
    path.touch()
    overwrite(path, pixels(1))
    load(tmp_path)
    before = cache._stored()
    overwrite(path, pixels(2))
    load(tmp_path)
    after = cache._stored()
    name = "train/cat/0.ppm"
    cache._store(after | {name: (after[name][0], before[name][1])})  # as if no time had changed
    check(tmp_path)
    assert cache._stored() == after
    assert np.array_equal(load(tmp_path).train[0][0], pixels(2).transpose(2, 0, 1))


def test_a_renamed_image_has_its_new_name(tmp_path: Path, pets: Path) -> None:
    before = load(tmp_path)
    (pets / "train" / "cat" / "0.png").rename(pets / "train" / "cat" / "z.png")
    after = load(tmp_path)
    assert after.digest != before.digest, "the order is another"
    assert after.names is not None and after.names[5] == "train/cat/z.png"
    assert np.array_equal(after.train[0][5], before.train[0][0])


@pytest.mark.parametrize("torn", ["cut off", "one byte", "no checksum", "no index", "an old index"])
def test_what_is_torn_is_not_trusted(torn: str, tmp_path: Path, pets: Path) -> None:
    digest = load(tmp_path).digest
    (file,) = (pets / KEPT).glob("*.npy")
    content = file.read_bytes()
    if torn == "cut off":
        file.write_bytes(content[:-100])
    elif torn == "one byte":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif torn == "no checksum":
        file.with_suffix(".sha256").unlink()
    elif torn == "no index":
        (pets / KEPT / caching.INDEX).write_bytes(b"PK")
    else:
        np.savez(pets / f"{KEPT}.npz", x=np.zeros(3))  # as 0.1 left it
        file.unlink()
    check(tmp_path)
    assert load(tmp_path).digest == digest and file.read_bytes() == content
    assert not (pets / f"{KEPT}.npz").exists()


def test_a_folder_that_cannot_be_written_will_do(tmp_path: Path, pets: Path) -> None:
    (pets / KEPT).write_text("in the way")
    data = load(tmp_path)
    assert data.train[0].shape == (18, 3, 8, 8) and np.array_equal(data.train[0][0], first(pets))
    told = check(tmp_path)
    assert told == [f"Nothing can be kept in {pets}: each command decodes all images."]
    (pets / KEPT).unlink()
    with largest_file(100):  # as where the disk is full
        assert load(tmp_path).digest == data.digest
    assert kept(pets) == []


def test_nothing_is_kept_or_removed_behind_a_link(tmp_path: Path, pets: Path) -> None:
    """And of a folder of that name only what was kept there is removed."""
    digest = load(tmp_path).digest
    shutil.move(pets / KEPT, tmp_path / "theirs")
    (tmp_path / "theirs" / "letter.npy").write_text("mine")
    (pets / KEPT).symlink_to(tmp_path / "theirs")
    there = sorted((tmp_path / "theirs").iterdir())
    save(pets / "train" / "cat" / "new.png", pixels(99))
    told = check(tmp_path)
    assert told == [f"Nothing can be kept in {pets}: each command decodes all images."]
    assert load(tmp_path).digest != digest and sorted((tmp_path / "theirs").iterdir()) == there
    (pets / KEPT).unlink()
    shutil.move(tmp_path / "theirs", pets / KEPT)
    load(tmp_path)
    assert len(kept(pets)) == 2 and "letter.npy" in kept(pets), "what is old goes, and no more"


@pytest.mark.parametrize("shape", [(50, 37), (37, 50), (23, 90), (64, 64), (31, 31), (7, 20)])
@pytest.mark.parametrize(("resize", "crop"), [(32, 28), (32, 32), (31, 20), (64, 61)])
def test_images_are_resized_and_cut_as_torchvision_does(
    shape: tuple[int, int], resize: int, crop: int
) -> None:
    from torchvision import transforms

    image = Image.fromarray(pixels(5, *shape))
    usual = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])
    assert np.array_equal(np.asarray(Fit(resize, crop).image(image)), np.asarray(usual(image)))


def test_images_of_any_size_become_squares(tmp_path: Path, pets: Path) -> None:
    for index, path in enumerate(sorted(pets.glob("*/*/*.png"))):
        save(path, pixels(index, 10 + index % 5, 9 + index % 7))
    assert load(tmp_path, resize=12).train[0].shape == (18, 3, 12, 12)
    data = load(tmp_path, resize=12, crop=8)
    assert data.train[0].shape == (18, 3, 8, 8) and len(kept(pets)) == 2
    assert np.array_equal(load(tmp_path, resize=12, crop=8).images, data.images)
    with pytest.raises(DataError, match=r"cat/0\.png is 9x10, smaller than data\.crop = 10"):
        load(tmp_path, crop=10)
    with pytest.raises(ValueError, match="crop = 20 is larger than resize = 12"):
        DataSpec(name="folder", resize=12, crop=20)


def test_other_data_sets_are_resized_too(tmp_path: Path) -> None:
    spec = DataSpec(name="digits", train=20, test=20)
    plain = draw_samples(registry.source(spec, tmp_path), spec)
    larger = spec.model_copy(update={"resize": 16, "crop": 12})
    made = draw_samples(registry.source(larger, tmp_path), larger)
    image = Fit(16, 12).image(Image.fromarray(plain.train[0][3, 0]))
    assert made.train[0].shape == (20, 1, 12, 12)
    assert np.array_equal(made.train[0][3, 0], np.asarray(image))
    cut = spec.model_copy(update={"crop": 9})
    with pytest.raises(DataError, match=r"images of 8x8 are smaller than data\.crop = 9"):
        draw_samples(registry.source(cut, tmp_path), cut)


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


@pytest.mark.parametrize(
    ("image", "ending"),
    [
        (Image.fromarray(GREY), "png"),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "png"),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "tif"),
        (Image.merge("RGBA", [Image.fromarray(GREY)] * 4), "png"),
        (Image.merge("LA", [Image.fromarray(GREY)] * 2), "png"),
        (Image.fromarray(GREY).convert("P"), "png"),
        (Image.merge("CMYK", [Image.fromarray(255 - GREY)] * 3 + [Image.new("L", (8, 8))]), "tif"),
    ],
    ids=["grey", "16 bits", "16-bit TIFF", "RGBA", "grey with alpha", "palette", "CMYK"],
)
def test_every_kind_of_image_becomes_rgb(image: Image.Image, ending: str, tmp_path: Path) -> None:
    image.save(tmp_path / f"x.{ending}")
    with Image.open(tmp_path / f"x.{ending}") as read:
        made = np.asarray(rgb(read))
    assert made.dtype == np.uint8 and np.array_equal(made, np.stack([GREY] * 3, axis=-1))


def test_pixels_without_a_scale_are_refused(tmp_path: Path, pets: Path) -> None:
    (pets / "train" / "cat" / "0.png").unlink()
    Image.fromarray(GREY.astype(np.float32)).save(pets / "train" / "cat" / "0.tif")
    with pytest.raises(DataError, match=r"cat/0\.tif cannot be decoded \(pixels of 32 bits"):
        load(tmp_path)


class Labelled(Source):
    labels: tuple[list[int], list[int]]

    def load(self) -> Pool:
        def part(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(labels), 1, 4, 4), np.uint8), np.array(labels)

        return Pool(part(self.labels[0]), part(self.labels[1]))


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([0, 1, -1], [0, -2], "2 faults: labels below 0 in train: 1, first -1 of sample 2;"),
        ([0, 1], [0, 2, 3], "classes of test that train has no sample of: 2, 3"),
        ([0.5, 1], [0], "labels float64 .* must be .* whole numbers"),
    ],
)
def test_labels_that_cannot_be_are_refused(
    train: list[int], test: list[int], said: str, tmp_path: Path
) -> None:
    source = Labelled(tmp_path)
    source.labels = train, test
    with pytest.raises(DataError, match=said):
        draw_samples(source, DataSpec(name="labelled"))


def test_exact_copies_are_counted(tmp_path: Path, pets: Path) -> None:
    assert not any(load(tmp_path).copies.values())
    train, test = pets / "train", pets / "test"
    shutil.copy(train / "cat" / "0.png", train / "cat" / "copy.png")
    shutil.copy(train / "cat" / "1.png", train / "dog" / "copy.png")
    shutil.copy(train / "cat" / "0.png", test / "cat" / "copy.png")
    shutil.copy(train / "fish" / "2.png", test / "dog" / "copy.png")
    shutil.copy(test / "cat" / "1.png", test / "cat" / "again.png")
    assert load(tmp_path).copies == {
        "train": 4,
        "train, of another label": 2,
        "test": 2,
        "test, of another label": 1,
    }


def test_no_image_is_counted_twice_though_links_lead_in_circles(tmp_path: Path, pets: Path) -> None:
    cat = pets / "train" / "cat"
    (cat / "more").mkdir()
    (cat / "0.png").rename(cat / "more" / "0.png")
    names = load(tmp_path).names
    for link, leads in {"a": ".", "b": ".", "c": "..", "d": "more", "e": "/"}.items():
        (cat / link).symlink_to(leads)
    found = load(tmp_path).names
    assert names is not None and found is not None and len(found) == len(names) == 27
    assert "train/cat/d/0.png" in found, "the folder counts where it comes first by name"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, pets: Path) -> None:
    """Neither as an image, nor in place of what was kept; a link to an image may be one."""
    first_digest = load(tmp_path).digest
    for path in (pets / KEPT).iterdir():
        path.unlink()
        os.mkfifo(path)
    assert load(tmp_path).digest == first_digest
    cat = pets / "train" / "cat"
    shutil.move(cat / "0.png", tmp_path / "elsewhere.png")
    (cat / "0.png").symlink_to(tmp_path / "elsewhere.png")
    assert load(tmp_path).digest == first_digest
    for name in ("1", "2"):
        (cat / f"{name}.png").unlink()
    os.mkfifo(cat / "1.png")
    (cat / "2.png").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"cat/1\.png is no regular file; .*2\.png is no regular"):
        load(tmp_path)


def test_files_that_are_too_large_for_an_image_are_named(tmp_path: Path, pets: Path) -> None:
    with (pets / "train" / "cat" / "1.png").open("wb") as file:
        file.truncate(2**30)  # which takes no room on the disk
    with pytest.raises(DataError, match=r"cat/1\.png is larger than 256 MB"):
        load(tmp_path)


def test_an_index_that_unpacks_to_more_than_its_size_is_made_again(
    tmp_path: Path, pets: Path
) -> None:
    load(tmp_path)
    index = pets / KEPT / caching.INDEX
    whole = index.read_bytes()
    with np.load(index) as stored:
        np.savez_compressed(index, **stored)
    assert Cache(pets)._stored() == {}
    load(tmp_path)
    assert index.read_bytes() == whole


def test_a_program_under_the_name_of_an_image_is_not_run(
    tmp_path: Path, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow hands PostScript to Ghostscript."""
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (pets / "train" / "cat" / "0.png").write_text(program)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("runs it"))
    with pytest.raises(DataError, match=r"cat/0\.png is not an image, or has an unknown format"):
        load(tmp_path)


def test_images_are_of_the_formats_that_endings_stand_for(tmp_path: Path) -> None:
    for ending, of in FORMATS.items():
        for name in (f"a{ending}", f"of {of}.png"):
            Image.fromarray(GREY).save(tmp_path / name, format=of)
    names = sorted(path.name for path in tmp_path.iterdir())
    hashes = {name: sha256((tmp_path / name).read_bytes()).digest() for name in names}
    decoder = Decoder(tmp_path, Fit())
    assert sum(map(len, decoder.decode(hashes))) == len(names) and decoder.faults == []


def decoded(folder: Path, fit: Fit) -> tuple[list[int], list[str]]:
    """Return how many images came at a time, and what is wrong with them."""
    names = sorted(path.name for path in folder.iterdir())
    hashes = {name: sha256((folder / name).read_bytes()).digest() for name in names}
    decoder = Decoder(folder, fit)
    return [len(some) for some in decoder.decode(hashes)], decoder.faults


def test_images_of_too_many_pixels_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever few bytes they have; also those that resizing would make too large."""
    monkeypatch.setattr(decoding, "rgb", lambda image: pytest.fail(f"decodes {image.size}"))
    for name, size in {"a": "8200 8200", "b": "10000 9000", "c": "14000 13000"}.items():
        (tmp_path / f"{name}.png").write_text(f"P5 {size} 255\n")  # a header is enough
    assert decoded(tmp_path, Fit(resize=8)) == (
        [],
        [f"{name}.png {decoding.MANY}" for name in "abc"],
    )
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "long.png").write_text("P5 1 2000 255\n")
    assert decoded(tmp_path, Fit(resize=4096, crop=8))[1] == [f"long.png {decoding.MANY}"]
    (tmp_path / "long.png").unlink()
    (tmp_path / "own.png").write_text("P5 4100 4100 255\n")
    said = "own.png is 4100x4100, too large to be used at its own size: set data.resize"
    assert decoded(tmp_path, Fit()) == ([], [said])


def test_no_more_images_are_held_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one says how many; those of another size are a fault, and not decoded."""
    monkeypatch.setattr(decoding, "ROOM", 5 * GREY.size * 3)
    for number in range(12):
        Image.fromarray(GREY).save(tmp_path / f"{number:02}.png")
    assert decoded(tmp_path, Fit()) == ([1, 5, 5, 1], [])
    for number in range(5, 12):
        Image.new("1", (640, 640)).save(tmp_path / f"{number:02}.png")
    made: list[tuple[int, int]] = []

    def noted(image: Image.Image) -> Image.Image:
        made.append(image.size)
        return rgb(image)

    monkeypatch.setattr(decoding, "rgb", noted)
    assert decoded(tmp_path, Fit())[1] == [
        "images of 2 sizes, 640x640 (7, first 05.png), 8x8 (5, first 00.png): set data.resize"
    ]
    assert made == [(8, 8)] * 5


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    folder = '[data]\nname = "folder"\npath = "pets"'
    asked = TINY.replace('[data]\nname = "digits"\ntrain = 120\ntest = 120', folder)
    path.write_text(asked.replace("[0.1]", "[0.4]").replace("epochs = 4", "epochs = 1"))
    return path


@pytest.mark.parametrize("words", [["run"], ["run", "--dry-run"], ["plan"]])
def test_faults_are_told_before_anything_is_made(
    words: list[str], inside: Cli, toml: Path, pets: Path, tmp_path: Path
) -> None:
    expected = spoil(pets)
    command, *rest = words
    done = inside(command, toml, *rest, "--data", tmp_path)
    assert done.code == 2 and not (tmp_path / "results").exists()
    assert len(done.err.splitlines()) == 1 and all(fault in done.err for fault in expected)


def test_a_dry_run_downloads_nothing(
    inside: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchvisionSource, "_open", lambda *_, **__: pytest.fail("downloads"))
    done = inside("run", tiny, "--dry-run", "--set", "data.name=svhn", "--set", "model=resnet18")
    assert done.code == 0, done.err
    assert "Data set 'svhn' is not here yet, so it was not looked at." in done.out


@pytest.mark.slow
def test_a_run_tells_of_copies_and_refuses_other_images_at_once(
    cli: Cli, inside: Cli, toml: Path, pets: Path, tmp_path: Path
) -> None:
    shutil.copy(pets / "train" / "cat" / "0.png", pets / "train" / "dog" / "copy.png")
    words: list[str | Path] = [toml, "--methods", "ft", "--data", tmp_path]
    done = cli("run", *words, "--seeds", "1")
    assert done.code == 0, done.err
    line = "Images with an exact copy in the training set: 2 of the training set (2 with another"
    assert f"\n{line}" in done.out and f"\n! {line}" in done.out
    page = cli("report", "own")
    assert page.code == 0, page.err
    assert line in (tmp_path / "reports" / "own" / "index.html").read_text()
    assert ub.load(tmp_path / "results" / "own").findings.classes == ["cat", "dog", "fish"]
    save(pets / "train" / "cat" / "0.png", pixels(99))
    for more in ([], ["--dry-run"]):
        done = inside("run", *words, *more)
        assert done.code == 2 and "not what earlier runs of this benchmark" in done.err


def test_where_a_path_is_seen_from_is_said(tmp_path: Path) -> None:
    source = FolderSource(tmp_path, "data/pets")
    said = r"data/pets \(--path\) is seen from .* \(--data\)\. It must"
    with pytest.raises(DataError, match=said):
        source.fetch()
    (tmp_path / "data" / "pets").mkdir(parents=True)
    with pytest.raises(DataError, match=r"pets/train\. It must hold"):
        source.fetch()
