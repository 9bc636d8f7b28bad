"""What a run leaves, checked before anything is made of it: its record, its arrays, its split.

Whoever made a folder: a record that passes is of the types that this package reads, and so are the
files that it names. What does not pass costs that run alone, and is said in a line.
"""

import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unlearnbench import arrays
from unlearnbench.environment import RESERVED
from unlearnbench.errors import of_value
from unlearnbench.files import LARGEST, UnsoundError, is_plain, parsed, require_plain, unseal
from unlearnbench.planning.plan import Spec

SCHEMA = 3
ANOTHER = "is of another version of unlearnbench"
WEIGHTS, SPLIT, SIGNALS, LOGITS = "weights", "split", "signals.npz", "logits.npz"
PRUNED = "pruned"
"""What a record has in place of `files` for those that were left behind: their checksums."""
EVERY = ("margin", "sm_taylor", "modified_entropy", "correct", "member", "label")
"""Signals that every run has which has any."""
KINDS = {"correct": "b", "member": "b", "label": "i", "subclass": "i"}
"""What numbers signals are, by name; f where none is said."""
CLASSES, MOST_CLASSES = 2**15, 2**24
"""As many as labels could tell apart when records did not say how many there are; and those that
there may be at all."""

SampleCount = Annotated[int, Field(ge=0, le=2**27)]
Side = Annotated[int, Field(ge=1, le=MOST_CLASSES)]
AnyNumber = float | int
RecordWord = Annotated[str, Field(max_length=200)]
Digests = dict[RecordWord, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
Facts = dict[RecordWord, bool | AnyNumber | RecordWord | None]


class _Typed(BaseModel):
    """Hold the types of what is read of a table; what else it says is let be."""

    model_config = ConfigDict(strict=True)


class _Search(_Typed):
    samples: int
    not_flipped: int = Field(alias="not flipped")
    distances: list[float | None]
    radii: list[float]


class _Notes(_Typed):
    warnings: list[str] = Field(default_factory=list)
    search: _Search | None = Field(default=None, alias="adversarial search")


class _Shared(_Typed):
    run: RecordWord
    seconds: AnyNumber
    gradients: int | None


class _Record(_Typed):
    spec: Annotated[Spec, Field(strict=False)]
    files: Digests
    pruned: Digests = Field(default_factory=dict, alias=PRUNED)
    split: str | None
    seconds: dict[RecordWord, AnyNumber]
    gradients: int | None
    trace: list[dict[RecordWord, AnyNumber | None]]
    notes: _Notes
    environment: Facts
    train: SampleCount
    test: SampleCount
    data: RecordWord | None = None
    classes: Side | None = None
    image: Annotated[list[Side], Field(min_length=3, max_length=3)] | None = None
    memory: AnyNumber | None = Field(default=None, alias="peak memory MB")
    shared: _Shared | None = None
    profile: dict[RecordWord, AnyNumber] = Field(default_factory=dict)
    neighbours: AnyNumber | None = None
    reserved: AnyNumber | None = Field(default=None, alias=RESERVED)
    copies: dict[RecordWord, int] = Field(default_factory=dict)
    made_from: dict[RecordWord, RecordWord | None] = Field(default_factory=dict, alias="made from")
    source: RecordWord | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads_no_file(cls, raw: Any) -> Any:
        """Refuse weights that are named without their digest, which would be read to find it.

        And a spec that leaves to its defaults what is always written.
        """
        match raw:
            case {"spec": {"method": _, "settings": _, "split": _, "access": _, "seed": _}}:
                pass
            case _:
                raise ValueError("its spec is not whole")
        match raw:
            case {"spec": {"recipe": {"pretrained": start}}} if start is not None:
                if not (isinstance(start, dict) and start.get("digest")):
                    raise ValueError("it names a file of weights without its digest")
        return raw

    @model_validator(mode="after")
    def _of_one_run(self) -> Self:
        if self.split != self.spec.split_id:
            raise ValueError("its forget set is not the one of its spec")
        if not self.files.keys() <= {WEIGHTS, SPLIT, SIGNALS, LOGITS}:
            raise ValueError("it names files that no run has")
        if SPLIT in self.files and self.split is None:
            raise ValueError("it names a forget set that it has not")
        return self


def read_record(text: str) -> tuple[dict[str, Any], Spec]:
    """Return a record as it was written, and its spec. Raises UnsoundError if it cannot be one."""
    try:
        record = unseal(text)
    except ValueError as error:  # another version may seal in another way
        why = ANOTHER if _of_another(text) else "is torn or has been edited"
        raise UnsoundError(why) from error
    if not is_plain(text):
        require_plain(record)
    return record, _spec(record)


def _of_another(text: str) -> bool:
    with suppress(UnsoundError):
        content = parsed(text)
        return isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA
    return False


def check_record(record: dict[str, Any]) -> None:
    """Raise UnsoundError unless a record is of the types that are read."""
    require_plain(record)
    _spec(record)


def _spec(record: dict[str, Any]) -> Spec:
    if record.get("schema") != SCHEMA:
        raise UnsoundError(ANOTHER)
    try:
        return _Record.model_validate(record).spec
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][:3]))
        why = f"{where or 'record'}: {of_value(first['msg'])}"
        raise UnsoundError(f"cannot be one ({why})") from error


@dataclass(frozen=True)
class PoolSize:
    """Say how many samples a run's signals are of, by part, and of how many classes at most."""

    train: int
    test: int
    held_out: int
    classes: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """Read it off a record."""
        held_out = record["spec"]["data"].get("held_out", 0)
        return cls(record["train"], record["test"], held_out, record.get("classes") or CLASSES)

    @property
    def count(self) -> int:
        """All of them."""
        return self.train + self.test + self.held_out


def largest(name: str, pool: PoolSize) -> int:
    """Return how many bytes a record's file of this name may have."""
    each = {SIGNALS: 64, SPLIT: 16, LOGITS: 8 * pool.classes}
    return min(LARGEST, pool.count * each[name] + 2**16) if name in each else LARGEST


def check_arrays(name: str, file: arrays.Readable, pool: PoolSize) -> int | None:
    """Return a checksum of the labels of signals; None for other files of a record, by their names.

    Raises UnsoundError where it is not what such a file can be.
    """
    places = arrays.array_places(file)
    count, classes = pool.count, pool.classes
    if name == LOGITS:
        _require(places, ("logits",), {})
        shape = places["logits"].shape
        if len(shape) != 2 or shape[0] != count or not 2 <= shape[1] <= classes:
            raise UnsoundError(f"holds logits {list(shape)} for {count} samples")
    elif name == SPLIT:
        _require(places, ("forget", "earlier"), {"forget": "i", "earlier": "i"})
        if any(len(place.shape) != 1 for place in places.values()):
            raise UnsoundError("holds other than lists of samples")
        _require_within(arrays.load_arrays(file, places), count)
    else:
        _require(places, EVERY, KINDS)
        if any(place.shape != (count,) for place in places.values()):
            raise UnsoundError(f"holds other than one number for each of {count} samples")
        found = arrays.load_arrays(file, places, "label", "subclass")
        _require_within({"label": found["label"]}, classes)
        _require_within(found, MOST_CLASSES)  # subclasses are others, and may be more
        return zlib.crc32(found["label"].data)
    return None


def _require(
    places: Mapping[str, arrays.Place], names: Collection[str], kinds: Mapping[str, str]
) -> None:
    """Raise UnsoundError where arrays are lacking, or of other kinds: f where none is said."""
    for name in names:
        if name not in places:
            raise UnsoundError(f"has no array {name}")
    for name, place in places.items():
        if place.dtype.kind != kinds.get(name, "f"):
            raise UnsoundError(f"holds {place.dtype} as {name}")


def _require_within(indices: arrays.Arrays, end: int) -> None:
    for name, values in indices.items():
        if len(values) and not 0 <= values.min() <= values.max() < end:
            raise UnsoundError(f"holds {name} outside 0 to {end - 1}")
