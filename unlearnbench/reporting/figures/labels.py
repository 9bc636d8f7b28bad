"""Names beside points, in the place of a legend, where there is room for all of them."""

from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from unlearnbench.reporting.figures.drawing import METHOD

SIZE, LETTER, HIGH = 6.5, 4.1, 7.0
"""Points: of the text, and about how wide a letter of it is and how high a line."""
AWAY, MARK = 4.5, 3.2
"""Points from a mark's centre to its name, and half the size of a mark."""
SIDES = [*product((1, -1), (1, -1)), (1, 0), (-1, 0), (0, 1), (0, -1)]
"""Where a name may stand, seen from its mark, the best first: beside its spreads."""


def name_points(ax: Axes) -> bool:
    """Write each method's name beside its point; write nothing and say so if one has no room.

    Places of axes must be known.
    """
    marks = [line for line in ax.lines if _is_mark(line)]
    scale = 72 / ax.figure.dpi
    centres = [scale * ax.transData.transform(_at(mark)) for mark in marks]
    room = Bbox(scale * ax.get_window_extent().get_points())
    taken = [Bbox([at - MARK, at + MARK]) for at in map(np.asarray, centres)]
    names: list[tuple[Line2D, tuple[int, int]]] = []
    # Those with the nearest neighbours have the least choice.
    at = np.array(centres)
    near = np.sort(np.linalg.norm(at[:, None] - at, axis=-1), axis=1)[:, 1:3].sum(axis=1)
    for place in np.argsort(near, kind="stable"):
        size = np.array([LETTER * len(str(marks[place].get_label())), HIGH])
        others = [box for number, box in enumerate(taken) if number != place]
        for side in SIDES:
            middle = centres[place] + np.array(side) * (AWAY + size / 2 * np.abs(side))
            box = Bbox([middle - size / 2, middle + size / 2])
            inside = bool(np.all(room.min <= box.min) and np.all(box.max <= room.max))
            if inside and not any(box.overlaps(other) for other in others):
                taken.append(box)
                names.append((marks[place], side))
                break
        else:
            return False
    for mark, side in names:
        text = ax.annotate(
            str(mark.get_label()),
            _at(mark),
            (AWAY * side[0], AWAY * side[1]),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[side[0]],
            va={1: "bottom", 0: "center", -1: "top"}[side[1]],
            fontsize=SIZE,
            color=mark.get_color(),
        )
        text.set_gid(mark.get_gid())
    return True


def _is_mark(line: Line2D) -> bool:
    gid = str(line.get_gid() or "")
    return gid.startswith(METHOD) and len(np.atleast_1d(line.get_xdata())) == 1


def _at(mark: Line2D) -> tuple[float, float]:
    return float(np.ravel(mark.get_xdata())[0]), float(np.ravel(mark.get_ydata())[0])
