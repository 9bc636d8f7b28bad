"""Files written whole or not at all, and recognised by their checksums."""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from unlearnbench.errors import NoRoomError, causes

DRAFT = ".draft-"
CHECKSUM = "checksum"
NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "files may not be as large as this (ulimit -f)",
}
PROBE = b"\0" * 2**16
"""What is written where a library does not say why it could write no more."""


def write(path: Path, save: Callable[[Path], object]) -> str:
    """Write a file under a draft's name and rename it; return its checksum.

    Readers see all of it or nothing, also when the power goes. Who may read it the umask says: some
    libraries, such as safetensors, would let nobody but the owner. Raises NoRoomError where there
    is no more room for it, whatever `save` makes of that.
    """
    draft = path.with_name(f"{DRAFT}{uuid.uuid4().hex}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        mode = draft.stat().st_mode
        save(draft)
        if draft.stat().st_mode != mode:
            draft.chmod(mode)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
        draft.replace(path)
    except Exception as error:
        if problem := no_room(error, path.parent) or _no_room_for_more(draft):
            raise problem from error
        raise
    finally:
        with suppress(OSError):  # a file system that has turned read-only has the last word
            draft.unlink(missing_ok=True)
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write(path, lambda draft: draft.write_text(text))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    write(path, lambda draft: draft.write_bytes(data))


def checksum(path: Path) -> str | None:
    """Return a file's SHA-256 in hex; None if there is no such file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def seal(content: dict[str, Any]) -> str:
    """Write a record as JSON with a checksum of itself."""
    sealed = content | {CHECKSUM: _digest(content)}
    return json.dumps(sealed, indent=1, sort_keys=True) + "\n"


def unseal(text: str) -> dict[str, Any]:
    """Read what `seal` has written. Raises ValueError if it is torn, or has been edited."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.pop(CHECKSUM, None) != _digest(content):
        raise ValueError("torn or has been edited")
    return content


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def no_room(error: BaseException, where: Path | None = None) -> NoRoomError | None:
    """Return what to tell the user if nothing more can be written; None for any other error.

    where: the folder that was written to, if that is known and the error names no file.
    """
    for one in causes(error):
        if isinstance(one, OSError) and one.errno in NO_ROOM:
            named = isinstance(one.filename, (str, os.PathLike))
            return _told(Path(one.filename).parent if named else where, one.errno)
    return None


def _no_room_for_more(draft: Path) -> NoRoomError | None:
    """Ask the disk, as some libraries do not say why they cannot write: safetensors, torch, NumPy.

    What they have written of a draft still takes the room that there was.
    """
    try:
        with draft.open("ab") as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return no_room(error, draft.parent)
    return None


def _told(folder: Path | None, why: int) -> NoRoomError:
    where = f" to {folder}" if folder else ""
    return NoRoomError(
        f"Cannot write{where}: {NO_ROOM[why]}.",
        "What is finished is kept; make room, and the same command goes on.",
    )
