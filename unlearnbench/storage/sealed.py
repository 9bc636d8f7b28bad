"""Texts of a results folder that are shown or gone by, none of which can be lost or altered unseen.

Beside each lies `sealed/`, with a copy of it below its checksum. The copy is written first: what it
says holds, and brings back a text that was torn, emptied, removed or edited. A text without a copy,
as earlier versions left it, is taken as it is. What can be computed again when it is lost has no
copy, but begins with its checksum.
"""

from hashlib import sha256
from pathlib import Path

from unlearnbench.files import UnsoundError, opened, visible
from unlearnbench.storage.inside import ours, put_bytes, remove

SEALED, METRICS = "sealed", "metrics.json"
FIRST = '{"checksum": "'
MOST = 2**28
"""Bytes that a text may have: metrics of 20,000 runs have half of that (4 to 6 KB a run)."""


def write_sealed(path: Path, folder: Path, text: str) -> None:
    """Write a text of a folder, and its copy before it, unless both are as they should be."""
    data = text.encode()
    if _sealed(path, folder) != data:
        put_bytes(_copy(path), folder, _with_head(data))
    if _read(path, folder) != data:
        put_bytes(path, folder, data)


def remove_sealed(path: Path, folder: Path) -> None:
    """Remove a text of a folder and its copy."""
    remove(_copy(path), folder)
    remove(path, folder)


def wrong(folder: Path) -> dict[Path, str]:
    """Say which texts of a folder, and of those in it, are not what was written, and why not.

    Whoever made it: what lies behind a link is no copy, and nothing is written there.
    """
    found = {}
    patterns = (f"{SEALED}/*", f"*/{SEALED}/*")
    copies = ours([copy for one in patterns for copy in visible(folder, one)], folder)
    for path in sorted(copy.parent.parent / copy.name for copy in copies if _within(copy, folder)):
        sealed, own = _sealed(path, folder), _read(path, folder)
        if sealed is None:
            found[path] = f"the copy of {path.name} in {SEALED}/ is not what was written"
        elif sealed != own:
            what = "is missing" if own is None else "is not what was written"
            found[path] = f"{path.name} {what}"
    return found


def bring_back(folder: Path) -> list[str]:
    """Bring back what `wrong` finds by its copies; return what was done, a line each."""
    lines = []
    for path, what in wrong(folder).items():
        data = _sealed(path, folder)
        if data is not None:
            put_bytes(path, folder, data)
        elif (own := _read(path, folder)) is not None:
            put_bytes(_copy(path), folder, _with_head(own))
        else:
            remove(_copy(path), folder)
        lines.append(f"{folder.name}: {what}; {'brought back' if data else 'made again'}.")
    return lines


def with_checksum(text: str) -> str:
    """Put a checksum before what else is in a JSON object, given as text."""
    return f'{FIRST}{_digest(text.encode())}", {text[1:]}'


def without_checksum(text: str) -> str:
    """Return what `with_checksum` was given. Raises ValueError if it is torn, or was edited."""
    whole = "{" + text[len(FIRST) + 64 + len('", ') :]
    if with_checksum(whole) != text:
        raise ValueError("torn or has been edited")
    return whole


def _copy(path: Path) -> Path:
    return path.parent / SEALED / path.name


def _within(copy: Path, folder: Path) -> bool:
    """Say whether neither the place of a copy, nor that of its text, is behind a link."""
    places = [place for place in (copy.parent, copy.parent.parent) if place != folder]
    return not any(place.is_symlink() for place in places)


def _sealed(path: Path, folder: Path) -> bytes | None:
    """Return what a text's copy says; None if it is not whole, or not there."""
    data = _read(_copy(path), folder) or b""
    text = data.partition(b"\n")[2]
    return text if data == _with_head(text) else None


def _with_head(text: bytes) -> bytes:
    return f"sha256 {_digest(text)}\n".encode() + text


def _read(path: Path, folder: Path) -> bytes | None:
    """Return the bytes of a regular file below a folder, None if there is none."""
    try:
        with opened(path, folder, MOST) as file:
            return file.read(MOST)
    except (FileNotFoundError, NotADirectoryError, UnsoundError):
        return None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
