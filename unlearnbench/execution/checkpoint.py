"""Weights of models from files that others wrote: nothing in such a file is ever executed."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unlearnbench.errors import DataError, UserError
from unlearnbench.files import checksum, write
from unlearnbench.recipe import Pretrained
from unlearnbench.toolkit.recorder import recorder

SAFE = Version("2.6")
"""The first PyTorch whose `weights_only` holds what it says (CVE-2025-32434)."""
WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys of training checkpoints, the first that there is before the others."""
COUNT = "n_averaged"
"""What PyTorch's averages of models hold beside the weights."""
ALONE = "Save the weights alone: torch.save(model.state_dict(), FILE), or as .safetensors."
COPIES = "Save copies: torch.save({name: value.clone() for name, value in state.items()}, FILE)."
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
NUMBERS = {*WHOLE, torch.float16, torch.bfloat16, torch.float32, torch.float64}
"""Types of the numbers that models here are made of."""
NAMED = 3
"""How many entries an error names."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the weights in a .safetensors, or in a file of torch.save, on the CPU, by name.

    What DataParallel (`module.`) and torch.compile (`_orig_mod.`) put before the names is taken
    off. Raises UserError for a file that is not there, is empty or torn, holds no weights, or some
    that are not stored number by number, or more than `torch.load(weights_only=True)` reads: such a
    file is named, and nothing in it is run. None of the numbers is looked at, see `load_into`.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.", "Name a .pt, .pth or .safetensors file.")
    if not path.stat().st_size:
        raise UserError(f"{path} cannot be read: the file is empty.", "Copy it again.")
    content: object = _safe(path) if path.suffix == ".safetensors" else _pickled(path)
    state = _weights(content)
    if state is None:
        state = _unwrapped(content, path)
    if odd := [name for name, value in state.items() if not _is_stored(value)]:
        problem = f"{path} holds weights that are not stored number by number ({_few(odd)})."
        raise UserError(problem, COPIES)
    return dict(zip(plain_names(state), state.values(), strict=True))


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names of entries without what wrappers of a model put before them."""
    plain = [re.sub(r"(^|\.)_orig_mod\.", r"\1", name) for name in names]
    while plain and all(name.startswith("module.") for name in plain):
        plain = [name.removeprefix("module.") for name in plain]
    return plain


def load_into(
    model: nn.Module, state: Mapping[str, Tensor], path: Path, *, new_head: bool = False
) -> list[str]:
    """Give a model the weights of `state`, which is of the file `path`.

    A word that stands before all of the file's names, as the `model.` of a LightningModule, is
    taken off where they then fit. new_head: leave one layer as it is where the file's has another
    number of outputs, as that of a model for other classes has; returns the names of such entries.
    Raises UserError, and changes nothing, if entries are missing, left over, of another shape, or
    not finite. That is looked at last: what has the shapes of a model is of a size that it has.
    """
    own = model.state_dict()
    names = dict(zip(plain_names(own), own, strict=True))
    state = _unprefixed(state, names)
    missing = _missing(state, names)
    others = {
        name: f"{name}: {list(state[name].shape)} in place of {list(own[names[name]].shape)}"
        for name in names
        if name in state and state[name].shape != own[names[name]].shape
    }
    head = [
        name for name in others if new_head and _same_but_outputs(state[name], own[names[name]])
    ]
    if len(head) < len(others) or len({name.rpartition(".")[0] for name in head}) > 1:
        head = []
    problems = [
        _told("is missing {}", sorted(missing)),
        _told("has {} that the model does not have", sorted(state.keys() - names.keys())),
        _told("has {} of another shape", [] if head else list(others.values())),
    ]
    if found := [problem for problem in problems if problem]:
        raise UserError(
            f"The weights in {path} are of another model: the file {', '.join(found)}.",
            "Name the model that they were trained with.",
        )
    if broken := [name for name, value in state.items() if not torch.isfinite(value).all()]:
        raise UserError(f"{path} holds weights that are not finite ({_few(broken)}).")
    fitting = {names[name]: value for name, value in state.items() if name not in head}
    model.load_state_dict(own | fitting)
    return [names[name] for name in head]


def _missing(state: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    """List the names that a file has no weights for; older ones do not count batches."""
    # which nothing here reads
    return [n for n in names if n not in state and not n.endswith("num_batches_tracked")]


def _unprefixed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> Mapping[str, Tensor]:
    """Take off words that stand before all names of a file, if the names then fit a model's."""
    bare = state
    while bare and (bare.keys() - names.keys() or _missing(bare, names)):
        first, *others = {name.partition(".")[0] for name in bare}
        if others or first in bare:
            return state
        bare = {name.partition(".")[2]: value for name, value in bare.items()}
    return bare


def begin_with(model: nn.Module, start: Pretrained) -> nn.Module:
    """Give a model the weights that its training begins with; returns it, changed in place.

    Its head stays as it was drawn where the file's is for another number of classes, which the
    run's record then says. Raises DataError as `beginning` does, and if the file is of another
    model.
    """
    path = Path(start.file)
    try:
        drawn = load_into(model, beginning(start), path, new_head=True)
    except UserError as error:
        raise DataError(str(error)) from error
    if drawn:
        recorder().warn(
            f"{path.name} is of other classes, so {', '.join(drawn)} start from fresh weights"
        )
    return model


@lru_cache(maxsize=1)
def _beginning(path: Path, digest: str) -> dict[str, Tensor]:
    if path.is_file() and not str(checksum(path)).startswith(digest):
        raise UserError(
            f"{path} is not the file that recipe.pretrained was: its SHA-256 is not {digest}...",
            "Put that one back, or name the new one in its place.",
        )
    return read_state(path)


def beginning(start: Pretrained) -> dict[str, Tensor]:
    """Read the weights that training begins with, once a worker.

    Raises DataError if the file is not the one that was named, or cannot be read.
    """
    try:
        return _beginning(Path(start.file), start.digest)
    except UserError as error:
        raise DataError(str(error)) from error


def _same_but_outputs(found: Tensor, own: Tensor) -> bool:
    return found.ndim == own.ndim and found.shape[1:] == own.shape[1:]


def _told(what: str, entries: list[str]) -> str:
    """Say how many entries there are and name a few; "" if there are none."""
    if not entries:
        return ""
    return (
        what.format(f"{len(entries)} entr{'ies' if entries[1:] else 'y'}") + f" ({_few(entries)})"
    )


def _safe(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _torn(path) from error


def _pickled(path: Path) -> object:
    if Version(torch.__version__) < SAFE:
        raise UserError(
            f"{path} is not read with torch {torch.__version__}, which such a file can trick into"
            " running code.",
            f"Install torch {SAFE} or later, or save the weights as .safetensors.",
        )
    try:
        if not _is_compressed(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickles that it refuses right after
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"more than weights ({named[1]})" if named else "a pickle that is not of weights"
        problem = f"{path} holds {what}: it is refused, and nothing in it was run."
        raise UserError(problem, ALONE) from error
    except Exception as error:  # what is torn makes torch raise whatever it stumbles on
        raise _torn(path) from error
    raise UserError(f"{path} is compressed, so torch.save did not write it.", ALONE)


def _is_compressed(path: Path) -> bool:
    """Say whether any part of an archive is: torch would unpack it, however large it gets."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist())


def _torn(path: Path) -> UserError:
    return UserError(f"{path} is torn, or no file of weights.", "Copy it again, or name another.")


def _is_stored(value: Tensor) -> bool:
    """Say whether each number of a tensor is in its file: one can stand for any number of them."""
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.is_quantized or value.is_nested or value.dtype not in NUMBERS:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _weights(content: object) -> dict[str, Tensor] | None:
    """Return what a file holds if that is tensors by name."""
    if not isinstance(content, Mapping) or not content:
        return None
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return {name: value.detach() for name, value in content.items() if name != COUNT}
    return None


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights in a training checkpoint, beside which it may hold anything."""
    entries = content if isinstance(content, Mapping) else {}
    found = {str(key): state for key, value in entries.items() if (state := _weights(value))}
    for key in (*WRAPPERS, *(found if len(found) == 1 else ())):
        if key in found:
            return found[key]
    holds = f"a dictionary of {_few(entries)}" if entries else f"a {type(content).__name__}"
    if found:
        raise UserError(
            f"{path} holds several sets of weights: {', '.join(sorted(found))}.",
            f"Save the one that is meant: torch.save(torch.load({path.name!r})[{min(found)!r}],"
            f" '{min(found)}.pt').",
        )
    raise UserError(f"{path} holds no weights by name, but {holds}.", ALONE)


def _few(entries: Iterable[object]) -> str:
    entries = list(entries)
    return ", ".join(map(str, entries[:NAMED])) + (", ..." if len(entries) > NAMED else "")


def hand_out(weights: Path, folder: Path) -> dict[str, str]:
    """Write a .safetensors for programs of others, as `model`, also as torch.save writes it.

    Returns the checksum of each file, by name.
    """
    state = load_file(weights)

    def save_pt(state: Mapping[str, Tensor], path: Path) -> None:
        with path.open("wb") as file:  # by its path, a draft's random name would be in the file
            torch.save(state, file)

    savers: dict[str, Callable[..., object]] = {"safetensors": save_file, "pt": save_pt}
    return {
        f"model.{end}": write(folder / f"model.{end}", partial(save, state))
        for end, save in savers.items()
    }
