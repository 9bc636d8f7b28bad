"""What a call is given: one thing or several, files and names; what is none of these, is told.

In a notebook one has models, arrays and classes at hand, but what workers are to read is in files.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from unlearnbench.authoring import Method
from unlearnbench.errors import UserError

File = str | PathLike[str]
Files = File | Iterable[File]
"""One file or several, by their paths; what `ub.apply` returns stands for the folder it wrote."""

WEIGHTS, RECORD = "model.safetensors", "record.json"
"""Of what `ub.apply` writes into a folder: the weights, and what was done."""
SAVE = "Save its weights: torch.save(model.state_dict(), 'NAME.pt')."
WRITE = "Write {} to a file NAME.py (in a notebook, a cell that begins with %%writefile NAME.py)"


def several(given: Any) -> list[Any]:
    """Return what is given as a list: of one name, path, class or method a list of that one."""
    if isinstance(given, (str, PathLike, type, Method)) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def file(given: object, what: str, hint: str) -> Path:
    """Return the path that an argument has. Raises UserError, with a hint, where it is no path."""
    if isinstance(given, (str, PathLike)):
        return Path(given)
    raise UserError(f"{what}= takes a file, not {_kind(given)}.", hint)


def plugins(given: object) -> list[Path]:
    """Return the files of the user's plugins. Raises UserError for what is no path."""
    hint = f"{WRITE.format('it')}, and give that."
    return [file(one, "plugins", hint) for one in several(given)]


def name(given: str | None, what: str, holds: str) -> str | None:
    """Return a name, None if there is none. Raises UserError for what has to be in a file.

    holds: what that file must hold.
    """
    if given is None or isinstance(given, str):
        return given
    hint = f"{WRITE.format(holds)}, and give {what}='NAME', plugins='NAME.py'."
    raise UserError(f"{what}= takes a name, not {_kind(given)}.", hint)


def _kind(given: object) -> str:
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return f"a value of type {type(given).__name__}"


def weights(path: Path) -> Path:
    """Return a file of weights: of a folder that `ub.apply` wrote, the one in it.

    Raises UserError for a folder that holds none.
    """
    if not path.is_dir():
        return path
    if not (path / WEIGHTS).is_file():
        hint = "Name a .pt, .pth or .safetensors file, or a folder that apply wrote."
        raise UserError(f"The folder {path} holds no {WEIGHTS}.", hint)
    return path / WEIGHTS


def row(path: Path) -> str:
    """Return what a model is called: its file, or in a folder that `ub.apply` wrote, its row."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return str(json.loads((path / RECORD).read_text(encoding="utf-8"))["row"])
    return path.stem
