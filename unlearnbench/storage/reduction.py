"""Arrays as a pack has them: without what follows from others, and what many have kept once.

What comes back is the same to the last bit, so that the checksums of a record hold for it too.
"""

import json
import math
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearnbench.arrays import Arrays

DTYPES = ("|b1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8")
"""What may be in a pack: numbers, and nothing that would have to be unpickled."""
ALIKE = ("label", "member", "subclass")
"""Signals that runs share: of one data set, or of one split."""
WHOLE, APART, RESIDUE = "whole", "apart", "beside margin"
"""How an array is kept: as it is, elsewhere under its digest, or as what its margin lacks of it."""


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file that the store writes of arrays."""
    file = BytesIO()
    np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    return file.getvalue()


def reduced(arrays: Arrays, put_apart: Callable[[bytes], str]) -> bytes:
    """Return a line of JSON that says what follows, and the bytes of arrays, each byte by place.

    put_apart: keeps bytes that runs share, and returns the name under which it does.
    """
    head: list[dict[str, Any]] = []
    body: list[bytes] = []
    for name, array in arrays.items():
        one = {"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "kept": WHOLE}
        if name in ALIKE:
            one |= {"kept": APART, "under": put_apart(array.tobytes())}
        elif name == "confidence" and _beside_margin(array, arrays.get("margin")):
            one["kept"] = RESIDUE
            body.append(_by_place(array.view(np.int32) - _expected(arrays["margin"])))
        else:
            body.append(_by_place(array))
        head.append(one)
    return b"".join([json.dumps(head).encode(), b"\n", *body])


def restored(data: bytes, apart: Callable[[str], bytes], most: int) -> Arrays:
    """Return the arrays of which `reduced` has written this.

    apart: what has been put apart, by its name; most: bytes that they may have together. Raises
    ValueError or KeyError if it is anything else.
    """
    line, _, body = data.partition(b"\n")
    arrays: Arrays = {}
    rest = memoryview(body)
    for one in json.loads(line):
        name, dtype, shape = str(one["name"]), str(one["dtype"]), tuple(one["shape"])
        if dtype not in DTYPES or name in arrays or not name.isidentifier() or name == "file":
            raise ValueError(f"an array {name} of {dtype}")
        if not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"an array of {shape}")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        most -= size
        if most < 0:
            raise ValueError("more than it is said to have")
        if one["kept"] == APART:
            flat = np.frombuffer(apart(str(one["under"])), dtype)
        else:
            flat, rest = _from_places(rest[:size], dtype), rest[size:]
            if one["kept"] == RESIDUE:
                flat = (flat.view(np.int32) + _expected(arrays["margin"])).view(np.float32)
        arrays[name] = flat.reshape(shape)
    if rest:
        raise ValueError("more than its arrays")
    return arrays


def name_apart(data: bytes) -> str:
    """Return the name under which bytes are put apart."""
    return sha256(data).hexdigest()[:32]


def _by_place(array: NDArray[Any]) -> bytes:
    """Return first bytes, then second ones and so on: signs and exponents alike stand together."""
    return np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.itemsize).T.tobytes()


def _from_places(data: memoryview, dtype: str) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    return np.frombuffer(np.frombuffer(data, np.uint8).reshape(size, -1).T.tobytes(), dtype)


def _beside_margin(confidence: NDArray[Any], margin: NDArray[Any] | None) -> bool:
    """Say whether a confidence can be kept as what its margin lacks of it."""
    if margin is None or margin.shape != confidence.shape:
        return False
    return confidence.dtype == np.float32 and margin.dtype == np.float32


def _expected(margin: NDArray[Any]) -> NDArray[np.int32]:
    """Return the bits of 1 / (1 + exp(-margin)), to some units in the last place.

    By sums, products and quotients alone, which come out alike on every machine; exp does not.
    """
    wide = margin.astype(np.float64)
    below = np.clip(-np.abs(np.nan_to_num(wide)), -200.0, 0.0)
    doublings = np.rint(below / math.log(2))
    rest = below - doublings * math.log(2)
    power = np.ones_like(rest)
    for place in range(16, 0, -1):
        power = 1 + rest / place * power
    power = np.ldexp(power, doublings.astype(np.int32))
    share = np.where(wide < 0, power / (1 + power), 1 / (1 + power))
    return share.astype(np.float32).view(np.int32)
