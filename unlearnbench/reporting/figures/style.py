"""How figures look: one colour and one shape a method, from its name alone; widths of a page."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from unlearnbench.planning.plan import HELD_OUT, ORIGINAL, RETRAIN

STYLE = Path(__file__).with_name("unlearnbench.mplstyle")
"""The style sheet of all figures, for `plt.style.use`."""
COLUMN, PAGE = 3.35, 7.0
"""Width of a column and of the text of a two-column article, in inches."""
SIZE = 4.4
GREY, SHADE = "#777777", "#888888"


class Look(NamedTuple):
    """Hold a colour, and a shape as Matplotlib takes it."""

    colour: str
    marker: Any

    @property
    def size(self) -> float:
        """How large the shape is drawn, in points."""
        return SIZE * SIZES.get(self.marker, 1.0)


REFERENCES = {
    ORIGINAL: Look("#000000", "s"),
    RETRAIN: Look(GREY, "P"),
    HELD_OUT: Look("#AAAAAA", "H"),
}
"""What methods are seen against; no method borrows its looks."""
COLOURS = (
    *("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"),
    *("#B8A600", "#6655CC", "#AA4466", "#A0622D"),
)
"""Okabe and Ito's, told apart by colour-blind readers, and four beside them."""
BOW = ((-1, -1), (1, -1), (-1, 1), (1, 1), (-1, -1))
BAR = ((-0.45, -1), (0.45, -1), (0.45, 1), (-0.45, 1), (-0.45, -1))
MARKERS = ("o", "v", "^", "<", ">", "p", "*", "D", "d", "X", (4, 1, 0), BOW, BAR)
SIZES = {"*": 1.5, (4, 1, 0): 1.7, "D": 0.85, "d": 1.2, "p": 1.15, "X": 1.1, "s": 0.9}
"""By how much a shape is drawn larger, to look as large as others."""
SALT = "4429"
"""Chosen so that methods that ship are told apart."""


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Give each label its colour and shape: by its name, whatever stands beside it.

    Where two names come to the same look, the second in alphabetical order takes the next shape.
    """
    chosen: dict[str, Look] = {}
    for label in sorted(set(labels)):
        look = REFERENCES.get(label) or _look(label)
        for _ in MARKERS:
            if look not in chosen.values():
                break
            following = (MARKERS.index(look.marker) + 1) % len(MARKERS)
            look = look._replace(marker=MARKERS[following])
        chosen[label] = look
    return chosen


def _look(label: str) -> Look:
    number = int.from_bytes(sha256(f"{SALT}:{label}".encode()).digest()[:8])
    shape, hue = divmod(number, len(COLOURS))
    return Look(COLOURS[hue], MARKERS[shape % len(MARKERS)])
