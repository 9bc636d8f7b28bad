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

from unlearnbench.errors import UserError

DRAFT = ".draft-"
CHECKSUM = "checksum"
NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
}
DENIED = (errno.EACCES, errno.EPERM)
MISPLACED = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


def write(path: Path, save: Callable[[Path], object]) -> str:
    """Write a file under a draft's name and rename it; return its checksum.

    Readers see all of it or nothing, also when the power goes. Who may read it the umask says: some
    libraries, such as safetensors, would let nobody but the owner.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{uuid.uuid4().hex}-{path.name}")
    try:
        draft.touch()
        mode = draft.stat().st_mode
        save(draft)
        if draft.stat().st_mode != mode:
            draft.chmod(mode)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_again(path: Path, text: str) -> None:
    """Write what can be made again at any time; whoever may only read the folder goes without."""
    if os.access(path.parent, os.W_OK | os.X_OK):
        write_text(path, text)


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


def refused(error: OSError) -> UserError | None:
    """Return what to tell the user if the system refuses a path; None for any other error."""
    if error.errno not in (*DENIED, *MISPLACED, *NO_ROOM) or error.filename is None:
        return None
    path = Path(os.fsdecode(error.filename))
    path = path.parent if path.name.startswith(DRAFT) else path
    return no_room(error, path) or UserError(f"Cannot use {path}: {error.strerror}.")


def no_room(error: OSError, where: Path) -> UserError | None:
    """Return what to tell the user if nothing more can be written; None for any other error."""
    if error.errno not in NO_ROOM:
        return None
    return UserError(
        f"Cannot write to {where}: {NO_ROOM[error.errno]}.",
        "What is finished is kept; make room, and the same command goes on.",
    )
