"""Names beside points, in the place of a legend, where there is room for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from unlearnbench.reporting.figures.drawing import METHOD

SIZE, LETTER, HIGH = 7.0, 4.4, 7.6
"""Points: of the text, and about how wide a letter of it is and how high a line."""
AWAY, MARK = 4.5, 3.2
"""Points from a mark's centre to its name, and half the size of a mark."""
SIDES = [*product((1, -1), (1, -1)), (1, 0), (-1, 0), (0, 1), (0, -1)]
"""Where a name may stand, seen from its mark, the best first: beside its spreads."""
FARTHER = (1, 2, 3.5, 5, 7, 9, 12)
"""How many times as far a name may stand, with a line to its mark from the second on."""
FAR, MISTAKEN = 0.75, 3.0
"""What speaks against the next of these, and against standing nearer to another mark; covering a
line is 1."""


class Spot(NamedTuple):
    """Hold where a name would stand: its box, the line to its mark, and on which side how far."""

    box: Bbox
    line: Path
    side: tuple[int, int]
    times: float


@dataclass
class _Room:
    """Hold what axes have room for, all in points: names may cover no mark and no other name.

    marks: [n, 2]; lines: of spreads and the like, which a name should not cover but may.
    """

    whole: Bbox
    marks: NDArray[np.float64]
    sizes: NDArray[np.float64]
    lines: list[Path]
    taken: dict[int, Spot] = field(default_factory=dict)

    def spots(self, number: int) -> Iterator[tuple[float, Spot]]:
        """Yield where the name of a mark may stand, and how much speaks against it."""
        own, size = self.marks[number], self.sizes[number]
        rest = np.delete(self.marks, number, axis=0)
        others = [*map(_around, rest), *(spot.box for spot in self.taken.values())]
        leaders = [spot.line for spot in self.taken.values() if spot.times > 1]
        for step, side in product(range(len(FARTHER)), SIDES):
            start = own + AWAY * FARTHER[step] * np.array(side)
            middle = start + np.array(side) * size / 2
            spot = Spot(
                Bbox([middle - size / 2, middle + size / 2]),
                Path([own, start]),
                side,
                FARTHER[step],
            )
            if self._free(spot, others, leaders):
                crossed = sum(line.intersects_bbox(spot.box, filled=False) for line in self.lines)
                mistaken = _away(spot.box, rest).min(initial=np.inf) < _away(spot.box, own)
                yield FAR * step + crossed + MISTAKEN * bool(mistaken and step == 0), spot

    def _free(self, spot: Spot, others: Sequence[Bbox], leaders: Sequence[Path]) -> bool:
        box, whole = spot.box, self.whole
        if not (np.all(whole.min <= box.min) and np.all(box.max <= whole.max)):
            return False
        if any(line.intersects_bbox(box, filled=False) for line in leaders):
            return False
        # a line cannot but begin on marks that touch its own
        own = _around(np.asarray(spot.line.vertices)[0])
        apart = [other for other in others if not other.overlaps(own)]
        crossing = spot.times > 1 and any(spot.line.intersects_bbox(one) for one in apart)
        return not crossing and not any(box.overlaps(other) for other in others)


def name_points(ax: Axes) -> bool:
    """Write each method's name beside its point; write nothing and say so if one has no room.

    A name farther off has a line to its point. Places of axes must be known.
    """
    marks = [line for line in ax.lines if _is_mark(line)]
    bars = [line for line in ax.lines if not _is_mark(line) and len(line.get_path())]
    scale = 72 / ax.figure.dpi
    at = np.array([scale * ax.transData.transform(_at(mark)) for mark in marks])
    room = _Room(
        Bbox(scale * ax.get_window_extent().get_points()),
        at,
        np.array([[LETTER * len(str(mark.get_label())), HIGH] for mark in marks]),
        [Path(scale * bar.get_transform().transform(bar.get_xydata())) for bar in bars],
    )
    # Those with the nearest neighbours have the least choice.
    near = np.sort(np.linalg.norm(at[:, None] - at, axis=-1), axis=1)[:, 1:3].sum(axis=1)
    for number in np.argsort(near, kind="stable").tolist():
        _, best = min(room.spots(number), key=itemgetter(0), default=(0.0, None))
        if best is None:
            return False
        room.taken[number] = best
    for number, spot in room.taken.items():
        _write(ax, marks[number], spot)
    return True


def _write(ax: Axes, mark: Line2D, spot: Spot) -> None:
    colour, side = mark.get_color(), spot.side
    arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
    text = ax.annotate(
        str(mark.get_label()),
        _at(mark),
        (AWAY * spot.times * side[0], AWAY * spot.times * side[1]),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[side[0]],
        va={1: "bottom", 0: "center", -1: "top"}[side[1]],
        fontsize=SIZE,
        color=colour,
        arrowprops=arrow if spot.times > 1 else None,
    )
    for part in filter(None, (text, text.arrow_patch)):
        part.set_gid(mark.get_gid())


def _around(mark: NDArray[np.float64]) -> Bbox:
    return Bbox([mark - MARK, mark + MARK])


def _away(box: Bbox, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points are from a box; points: [..., 2]."""
    apart = points - np.clip(points, box.min, box.max)
    return np.hypot(apart[..., 0], apart[..., 1])


def _is_mark(line: Line2D) -> bool:
    gid = str(line.get_gid() or "")
    return gid.startswith(METHOD) and len(np.atleast_1d(line.get_xdata())) == 1


def _at(mark: Line2D) -> tuple[float, float]:
    return float(np.ravel(mark.get_xdata())[0]), float(np.ravel(mark.get_ydata())[0])
