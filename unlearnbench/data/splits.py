"""Which samples are forgotten, and which ones a reference model is trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_serializer

from unlearnbench.data.prepare import Images, Labels
from unlearnbench.errors import DataError
from unlearnbench.recipe import Strict
from unlearnbench.seeds import seed_for

Index = NDArray[np.int64]

NEIGHBOURS = 10
BLOCK = 1024
"""Samples whose distances to all others are held at a time, and which are compared at a time."""


def by_memorisation(images: Images, labels: Labels) -> Index:
    """Order samples from the least to the most memorised, by a proxy; [n] indices.

    A sample that looks like its class can be learnt from others; one that lies among other classes
    must be remembered (Feldman, arXiv 1906.05271). The proxy is the share of a sample's 10 nearest
    neighbours, by l2 distance of pixels, that carry another label; among equals, the distance to
    the nearest of its own class over that to the nearest of another. Squared distances of bytes are
    whole numbers that float64 holds exactly, so the order is the same on every machine. Images stay
    bytes but for those that are just compared: eight times as large, they may not fit into memory.
    """
    flat = images.reshape(len(images), -1)
    parts = [slice(start, start + BLOCK) for start in range(0, len(flat), BLOCK)]
    squares = np.concatenate([(flat[part].astype(np.float64) ** 2).sum(1) for part in parts])
    strangers, ratios = np.empty(len(flat)), np.empty(len(flat))
    few = min(NEIGHBOURS, len(flat) - 1)
    for start in range(0, len(flat), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(flat)))
        own, far = 2 * flat[rows].astype(np.float64), squares[rows, None] + squares
        for part in parts:
            far[:, part] -= own @ flat[part].T.astype(np.float64)
        far[np.arange(len(rows)), rows] = np.inf
        other = labels[rows, None] != labels
        reach = np.partition(far, few - 1, axis=1)[:, few - 1, None]
        near = far <= reach  # ties at the end are all counted
        strangers[rows] = (near & other).sum(1) / near.sum(1)
        own = np.where(other, np.inf, far).min(1)
        ratios[rows] = np.sqrt(own / np.maximum(np.where(other, far, np.inf).min(1), 1))
    return np.lexsort((ratios, strangers))


SplitKind = Literal["random", "class", "subclass", "most-memorised", "least-memorised", "list"]
"""Of forget sets: how their samples are found."""


class Split(Strict):
    """Describe one forget set.

    random: AMUN's draw, RandomState(seed).choice(n, k, replace=False), cut into `requests` parts of
    `fraction` each; class: `fraction` of one class a request, beginning with class `target`, or
    with the seed modulo the number of classes; subclass: the same of one of the classes that
    `data.superclasses` merges; most-memorised, least-memorised: drawn like random from the twice as
    many samples that come last or first in `by_memorisation`; list: those that a list names;
    shadow: one of `requests` worlds for U-LiRA, in which training set and forget set are drawn
    from the whole pool; `audited` is the kind of forget set that it stands for. swap: as many test
    samples take the place of the forget set.
    """

    later: ClassVar[dict[str, Any]] = {"audited": "random", "listed": None}

    kind: SplitKind | Literal["shadow"] = "random"
    audited: SplitKind = "random"
    fraction: float = Field(gt=0, le=1)
    seed: int = Field(ge=0)
    target: int | None = Field(default=None, ge=0)
    requests: int = Field(default=1, ge=1)
    request: int = Field(default=1, ge=1, description="which of them, from 1")
    swap: bool = False
    listed: str | None = Field(default=None, description="digest of the list, see `lists`")

    @field_serializer("target")
    def _of_classes_only(self, target: int | None) -> int | None:
        of_class = {self.kind, self.audited} & {"class", "subclass"}
        return 0 if target is None and not of_class else target


@dataclass(frozen=True)
class Indices:
    """Say what is forgotten now, was forgotten by earlier requests, and is retained.

    Indices into the pool, whose first samples are the training set.
    """

    forget: Index
    earlier: Index
    retain: Index


def cut(
    split: Split,
    labels: Labels,
    train: int,
    *,
    subclasses: Labels | None = None,
    order: Callable[[int], Index] | None = None,
    listed: Index | None = None,
) -> Indices:
    """Draw a forget set from a pool with these labels, its first `train` being the training set.

    subclasses: what the labels of the pool were before they were merged; order: returns that many
    samples, the first of the pool, from the least to the most memorised; listed: where the samples
    of a list are in the pool. Raises DataError if the set is empty or leaves nothing.
    """
    of = labels
    if subclasses is not None and "subclass" in (split.kind, split.audited):
        of = subclasses
    if split.kind == "shadow":
        return _shadow(split, of, train, order)
    if split.kind == "list":
        parts = [np.empty(0, dtype=np.int64) if listed is None else listed]
    elif split.kind in ("class", "subclass"):
        parts = [_of_class(one, split, of[:train]) for one in _classes(split, of)]
    else:
        size = round(split.fraction * train)
        total = size * split.requests
        if size == 0 or total >= train:
            raise DataError(
                f"{split.requests} x {split.fraction:g} of {train} samples is not a forget set.",
                "Some samples must be forgotten and some must be left.",
            )
        candidates = np.arange(train)
        if split.kind != "random" and order is not None:  # twice as many at one end
            end = slice(2 * total) if split.kind == "least-memorised" else slice(-2 * total, None)
            candidates = order(train)[end]
        drawn = np.random.RandomState(split.seed).choice(candidates, total, replace=False)
        parts = list(drawn.reshape(split.requests, size))
    forget = np.sort(parts[split.request - 1])
    earlier = np.sort(np.concatenate([*parts[: split.request - 1], forget[:0]]))
    retain = np.setdiff1d(np.arange(train), np.concatenate((forget, earlier)))
    if not len(retain):
        raise DataError(
            f"Request {split.request} of {split.requests} leaves no sample of {train}.",
            "Some samples must be left: take fewer requests, or smaller fractions.",
        )
    require_partition(Indices(forget, earlier, retain), train)
    if split.swap:
        others = len(labels) - train
        if len(forget) > others:
            raise DataError(
                f"{len(forget)} forgotten samples cannot change places with {others} test samples.",
                "Set swap = false, or forget fewer.",
            )
        draw = np.random.default_rng(seed_for(split.seed, "swap"))
        forget = train + np.sort(draw.choice(others, len(forget), replace=False))
    return Indices(forget, earlier, retain)


def _classes(split: Split, labels: Labels) -> list[int]:
    """Return the class of each request."""
    there = int(labels.max()) + 1
    if split.requests > there:
        raise DataError(
            f"{split.requests} requests of a {split.kind} each are too many: there are {there}.",
            "See forget.requests.",
        )
    wanted = np.arange(split.requests) + _first_class(split, labels)
    if split.target is None:
        wanted %= there
    return [int(one) for one in wanted]


def _first_class(split: Split, labels: Labels) -> int:
    return split.seed % (int(labels.max()) + 1) if split.target is None else split.target


def _of_class(target: int, split: Split, labels: Labels) -> Index:
    members = np.flatnonzero(labels == target)
    if not len(members):
        raise DataError(f"There is no class {target} in the training set.", "See forget.target.")
    size = max(1, round(split.fraction * len(members)))
    return np.random.RandomState(split.seed).choice(members, size, replace=False)


def _shadow(
    split: Split, labels: Labels, train: int, order: Callable[[int], Index] | None
) -> Indices:
    """Draw one of U-LiRA's worlds.

    Twice as many samples as are forgotten are audited, the same ones in all worlds. A world trains
    on half of them and forgets that half; the other half it never sees. Worlds come in pairs with
    the halves exchanged, so that every audited sample is forgotten in half of the worlds and unseen
    in the others, and a model retrained without its forget set cannot tell which, whatever the
    audited samples are like.
    """
    drawn = np.random.default_rng(seed_for(split.seed, "audited")).permutation(len(labels))
    audited = _audited(split, drawn, labels, train, order)
    rest = drawn[~np.isin(drawn, audited)]
    pair, side = divmod(split.request - 1, 2)
    halves = np.random.default_rng(seed_for(split.seed, "shadow", pair)).permutation(audited)
    middle = len(audited) // 2
    forget = halves[:middle] if side == 0 else halves[middle:]
    kept = train - len(forget)
    if middle == 0 or len(rest) < kept:
        raise DataError(
            f"U-LiRA cannot audit {len(audited)} of {len(labels)} samples and train on {kept}"
            " others.",
            "Forget fewer, or take more test samples.",
        )
    draw = np.random.default_rng(seed_for(split.seed, "shadow retain", split.request))
    retain = draw.permutation(rest)[:kept]
    return Indices(np.sort(forget), forget[:0], np.sort(retain))


def _audited(
    split: Split,
    drawn: Index,
    labels: Labels,
    train: int,
    order: Callable[[int], Index] | None,
) -> Index:
    """Choose from the whole pool, drawn in some order, what all worlds of U-LiRA audit.

    Of a class as large a share as is forgotten of it. Else twice as many samples as are forgotten:
    the first that were drawn, or those at one end of the pool's order, of which a world forgets a
    random half, as other forget sets of that kind are a random half of such an end.
    """
    pool, size = len(drawn), 2 * round(split.fraction * train)
    if split.audited in ("class", "subclass"):
        members: Index = drawn[labels[drawn] == _first_class(split, labels)]
        return members[: round(split.fraction * len(members))]
    if split.audited == "random" or order is None:
        return drawn[:size]
    ordered = order(pool)
    return ordered[:size] if split.audited == "least-memorised" else ordered[pool - size :]


def require_partition(indices: Indices, n: int) -> None:
    """Make sure the three parts are disjoint and are the training set, no more and no less."""
    together = np.sort(np.concatenate((indices.forget, indices.earlier, indices.retain)))
    if not np.array_equal(together, np.arange(n)):
        raise AssertionError("forget, earlier and retain sets do not partition the training set")


def reference_member(n: int, place: int, seed: int) -> NDArray[np.bool_]:
    """Return which of the pooled n samples the reference model at a place is trained on, [n].

    Models 0 and 1, 2 and 3, ... are trained on the two halves of a cut of their own, as in RMIA's
    code: every model has half of the samples (of an odd number, one less or one more), and every
    sample is in exactly half of the models, however many pairs there are. Forget and test samples
    alike: references trained on halves of the training set alone would put an exactly retrained
    model's AUC far below 50. More references leave the first of them as they are.
    """
    pair, second = divmod(place, 2)
    order = np.random.default_rng(seed_for(seed, "reference halves", pair)).permutation(n)
    member = np.full(n, bool(second))
    member[order[: n // 2]] ^= True
    return member


def reference_members(n: int, count: int, seed: int) -> NDArray[np.bool_]:
    """Return the same of the first so many reference models, [count, n]."""
    return np.stack([reference_member(n, place, seed) for place in range(count)])
