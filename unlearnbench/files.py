"""Files written whole or not at all, recognised by their checksums, and read without trust."""

import errno
import hashlib
import json
import os
import re
import stat
import time
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from io import BufferedReader
from pathlib import Path
from typing import Any

from unlearnbench.errors import NoRoomError, UserError, causes

DRAFT = ".draft-"
ABANDONED = 600.0
"""Seconds without a byte more after which nobody is writing a draft any longer."""
CHECKSUM = "checksum"
NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "files may not be as large as this (ulimit -f)",
}
PROBE = b"\0" * 2**16
"""What is written where a library does not say why it could write no more."""
DENIED = (errno.EACCES, errno.EPERM)
MISPLACED = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
TEXT, LARGEST, CODE = 2**25, 2**35, 2**22
"""Bytes that a text, and any other file, of a results folder may have, and a file of code that it
names: none of ours comes near."""
PARTS = 2**25
"""Values and tables that a text of JSON may have, so that its size bounds the memory that it takes:
twice what 20,000 runs come to."""
TOML, KEY = 2**20, 16
"""Bytes that a text of TOML may have, and dots that a key of it: the time that one takes to be read
grows with their square."""
NO_KEY = re.compile(
    r'"""(?:[^\\]|\\(?:.|\Z))*?(?:"{3,5}|\Z)|"(?:[^"\\\n]|\\.)*"?'
    r"|'''.*?(?:'{3,5}|\Z)|'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
"""Strings and comments of TOML, whose dots are those of no key."""
DEEPEST, WHOLE, LONG = 100, 2**63, re.compile(r"\d{19}")
"""How deep a record may nest, the end of the whole numbers that it may hold, and how those that are
too large look."""


class UnsoundError(ValueError):
    """Say why a file of a results folder cannot be used, in words that follow its name."""


def write(path: Path, save: Callable[[Path], object]) -> str:
    """Write a file under a draft's name and rename it; return its checksum.

    Readers see all of it or nothing, also when the power goes. Who may read it the umask says: some
    libraries, such as safetensors, would let nobody but the owner. Drafts of it go that a process
    left when it was killed. Raises NoRoomError where there is no more room for it, whatever `save`
    makes of that.
    """
    draft = path.with_name(f"{DRAFT}{uuid.uuid4().hex}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drafts = path.parent.glob(f"{DRAFT}{'[0-9a-f]' * 32}-{escape(path.name)}")
        for left in abandoned(drafts):
            left.unlink(missing_ok=True)
        draft.touch()
        mode = draft.stat().st_mode
        save(draft)
        if draft.stat().st_mode != mode:
            draft.chmod(mode)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
        draft.replace(path)
        _sync(path.parent)
    except Exception as error:
        if problem := no_room(error, path.parent) or _no_room_for_more(draft):
            raise problem from error
        raise
    finally:
        with suppress(OSError):  # a file system that has turned read-only has the last word
            draft.unlink(missing_ok=True)
    return found


def _sync(folder: Path) -> None:
    """Have a folder's names be on the disk, where the system can be asked for that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write(path, lambda draft: draft.write_text(text, encoding="utf-8"))


@contextmanager
def expendable() -> Iterator[None]:
    """Go without what is written inside, which can be made again at any time, if it cannot be kept.

    That is where a folder may only be read, has no more room, or has the place of the file.
    """
    with suppress(OSError, NoRoomError):
        yield


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    write(path, lambda draft: draft.write_bytes(data))


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield what a folder has of a pattern, in any order, without hidden files.

    Drafts are hidden, which a process may have left when it was killed; so is macOS's .DS_Store.
    """
    return (path for path in folder.glob(pattern) if not path.name.startswith("."))


def abandoned(drafts: Iterable[Path]) -> list[Path]:
    """Return those drafts that a process left when it was killed, not those being written."""
    left = []
    for draft in drafts:
        with suppress(FileNotFoundError):  # just finished
            if time.time() - draft.stat().st_mtime > ABANDONED:
                left.append(draft)
    return left


def checksum(path: Path) -> str | None:
    """Return a file's SHA-256 in hex; None if there is no such file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def opened(path: Path, folder: Path, most: int = LARGEST) -> BufferedReader:
    """Open a file below a folder that anyone may have made: a regular one, of `most` bytes at most.

    A link, at any place below the folder, may lead out of it; a pipe or a device has no end. Raises
    UnsoundError for these, and OSError where there is no such file, or it may not be read.
    """
    below = path.relative_to(folder).parts if path.is_relative_to(folder) else ("..",)
    if ".." in below:
        raise UnsoundError("lies outside the folder")
    place, mode = os.fspath(folder), 0
    for part in below:
        place = f"{place}{os.sep}{part}"
        mode = os.lstat(place).st_mode
        if stat.S_ISLNK(mode):
            raise UnsoundError("is a link" if part == path.name else f"lies behind a link, {part}")
    if not stat.S_ISREG(mode):  # some devices do something when they are opened
        raise UnsoundError("is no regular file")
    return _bounded(place, most, getattr(os, "O_NOFOLLOW", 0))


def opened_behind(path: Path, most: int = LARGEST) -> BufferedReader:
    """Open a file, or the one that a link leads to: a regular one, of `most` bytes at most.

    Raises UnsoundError for any other, and OSError where there is none, or it may not be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnsoundError("is no regular file")
    return _bounded(path, most)


def _bounded(path: str | Path, most: int, flags: int = 0) -> BufferedReader:
    def careful(name: str, usual: int) -> int:
        return os.open(name, usual | flags | getattr(os, "O_NONBLOCK", 0))

    file = open(path, "rb", opener=careful)  # noqa: SIM115 (Path.open takes no opener)
    about = os.fstat(file.fileno())
    if stat.S_ISREG(about.st_mode) and about.st_size <= most:
        return file
    file.close()
    raise UnsoundError(f"is larger than {most >> 20} MB, or no regular file")


def same_file(one: Path, other: Path) -> bool:
    """Say whether two paths are of one file: a link, or other capitals, may be all that differs."""
    with suppress(OSError):
        return one.samefile(other)
    return one == other


def refuse_link(folder: Path) -> None:
    """Raise UserError where a folder that somebody else may have made is a link."""
    if folder.is_symlink():
        problem = f"{folder} is a link: nothing is written or removed where it leads."
        raise UserError(problem, "Put the folder itself in its place, or remove the link.")


def file_in(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder, of a name that anyone may have a part in.

    Raises UserError where it is none of a file there.
    """
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise UserError(f"No file of {folder} can be called {name!r}.")
    return folder / name


def read_text(path: Path, folder: Path, most: int = TEXT) -> str:
    """Read a text below a folder that anyone may have made; raises as `opened` does."""
    with opened(path, folder, most) as file:
        try:
            return file.read(most).decode()
        except UnicodeDecodeError as error:
            raise UnsoundError("is no text") from error


def read_code(path: Path) -> str:
    """Read a file of code, which a results folder may have named: no pipe or device is opened.

    Raises UserError where it cannot be one.
    """
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= CODE):
            raise UserError(f"{path} is no file of code.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text.") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error


def parsed(text: str) -> Any:
    """Read JSON that anyone may have written. Raises UnsoundError unless it is that, and plain."""
    try:
        content = _loaded(text)
    except UnsoundError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnsoundError("is torn, or no JSON") from error
    require_plain(content)
    return content


def _loaded(text: str) -> Any:
    if sum(map(text.count, ",[{")) > PARTS:
        raise UnsoundError("holds too many values")
    return json.loads(text)


def parsed_toml(text: str) -> dict[str, Any]:
    """Read TOML that anyone may have written. Raises UnsoundError, or ValueError for no TOML."""
    if len(text) > TOML:
        raise UnsoundError(f"is larger than {TOML >> 20} MB")
    bare = re.split(r"[=,\[\]{}\n]", NO_KEY.sub("", text))
    if max(part.count(".") for part in bare) > KEY:
        raise UnsoundError("has a key of too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def is_plain(text: str) -> bool:
    """Say at a glance whether JSON is surely plain: with few brackets, and no number so long."""
    return text.count("{") + text.count("[") <= DEEPEST and not LONG.search(text)


def require_plain(value: object, depth: int = DEEPEST) -> None:
    """Raise UnsoundError where tables nest too deep, or a whole number has above 64 bits."""
    if isinstance(value, int):
        if not -WHOLE <= value < WHOLE:
            raise UnsoundError("holds a number that is too large")
    elif isinstance(value, (dict, list)):
        if not depth:
            raise UnsoundError("is nested too deeply")
        inside = list(value.values()) if isinstance(value, dict) else value
        kinds = set(map(type, inside)) - {float, str, bool, type(None)}
        if kinds == {int}:
            inside = [one for one in inside if type(one) is int]
            inside = [min(inside), max(inside)]
        for one in inside if kinds else ():
            require_plain(one, depth - 1)


def seal(content: dict[str, Any]) -> str:
    """Write a record as JSON with a checksum of itself."""
    sealed = content | {CHECKSUM: _digest(content)}
    return json.dumps(sealed, indent=1, sort_keys=True) + "\n"


def unseal(text: str) -> dict[str, Any]:
    """Read what `seal` has written. Raises ValueError if it is torn, or has been edited."""
    try:
        content = _loaded(text)
        if isinstance(content, dict) and content.pop(CHECKSUM, None) == _digest(content):
            return content
    except (ValueError, RecursionError):
        pass
    raise ValueError("torn or has been edited")


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
