"""Figures of findings: each is a class in a file of this folder, drawn on axes of Matplotlib."""

from unlearnbench.registry import discover
from unlearnbench.reporting.figures.drawing import STYLE
from unlearnbench.reporting.figures.figure import (
    FIGURES,
    Drawing,
    Figure,
    distinct,
    drawings,
    figure,
)

__all__ = ["FIGURES", "STYLE", "Drawing", "Figure", "distinct", "drawings", "figure"]


discover(__name__)
