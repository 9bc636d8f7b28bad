"""Names beside points, in the place of a legend, where there is room for all of them."""

from itertools import product

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


def name_points(ax: Axes) -> bool:
    """Write each method's name beside its point; write nothing and say so if one has no room.

    Places of axes must be known.
    """
    marks = [line for line in ax.lines if _is_mark(line)]
    scale = 72 / ax.figure.dpi
    centres = [scale * ax.transData.transform(_at(mark)) for mark in marks]
    room = Bbox(scale * ax.get_window_extent().get_points())
    taken = [Bbox([at - MARK, at + MARK]) for at in map(np.asarray, centres)]
    bars = [line for line in ax.lines if not _is_mark(line) and len(line.get_path())]
    lines = [Path(scale * bar.get_transform().transform(bar.get_xydata())) for bar in bars]
    names: list[tuple[Line2D, tuple[int, int], float]] = []
    leaders: list[Path] = []
    # Those with the nearest neighbours have the least choice.
    at = np.array(centres)
    near = np.sort(np.linalg.norm(at[:, None] - at, axis=-1), axis=1)[:, 1:3].sum(axis=1)
    for place in np.argsort(near, kind="stable"):
        size = np.array([LETTER * len(str(marks[place].get_label())), HIGH])
        others = [box for number, box in enumerate(taken) if number != place]
        others_at = np.delete(at, place, axis=0)
        fitting: tuple[float, Bbox, Path, tuple[int, int], float] | None = None
        for step, side in product(range(len(FARTHER)), SIDES):
            times = FARTHER[step]
            nearest = centres[place] + AWAY * times * np.array(side)
            middle = nearest + np.array(side) * size / 2
            box = Bbox([middle - size / 2, middle + size / 2])
            line = Path([centres[place], nearest])
            inside = bool(np.all(room.min <= box.min) and np.all(box.max <= room.max))
            if not inside or any(box.overlaps(other) for other in others):
                continue
            if any(other.intersects_bbox(box, filled=False) for other in leaders):
                continue
            if times > 1 and any(line.intersects_bbox(other, filled=False) for other in others):
                continue
            crossed = sum(other.intersects_bbox(box, filled=False) for other in lines)
            own, nearest_other = _away(box, at[place]), _away(box, others_at).min(initial=np.inf)
            cost = 0.75 * step + crossed + 3.0 * bool(times == 1 and nearest_other < own)
            if fitting is None or cost < fitting[0]:
                fitting = cost, box, line, side, times
        if fitting is None:
            return False
        _, box, line, side, times = fitting
        taken.append(box)
        leaders += [line] if times > 1 else []
        names.append((marks[place], side, times))
    for mark, side, times in names:
        colour = mark.get_color()
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        text = ax.annotate(
            str(mark.get_label()),
            _at(mark),
            (AWAY * times * side[0], AWAY * times * side[1]),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[side[0]],
            va={1: "bottom", 0: "center", -1: "top"}[side[1]],
            fontsize=SIZE,
            color=colour,
            arrowprops=arrow if times > 1 else None,
        )
        text.set_gid(mark.get_gid())
    return True


def _away(box: Bbox, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points are from a box; points: [..., 2]."""
    apart = points - np.clip(points, box.min, box.max)
    return np.hypot(apart[..., 0], apart[..., 1])


def _is_mark(line: Line2D) -> bool:
    gid = str(line.get_gid() or "")
    return gid.startswith(METHOD) and len(np.atleast_1d(line.get_xdata())) == 1


def _at(mark: Line2D) -> tuple[float, float]:
    return float(np.ravel(mark.get_xdata())[0]), float(np.ravel(mark.get_ydata())[0])
