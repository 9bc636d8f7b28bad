"""Data sets through torchvision: what is downloaded where, and what of it is read."""

from __future__ import annotations

import gzip
import io
import os
import shutil
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from unlearnbench import registry
from unlearnbench.data import vision
from unlearnbench.data.vision import TorchvisionSource
from unlearnbench.errors import DataError, UserError

SHIPPED = ["cifar10", "cifar100", "svhn", "fashion-mnist"]
RAW = Path("FashionMNIST", "raw")


def source(name: str, root: Path) -> TorchvisionSource:
    made = registry.source_class(registry.find("datasets")[name])(root)
    assert isinstance(made, TorchvisionSource)
    return made


def idx(array: np.ndarray) -> bytes:
    """Write bytes as the files of the MNIST family hold them."""
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sides + array.tobytes()


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Answer(io.BytesIO):
    """Stand in for what a server answers."""

    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url, self.length = url, len(content)


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> list[str]:
    """Have the internet hold these files, by name; return where it is noted what was asked for."""
    asked: list[str] = []

    def answer(request: Any, *_: object, **__: object) -> Answer:
        name = request.full_url.rpartition("/")[2]
        asked.append(name)
        return Answer(request.full_url, files.get(name, b"something else"))

    monkeypatch.setattr("urllib.request.urlopen", answer)
    return asked


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Publish a Fashion-MNIST of few images; return its archives."""
    archives: dict[str, bytes] = {}
    known: dict[str, str] = {}
    for part, count in (("train", 12), ("t10k", 6)):
        images = np.arange(count * 784, dtype=np.uint8).reshape(count, 28, 28)
        for what, array in (("images-idx3", images), ("labels-idx1", images[:, 0, 0] % 10)):
            plain = idx(array)
            archives[f"{part}-{what}-ubyte.gz"] = gzip.compress(plain)
            known[(RAW / f"{part}-{what}-ubyte").as_posix()] = sha256(plain).hexdigest()
    resources = [(name, md5(content).hexdigest()) for name, content in archives.items()]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    monkeypatch.setattr(vision, "UNCOMPARED", {"FashionMNIST": known})
    return archives


def unpack(archives: dict[str, bytes], root: Path) -> None:
    (root / RAW).mkdir(parents=True)
    for name, content in archives.items():
        (root / RAW / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))


@pytest.mark.parametrize("name", SHIPPED)
def test_absent_download_says_where_to_put_what(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(TorchvisionSource, "_open", offline)
    with pytest.raises(UserError, match=r"could not be downloaded.*Put its files at .*--data"):
        source(name, tmp_path).fetch()


def test_half_a_download_is_not_taken_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_part(_: object, root: Path, part: dict[str, str], *, download: bool) -> None:
        file = root / f"{part['split']}_32x32.mat"
        opened.append(part["split"] + (" was there" if file.exists() else ""))
        file.touch()

    monkeypatch.setattr(TorchvisionSource, "_open", open_part)
    (tmp_path / "train_32x32.mat").touch()
    source("svhn", tmp_path).fetch()
    source("svhn", tmp_path).fetch()
    assert opened == ["train was there", "test"], "nothing is downloaded twice"
    assert inside(tmp_path) == ["test_32x32.mat", "train_32x32.mat"]


def test_a_download_comes_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion: dict[str, bytes]
) -> None:
    """And what one left that was killed is removed by the next."""
    left, other = tmp_path / ".draft-FashionMNIST-a", tmp_path / ".draft-FashionMNIST-b"
    for folder in (left, other):
        folder.mkdir()
        (folder / "part").write_text("of an archive")
    for path in (left, left / "part", other):
        os.utime(path, (1, 1))
    here, torn = source("fashion-mnist", tmp_path), dict(fashion)
    torn["t10k-labels-idx1-ubyte.gz"] = b"cut off"
    serve(monkeypatch, torn)
    with pytest.raises(DataError, match="could not be downloaded"):
        here.fetch()
    assert inside(tmp_path) == [other.name], "which may still be written to"
    (tmp_path / "FashionMNIST").mkdir()
    asked = serve(monkeypatch, fashion)
    here.fetch()
    assert {*asked} == {*fashion}
    asked.clear()
    here.fetch()
    assert not asked and here.load().train[0].shape == (12, 1, 28, 28)
    assert inside(tmp_path) == [other.name, "FashionMNIST"]


def test_a_download_writes_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion: dict[str, bytes]
) -> None:
    data, mine = tmp_path / "data", tmp_path / "home" / "thesis.tex"
    mine.parent.mkdir()
    mine.write_text("years of work")
    data.mkdir()
    (data / "cifar-10-python.tar.gz").symlink_to(mine)
    asked = serve(monkeypatch, fashion)
    with pytest.raises(DataError, match="could not be downloaded"):
        source("cifar10", data).fetch()
    assert asked and mine.read_text() == "years of work"
    asked.clear()
    (data / "train_32x32.mat").symlink_to(mine)
    (data / "FashionMNIST").symlink_to(mine.parent)
    for name in ("svhn", "fashion-mnist"):
        with pytest.raises(UserError, match="is a link: nothing is written or removed where it"):
            source(name, data).fetch()
    assert not asked and inside(mine.parent) == [mine.name]
    assert mine.read_text() == "years of work"


def test_an_archive_that_is_there_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a link, as to a place that several share."""
    archive = tmp_path / "shared.tar.gz"
    shutil.make_archive(str(tmp_path / "shared"), "gztar", root_dir=Path(__file__).parent / "ports")
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "tgz_md5", md5(archive.read_bytes()).hexdigest())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / kind.filename).symlink_to(archive)
    asked = serve(monkeypatch, {})
    with pytest.raises(DataError, match="not found or corrupted"):  # as it holds something else
        source("cifar10", tmp_path / "data").fetch()
    assert not asked


@pytest.mark.parametrize("name", SHIPPED)
def test_of_what_was_not_published_nothing_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion: dict[str, bytes]
) -> None:
    here = source(name, tmp_path)
    if name == "fashion-mnist":
        unpack(fashion, tmp_path)
        assert here.load().test[0].shape == (6, 1, 28, 28)
        file = tmp_path / RAW / "train-labels-idx1-ubyte"
        file.write_bytes(file.read_bytes()[:-1] + b"\7")
    else:
        for part in ("train", "test", "data_batch_1", "test_batch", "meta", "batches.meta"):
            for folder in here.paths if name != "svhn" else []:
                folder.mkdir(exist_ok=True)
                (folder / part).write_bytes(b"of a stranger")
        for path in here.paths if name == "svhn" else []:
            path.write_bytes(b"of a stranger")
    for reader in ("pickle.load", "scipy.io.loadmat", "torchvision.datasets.mnist.read_image_file"):
        monkeypatch.setattr(reader, lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(DataError, match=r"cannot be read: .*Remove .* and run again"):
        here.load()


def test_a_copy_of_an_old_torchvision_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion: dict[str, bytes]
) -> None:
    unpack(fashion, tmp_path)
    old = tmp_path / "FashionMNIST" / "processed"
    old.mkdir()
    for name in ("training", "test"):
        torch.save((torch.zeros(9, 28, 28, dtype=torch.uint8), torch.arange(9)), old / f"{name}.pt")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(DataError, match=r"processed is of an old torchvision.* Remove this folder"):
        source("fashion-mnist", tmp_path).load()
