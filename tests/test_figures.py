"""Figures: their data, what they draw on given axes, their SVG, and how methods look."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.text import Text

import unlearnbench as ub
from docs.builder.markdown import ROOT
from tests.hand import by_hand
from unlearnbench import registry
from unlearnbench.errors import UserError
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.registry import discover
from unlearnbench.reporting.figures import (
    FIGURES,
    STYLE,
    Drawing,
    distinct,
    drawings,
    export,
    figure,
)
from unlearnbench.reporting.figures.drawing import (
    COLOURS,
    LEADING,
    OTHER,
    REFERENCES,
    SHADED,
    Gathered,
    looks,
)
from unlearnbench.reporting.figures.export import page_svg, tips, write_data, write_print
from unlearnbench.reporting.figures.figure import TALLEST
from unlearnbench.reporting.figures.ranking import CriticalDifference, RankMap
from unlearnbench.reporting.figures.tradeoffs import beyond, pareto
from unlearnbench.reporting.figures.verdicts import CELLS, LOOKS, UNRANKED, VerdictMap, Verdicts
from unlearnbench.verdicts.audit import ALL, WORDS
from unlearnbench.verdicts.inference import LEVEL

DRAWN = [
    *("verdicts", "verdict-map", "gaps", "forgetting-utility", "time-gap", "confidences", "roc"),
    *("auc-references", "classes", "memorisation"),
]
EXAMPLE = '''
from unlearnbench.reporting.figures import Figure, figure

@figure
class Example(Figure):
    """Draw seconds."""

    name, title, caption = "example", "Example", "Seconds a run."

    def data(self, subject):
        """Return columns method and seconds."""
        return subject.runs.rename(columns={"label": "method"})[["method", "seconds"]]

    def draw(self, ax, data, subject):
        """Draw it."""
        ax.plot(data["seconds"])
'''


@pytest.fixture
def condition() -> Condition:
    return by_hand().conditions[0]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def searched(found: Findings, label: str, search: dict[str, object]) -> None:
    for run in found.runs.loc[found.runs["label"] == label, "run"]:
        found.details[run] = found.details[run] | {"search": {"samples": 10} | search}


@pytest.mark.slow
def test_figures_come_in_the_order_of_the_page(condition: Condition) -> None:
    drawn = drawings(condition)
    assert [drawing.name for drawing in drawn] == [f"{name}-full-10-r1" for name in DRAWN]
    for drawing in drawn:
        assert drawing.data is not None and "my_method" in set(drawing.data["method"])
        assert "do-nothing" not in set(drawing.data["method"]), "controls have a table"
        width, height = drawing.canvas.get_size_inches()
        texts = [one for one in drawing.canvas.findobj(Text) if one.get_text()]
        assert min(float(text.get_fontsize()) for text in texts) >= 7, "read in print"
        assert width == (6.75 if drawing.figure.wide else 3.25) and 1 < height <= TALLEST


def test_a_figure_is_drawn_on_given_axes(condition: Condition) -> None:
    with plt.style.context(STYLE):
        canvas, ax = plt.subplots()
    assert Drawing(FIGURES["gaps"], condition)(ax=ax, metric="ft_auc") is ax
    assert ax.get_title() == "FT AUC" and canvas.axes == [ax]
    assert ax.get_xlabel() == "Difference from retraining (points)"
    shapes = {str(line.get_label()): line for line in ax.lines if line.get_marker() != "None"}
    assert list(shapes) == condition.labels
    assert shapes["my_method"].get_color() == looks(condition.labels)["my_method"].colour
    places = {name: float(np.ravel(line.get_xdata())[0]) for name, line in shapes.items()}
    summary = condition.summary.set_index(["label", "metric"])["gap"]
    assert places["my_method"] == pytest.approx(summary["my_method", "ft_auc"])


def test_a_figure_is_drawn_on_axes_of_its_own(condition: Condition) -> None:
    several: Any = Drawing(FIGURES["gaps"], condition)()
    assert several.ndim == 1 and list(several) == several[0].figure.axes
    assert isinstance(Drawing(FIGURES["gaps"], condition)(metric="ft_auc"), Axes)
    assert isinstance(Drawing(FIGURES["roc"], condition)(method=["retrain", "leaky"]), Axes)


def test_a_wrong_choice_says_what_there_is(condition: Condition) -> None:
    _, ax = plt.subplots()
    with pytest.raises(UserError, match=r"several panels. Choose one by metric=: forget_accuracy"):
        Drawing(FIGURES["gaps"], condition)(ax)
    with pytest.raises(UserError, match=r"Unknown metric 'ft_acu'. Did you mean 'ft_auc'\?"):
        Drawing(FIGURES["gaps"], condition)(ax, metric="ft_acu")
    with pytest.raises(UserError, match=r"Unknown column 'metrics'. Did you mean 'metric'\?"):
        Drawing(FIGURES["gaps"], condition)(ax, metrics="ft_auc")
    with pytest.raises(UserError, match="There is nothing for the figure 'final-radii'"):
        Drawing(FIGURES["final-radii"], condition)(ax)


def test_a_file_dropped_in_is_a_figure(
    condition: Condition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import unlearnbench.reporting.figures as room

    (tmp_path / "example.py").write_text(EXAMPLE)
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    try:
        discover(room.__name__)
        assert list(FIGURES)[-1] == "example"
        assert drawings(condition)[-1].canvas.axes
        with pytest.raises(UserError, match="Two figures are called 'example'"):
            figure(type(FIGURES["example"]))
    finally:
        FIGURES.pop("example", None)
        sys.modules.pop("unlearnbench.reporting.figures.example", None)


@pytest.mark.slow
def test_svg_has_a_group_a_method_and_the_same_bytes(condition: Condition) -> None:
    ids: list[str] = []
    for name in DRAWN:
        text = page_svg(Drawing(FIGURES[name], condition, condition.suffix))
        root = ElementTree.fromstring(text)
        assert {part.get("data-method") for part in root.iter()} >= {"my_method", "leaky"}
        assert root.get("role") == "img" and FIGURES[name].caption in str(root.get("aria-label"))
        assert "#000000" not in text and "<style" not in text and "font-family:" not in text
        ids += [str(part.get("id")) for part in root.iter() if part.get("id")]
        again = by_hand().conditions[0]
        assert page_svg(Drawing(FIGURES[name], again, again.suffix)) == text
        for link in re.findall(r'(?:href="#|url\(#)([^")]+)', text):
            assert link in ids
    assert len(set(ids)) == len(ids)


def test_text_in_svg_is_text_as_it_is(condition: Condition) -> None:
    svg = ElementTree.fromstring(page_svg(Drawing(FIGURES["confidences"], condition)))
    written = [part.text for part in svg.iter() if part.tag.endswith("text")]
    assert "0.999" in written and "my_method" in written


def test_hovering_says_values_where_they_are(condition: Condition) -> None:
    drawing = Drawing(FIGURES["forgetting-utility"], condition)
    told = {tip["method"]: tip for tip in tips(drawing)}
    ((x, y, text),) = told["my_method"]["points"]
    assert text == "52.50 ±0.58; 94.00 ±0.00 (n = 4)" and told["my_method"]["title"] == "my_method"
    root = ElementTree.fromstring(page_svg(drawing))
    width, height = (float(size) for size in str(root.get("viewBox")).split()[2:])
    assert 0 < x < width and 0 < y < height
    shapes = [
        (float(str(part.get("x"))), float(str(part.get("y"))))
        for group in root.iter()
        if group.get("data-method") == "my_method"
        for part in group.iter()
        if part.tag.endswith("use")
    ]
    assert any(abs(x - at_x) < 0.1 and abs(y - at_y) < 0.1 for at_x, at_y in shapes)


@pytest.mark.parametrize(
    "few", [pytest.param(0, marks=pytest.mark.slow, id="in processes"), pytest.param(20, id="here")]
)
def test_figures_are_written_as_csv_pdf_and_png(
    condition: Condition, tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FEW", few)
    drawn = [Drawing(FIGURES[name], condition) for name in ("roc", "classes")]
    write_data(drawn, tmp_path)
    write_print(drawn, tmp_path)
    frame = pd.read_csv(tmp_path / "roc.csv")
    assert list(frame) == ["method", "fpr", "tpr", "tpr_std"] and frame["tpr"].max() == 100
    for name in ("roc", "classes"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"/FontFile2" in (tmp_path / f"{name}.pdf").read_bytes(), "fonts are embedded"


def test_ranks_are_drawn() -> None:
    ranks = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0], "c": [3.0, 3.0]}, index=["x", "y"])
    shown = Gathered(ranks, ["a", "b", "c"], {"a": "A"})
    drawing = Drawing(RankMap(2), shown)
    assert [text.get_text() for text in drawing.canvas.axes[0].texts] == list("123213")
    means = pd.DataFrame({"method": ["a", "b", "c"], "rank": [1.5, 1.5, 3.0]})
    drawing = Drawing(CriticalDifference([(1.5, 3.0)], 2.0), Gathered(means, list("abc"), {}))
    assert "less than 2.00 apart" in drawing.figure.caption and "data-method" in page_svg(drawing)


def test_pareto_line_has_what_nothing_beats() -> None:
    points = pareto([1.0, 0.3, 0.3, 0.02, 0.5], [0.5, 3.0, 3.5, 7.0, 4.0])
    assert points == [(0.02, 7.0), (0.3, 3.0), (1.0, 0.5)]


def test_what_lies_beyond_the_axes_is_marked_at_their_edge() -> None:
    seen = ((0.0, 10.0), (0.0, 10.0))
    assert beyond((5.0, 5.0), seen) == ((5.0, 5.0), "")
    (x, y), arrow = beyond((5.0, -3.0), seen)
    assert x == 5 and 0 < y < 1 and arrow == "↓"
    (x, y), arrow = beyond((12.0, 11.0), seen)
    assert 9 < x < 10 and 9 < y < 10 and arrow == "↗"


def test_a_method_looks_the_same_whatever_stands_beside_it() -> None:
    shipped_ones = sorted(registry.find("methods"))
    together = looks([*shipped_ones, "original", "retrain", "held-out retrain"])
    assert len(set(together.values())) == len(together), "all are told apart"
    for name in shipped_ones:
        assert looks([name])[name] == together[name]
    many = [f"method {number}" for number in range(60)]
    assert len(set(looks(many).values())) == 60, "the second of two alike takes another shape"
    assert looks(many) == looks(reversed(many))


def test_the_best_methods_share_neither_colour_nor_shape() -> None:
    labels = sorted(set(registry.find("methods")) - set(REFERENCES))
    for start in range(len(labels)):
        leading = (labels + labels)[start : start + LEADING]
        chosen = looks([*labels, *REFERENCES], leading)
        assert len({chosen[label].colour for label in leading}) == LEADING
        assert len({chosen[label].marker for label in leading}) == LEADING
        assert chosen[leading[0]] == looks(leading[:1])[leading[0]], "the best keeps its own"
        assert len(set(chosen.values())) == len(chosen)


def test_verdicts_are_drawn_best_first_and_what_is_not_ranked_sets_no_axis(
    condition: Condition,
) -> None:
    figure = Verdicts()
    data = figure.data(condition)
    assert data is not None
    first = data[data["audit"] == condition.benchmark.headline].set_index("method")
    assert list(first.index)[:2] == ["original", "held-out retrain"]
    words = first["verdict"].iloc[2:]
    assert list(words) == sorted(words, key=[*WORDS, UNRANKED].index)
    found = condition.audits[condition.benchmark.headline]["my_method"]
    row = first.loc["my_method"]
    assert (row["gap"], row["low"], row["high"]) == (found.gap.value, *found.gap.interval())
    assert row["margin"] == condition.margins(condition.benchmark.headline)[0]
    legend = Drawing(figure, condition).canvas.legends[0]
    shown = {text.get_text() for text in legend.get_texts()}
    assert shown == {*data["verdict"], "margin: small enough"}
    _, ax = plt.subplots()
    Drawing(figure, condition)(ax, audit="rmia")
    restyled = ax.legend()
    assert {text.get_text() for text in restyled.get_texts()} == shown

    far = first.reset_index().assign(audit="rmia")
    far.loc[far["method"] == "streisand", ["gap", "low", "high"]] = -4000.0, -4100.0, -3900.0
    assert first.loc["streisand", "verdict"] == UNRANKED
    ax = plt.figure().subplots()
    figure.draw(ax, far, condition)
    assert ax.get_xlim()[0] > -200, "it is drawn as an arrow at the edge"
    assert any(line.get_marker() == "<" for line in ax.lines)


def test_the_map_says_what_each_audit_finds(condition: Condition) -> None:
    (drawing,) = [one for one in drawings(condition) if one.figure.name == "verdict-map"]
    data, (ax,) = drawing.known, drawing.canvas.axes
    cells = np.asarray(ax.collections[0].get_array()).reshape(data["method"].nunique(), -1)
    audits = list(data["audit"].unique())
    labels = list(data["method"].unique())
    for row in data.to_dict("records"):
        place = labels.index(row["method"]), audits.index(row["audit"])
        assert list(CELLS)[int(cells[place])] == row["verdict"]
    numbers = [text for text in ax.texts if text.get_gid()]
    assert len(numbers) == len(data)
    assert not any(text.get_text() == "-0" for text in numbers)
    shown = {text.get_text() for text in drawing.canvas.legends[0].get_texts()}
    assert shown == set(data["verdict"]), "only what appears"


def test_cells_are_hidden_with_their_method(condition: Condition) -> None:
    class Gappy(VerdictMap):
        """Leave out what one audit says of one method."""

        def data(self, subject: Condition) -> pd.DataFrame | None:
            """Return all but the last row."""
            return super().data(subject).iloc[:-1]  # type: ignore[union-attr]

    one = Drawing(Gappy(), condition)
    root = ElementTree.fromstring(page_svg(one))
    owners = [part.get("data-method") for part in root.iter() if part.tag.endswith("path")]
    audits = one.known["audit"].nunique()
    for method, own in one.known.groupby("method"):
        assert owners.count(str(method)) in (len(own), audits), method


@pytest.mark.parametrize("benchmark", ["digits", "fashion-mnist"])
def test_the_map_says_what_the_tables_say(benchmark: str) -> None:
    condition = ub.load(ROOT / "results" / f"{benchmark}@epyc-2").condition()
    data = FIGURES["verdict-map"].data(distinct(condition))
    assert data is not None
    assert set(data["audit"]) == set(condition.audits) - {ALL}, "none is left out"
    rows = [*condition.methods, "original", "held-out retrain"]
    for audit, label, _, verdict, _ in data.itertuples(index=False):
        found = condition.audits[audit][label]
        assert label in rows and verdict == found.word
        if label in condition.methods:
            assert (verdict == "different") == (found.p_all < LEVEL)


Colour = str | tuple[float, ...]


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours as WCAG 2.2 has it."""

    def luminance(colour: Colour) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (to_rgb(colour) if isinstance(colour, str) else colour)
        ]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_marks_stand_out_on_both_themes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    text = (files("unlearnbench.reporting") / "pages" / "page.css").read_text(encoding="utf-8")
    grounds = re.findall(r"--ground: (#\w{6})", text)[:2]
    inks = re.findall(r"--ink: (#\w{6})", text)[:2]
    assert len(set(grounds)) == len(set(inks)) == 2
    bands = [covered(ground, SHADED["facecolor"]) for ground in grounds]
    others = [look.colour for label, look in REFERENCES.items() if label != "original"]
    for colour in [*COLOURS, OTHER.colour, *others, *(look.colour for look in LOOKS.values())]:
        assert min(contrast(colour, ground) for ground in [*grounds, *bands]) >= 3, colour
    for ground, ink in zip(grounds, inks, strict=True):
        for word, (colour, opacity) in CELLS.items():
            number = "white" if word == "different" else ink
            assert contrast(covered(ground, (colour, opacity)), number) >= 4.5, word


def covered(ground: str, colour: tuple[str, float]) -> tuple[float, ...]:
    """Return what a colour with an opacity looks like on a ground."""
    over, opacity = np.array(to_rgb(colour[0])), colour[1]
    return tuple(opacity * over + (1 - opacity) * np.array(to_rgb(ground)))


def test_verdicts_of_the_map_differ_without_colours() -> None:
    greys = sorted(np.dot(covered("#ffffff", cell), [0.3, 0.59, 0.11]) for cell in CELLS.values())
    assert min(np.diff(greys)) > 0.15


def test_curves_over_requests_come_with_the_last_one() -> None:
    found = by_hand()
    after = found.runs.assign(request=2, test_accuracy=found.runs["test_accuracy"] - 1)
    forget = found.benchmark.forget.model_copy(update={"requests": 2})
    two = replace(
        found,
        benchmark=found.benchmark.model_copy(update={"forget": forget}),
        runs=pd.concat([found.runs, after], ignore_index=True),
        curves=found.curves * 2,
    )
    first, last = two.conditions
    assert FIGURES["after-requests"].data(first) is None
    drawing = Drawing(FIGURES["after-requests"], last)
    titles = [ax.get_ylabel() for ax in drawing.canvas.axes]
    assert titles == ["FT AUC (%)", "Test accuracy (%)", "Average gap (points)"]
    assert drawing.data is not None
    mine = drawing.data.query("method == 'my_method' and metric == 'test_accuracy'")
    assert dict(zip(mine["request"], mine["mean"], strict=True)) == {1: 94.0, 2: 93.0}


def test_distances_are_averaged_by_percentile() -> None:
    found = by_hand()
    for label, far in (("my_method", 1.0), ("leaky", 2.0)):
        percentiles = list(np.linspace(0, far, 101))
        searched(found, label, {"flipped": 5, "percentiles": percentiles})
    drawing = Drawing(FIGURES["adversarial-distances"], found.conditions[0])
    assert drawing.data is not None and drawing.canvas.axes
    share = drawing.data.set_index(["method", "distance"])["share"]
    assert share["my_method", 1.0] == share["leaky", 2.0] == 50, "half of them never flip"
    assert share["leaky", 1.0] == 25


def test_methods_with_the_same_search_are_drawn_once_under_both_names() -> None:
    found = by_hand()
    search = {"percentiles": list(np.linspace(0, 1, 101)), "flipped": 10, "radii": {"0.1": 10}}
    for label in ("my_method", "leaky"):
        searched(found, label, search)
    for name in ("adversarial-distances", "final-radii"):
        canvas = Drawing(FIGURES[name], found.conditions[0]).canvas
        (text,) = [text.get_text() for text in canvas.legends[0].get_texts()]
        assert sorted(text.split(" = ")) == ["leaky", "my_method"]
        svg = page_svg(Drawing(FIGURES[name], found.conditions[0]))
        assert 'data-method="leaky"' in svg and 'data-method="my_method"' in svg, "hidden apart"


def test_two_searches_are_held_against_each_other_sample_by_sample() -> None:
    found, name = by_hand(), "search-against-search"
    assert FIGURES[name].data(found.conditions[0]) is None
    searched(found, "my_method", {"distances": [0.1, 0.2, None, 0.4]})
    searched(found, "streisand", {"distances": [0.1, 0.2, None, 0.4]})
    assert FIGURES[name].data(found.conditions[0]) is None, "one search, of two rows"
    searched(found, "leaky", {"distances": [0.2, None, 0.3, 0.5]})
    drawing = Drawing(FIGURES[name], found.conditions[0])
    (first,) = set(drawing.known["against"])
    pairs = drawing.known.set_index("method")[["there", "distance"]]
    expected = [[0.1, 0.2], [0.4, 0.5]]
    assert all(
        sorted(sorted(pair) for pair in own.to_numpy().tolist()) == expected
        for _, own in pairs.groupby("method")
    )
    (ax,) = drawing.canvas.axes
    assert ax.get_xlim() == ax.get_ylim() and found.titles.get(first, first) in ax.get_xlabel()


def test_final_radii_are_shares_of_all_samples() -> None:
    found = by_hand()
    assert FIGURES["final-radii"].data(found.conditions[0]) is None, "nothing was searched"
    searched(found, "my_method", {"percentiles": [], "radii": {"0": 2, "0.04": 3, "0.08": 5}})
    searched(found, "leaky", {"percentiles": [], "radii": {}})
    drawing = Drawing(FIGURES["final-radii"], found.conditions[0])
    assert drawing.data is not None and drawing.canvas.axes
    assert set(drawing.data["method"]) == {"my_method"}, "the other's search doubles none"
    assert drawing.data["radius"].tolist() == [0.04, 0.08]
    assert drawing.data["mean"].tolist() == [30.0, 50.0]
