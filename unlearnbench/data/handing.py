"""A data set that one process has read, handed to others of its machine: all map one copy of it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from unlearnbench.data.prepare import Data, DataSpec, Drawn, Images, Labels

PARTS = ("train", "test", "held_out", "validation")
POOL = PARTS[:3]
IMAGES, ARRAYS, ABOUT = "images.npy", "arrays.npz", "about.json"


def hand_on(data: Data, spec: DataSpec, folder: Path) -> Path | None:
    """Write a data set into a folder for `handed`; return the folder.

    Images that lie in a file already are only named. None where nothing can be written: others
    then read for themselves.
    """
    parts: dict[str, tuple[Any, Labels]] = {name: getattr(data, name) for name in PARTS}
    arrays: dict[str, Any] = {f"labels {name}": labels for name, (_, labels) in parts.items()}
    arrays |= {name: getattr(data, name) for name in ("subclasses", "ids", "of_test")}
    files, held = {}, []
    for name, (images, _) in parts.items():
        if isinstance(images, Drawn) and (mapped := _mapped(images.file)):
            files[name], first = mapped
            arrays[f"index {name}"] = first + images.index
        else:
            held.append(np.asarray(images))
    about = {name: getattr(data, name) for name in ("classes", "digest", "names", "copies")}
    about |= {"spec": spec.model_dump(mode="json"), "files": files}
    with suppress(OSError):
        if held:
            np.save(folder / IMAGES, np.concatenate(held))
        np.savez(folder / ARRAYS, **arrays)
        (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        return folder
    return None


def _mapped(images: Images) -> tuple[dict[str, Any], int] | None:
    """Return how a file of images is mapped again, and which row of it comes first here.

    None for what is no map of bytes, or no range of its rows.
    """
    root: Any = images
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not (isinstance(root, np.memmap) and images.flags.c_contiguous):
        return None
    if root.dtype != np.uint8 or root.shape[1:] != images.shape[1:]:
        return None
    first = (images.ctypes.data - root.ctypes.data) // root[0].nbytes
    return {"filename": str(root.filename), "offset": root.offset, "shape": root.shape}, first


def handed(folder: Path, spec: DataSpec) -> Data | None:
    """Return the data set that was handed out in a folder; None if it is another.

    Images are mapped, all processes having one copy in memory; one that changes some of them has
    pages of its own, and no other sees it.
    """
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if about.pop("spec") != spec.model_dump(mode="json"):
        return None
    with np.load(folder / ARRAYS, allow_pickle=False) as stored:
        arrays = dict(stored)
    files, start = about.pop("files"), 0
    images = np.load(folder / IMAGES, mmap_mode="c") if len(files) < len(PARTS) else None
    parts: dict[str, Any] = {}
    for name in PARTS:
        labels = arrays.pop(f"labels {name}")
        if name in files:
            file = np.memmap(
                dtype=np.uint8, mode="r", **(files[name] | {"shape": tuple(files[name]["shape"])})
            )
            parts[name] = Drawn(file, arrays.pop(f"index {name}")), labels
        else:
            parts[name] = images[start : start + len(labels)], labels  # type: ignore[index]
            start += len(labels)
    whole = None
    if images is not None and not files:
        whole = images[: sum(len(parts[name][1]) for name in POOL)]
    return Data(**parts, **arrays, **about, whole=whole)
