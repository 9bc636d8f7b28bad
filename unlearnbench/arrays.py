"""Arrays in files as NumPy writes them, read without trust: plain numbers, stored as they are.

Such a file is a zip archive whose members are not compressed, one after the other. So it cannot
unpack to more than its own size; what is compressed, and what would have to be unpickled, is none
of ours. Its members are found where they stand: what is listed at its end is not needed.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader, BytesIO
from math import prod
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unlearnbench.files import UnsoundError

Readable: TypeAlias = BufferedReader | BytesIO
Arrays: TypeAlias = dict[str, NDArray[Any]]
LOCAL = struct.Struct("<4xHHHHHLLLHH")
"""Of a member: version, flags, compression, time, day, CRC, sizes, lengths of name and extra."""
WIDE = struct.Struct("<HHQQ")
"""What stands in the extra of a member whose sizes have 64 bits: 1, 16, and these."""
MEMBER, END = b"PK\3\4", b"PK\1\2"
MEMBERS, NAME, HEAD = 32, 64, 10_000
"""How many members a file may have, and the bytes of a name and of an array's header."""

_reading = Lock()
"""NumPy parses headers as Python, whose parser counts wrong where two threads use it (3.11)."""


@dataclass(frozen=True)
class Place:
    """Say where the numbers of an array stand in a file, and what they are.

    crc: of its header and numbers, as the file claims it; before: of its header alone.
    """

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    crc: int
    before: int


def array_places(file: Readable) -> dict[str, Place]:
    """Say which arrays a file holds; none is read. Raises UnsoundError for anything else in it."""
    size = file.seek(0, os.SEEK_END)
    places: dict[str, Place] = {}
    at = 0
    while True:
        file.seek(at)
        head = file.read(LOCAL.size)
        if head[:4] == END and places:
            return places
        if len(head) < LOCAL.size or head[:4] != MEMBER or len(places) == MEMBERS:
            raise UnsoundError("holds no arrays as they are written here")
        _, flags, method, _, _, crc, _, own, named, more = LOCAL.unpack(head)
        name, extra = file.read(min(named, NAME)), file.read(more)
        if own == 2**32 - 1 and len(extra) >= WIDE.size:
            own = WIDE.unpack_from(extra)[2]
        start = at + LOCAL.size + named + more
        at = start + own
        if flags or method or named > NAME or at > size or not name.endswith(b".npy"):
            raise UnsoundError("holds arrays that are compressed, or cut short")
        key = name[: -len(".npy")].decode("ascii", "replace")
        if key in places:
            raise UnsoundError(f"holds two arrays called {key}")
        places[key] = _place(file, start, own, crc)


def array_place(file: Readable) -> Place:
    """Say where the numbers of the one array stand that a file holds, with no archive around it.

    Raises UnsoundError for anything else in it.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return _place(file, 0, size, 0)


def _place(file: Readable, start: int, size: int, crc: int) -> Place:
    """Read an array's header, which says no more numbers than there are."""
    begin = file.read(12)
    wide = begin[6:7] > b"\1"
    length = int.from_bytes(begin[8 : 12 if wide else 10], "little") + (12 if wide else 10)
    if length > min(size, HEAD):
        raise UnsoundError("holds an array without a header")
    text = begin + file.read(length - len(begin))
    dtype, shape = _header(text)
    if length + prod(shape) * dtype.itemsize != size:
        raise UnsoundError("holds an array of another size than it says")
    return Place(start + length, dtype, shape, crc, zlib.crc32(text))


@lru_cache(maxsize=1024)
def _header(text: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and the shape that a header says; many files have the same."""
    file = BytesIO(text)
    try:
        with _reading:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise UnsoundError("holds an array of another version of NumPy")
            old = version == (1, 0)
            read = np.lib.format.read_array_header_1_0
            shape, fortran, dtype = (read if old else np.lib.format.read_array_header_2_0)(file)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise UnsoundError("holds an array whose header cannot be read") from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or (fortran and len(shape) > 1):
        raise UnsoundError("holds an array of other things than plain numbers")
    if any(side < 0 for side in shape):
        raise UnsoundError("holds an array of a shape that cannot be")
    return dtype, shape


def load_arrays(file: Readable, places: Mapping[str, Place], *names: str) -> Arrays:
    """Return the arrays of a file: those named that it has, or all.

    Raises UnsoundError where one is not what was written.
    """
    return {name: _read(file, name, places[name]) for name in names or places if name in places}


def _read(file: Readable, name: str, place: Place) -> NDArray[Any]:
    array = np.empty(place.shape, place.dtype)
    file.seek(place.start)
    raw = array.reshape(-1).view(np.uint8)
    if file.readinto(raw.data) != raw.size or zlib.crc32(raw.data, place.before) != place.crc:
        raise UnsoundError(f"holds an array {name} that is not what was written")
    return array
