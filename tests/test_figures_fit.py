"""Figures fit a paper with few and with many methods: nothing drawn twice, hidden or too tall."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text

import unlearnbench as ub
from docs.builder.markdown import ROOT
from tests.hand import by_hand
from tests.test_figures import searched
from unlearnbench.planning.reading import read, shipped_benchmarks, validate
from unlearnbench.reporting.figures import FIGURES, STYLE, Drawing, distinct, drawings
from unlearnbench.reporting.figures.drawing import COLUMN, LEADING, METHOD, PAGE, REFERENCES
from unlearnbench.reporting.figures.export import page_svg
from unlearnbench.reporting.figures.figure import TALLEST, _shape
from unlearnbench.reporting.figures.gaps import MINUS, STRONG, class_names
from unlearnbench.reporting.figures.labels import name_points
from unlearnbench.storage.samples import folder_classes


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits() -> ub.Condition:
    return ub.load(ROOT / "results" / "digits@epyc-2").condition()


def test_rows_with_the_same_runs_are_drawn_once_under_both_names(digits: ub.Condition) -> None:
    assert digits.same == {"amun-adaptive": "amun"}
    for one in drawings(digits):
        assert one.data is not None and "amun-adaptive" not in set(one.data["method"]), one.name
    names = [
        text.get_text()
        for text in Drawing(FIGURES["gaps"], distinct(digits)).canvas.axes[0].get_yticklabels()
    ]
    assert "AMUN = AMUN-adaptive" in names and len(names) == len(digits.labels) - 1
    assert set(digits.plot.gaps.data["method"]) == set(distinct(digits).labels)


def test_what_is_not_ranked_sets_no_axis_of_gaps() -> None:
    found = by_hand()
    far = found.runs["label"] == "streisand"
    found.runs.loc[far, "ft_auc_gap"] = 5000.0
    condition = found.conditions[0]
    assert "streisand" not in condition.sound
    ax = Drawing(FIGURES["gaps"], distinct(condition))(metric="ft_auc")
    assert isinstance(ax, Axes) and ax.get_xlim()[1] < 1000
    (arrow,) = (text.get_text() for text in ax.texts)
    (mark,) = (line for line in ax.lines if line.get_label() == "streisand")
    assert arrow == "→" and mark.get_markerfacecolor() == "none"
    assert float(np.ravel(mark.get_xdata())[0]) < ax.get_xlim()[1]


@pytest.mark.parametrize("methods", [5, 17, 30])
def test_no_figure_is_taller_than_a_page(methods: int) -> None:
    for one in FIGURES.values():
        panels = 9 if one.panels == "metric" and one.row else 3 if one.panels else 1
        columns, height = _shape(one, panels, methods, TALLEST)
        assert height <= TALLEST, one.name
        assert columns == min(one.columns, panels) or methods == 30
    assert (COLUMN, PAGE, TALLEST) == (3.25, 6.75, 7.0)


def test_panels_that_are_moved_together_have_titles_of_several_lines(digits: ub.Condition) -> None:
    gaps = FIGURES["gaps"]
    tall = type("Tall", (type(gaps),), {"name": "tall", "height": 1.1, "row": 0.28})()
    with plt.style.context(STYLE):
        canvas = Drawing(tall, distinct(digits)).canvas
    assert canvas.get_figheight() <= TALLEST + 0.01
    titles = [ax.get_title() for ax in canvas.axes]
    assert len(titles) == 9 and "Retain accuracy" in titles
    boxes = [ax.title.get_window_extent() for ax in canvas.axes[:5]]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def scattered(points: list[tuple[str, float, float]]) -> Axes:
    with plt.style.context(STYLE):
        canvas, ax = plt.subplots(figsize=(3.35, 2.5), layout="constrained")
    ax.set(xlim=(0, 10), ylim=(0, 10))
    for label, x, y in points:
        (line,) = ax.plot(x, y, marker="o", label=label, linestyle="")
        line.set_gid(f"{METHOD}{label}")
    canvas.draw_without_rendering()
    return ax


def test_names_stand_beside_points_and_cover_nothing() -> None:
    points = [("AMUN", 2.0, 2.0), ("SalUn", 2.3, 2.2), ("retrain", 9.8, 9.8), ("GA", 0.2, 5.0)]
    ax = scattered(points)
    assert name_points(ax)
    assert {text.get_text(): text.get_gid() for text in ax.texts} == {
        name: f"{METHOD}{name}" for name, *_ in points
    }
    boxes = [text.get_window_extent() for text in ax.texts]
    around = ax.get_window_extent()
    for place, box in enumerate(boxes):
        assert around.x0 <= box.x0 and box.x1 <= around.x1 + 1
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_a_name_without_room_nearby_has_a_line_to_its_point() -> None:
    ax = scattered([(f"method {number}", 5.0 + number / 3, 5.0) for number in range(6)])
    assert name_points(ax)
    lines = [text for text in ax.texts if isinstance(text, Annotation) and text.arrow_patch]
    assert lines and len(lines) < 6, "only those that stand off"
    for text in lines:
        assert text.arrow_patch is not None
        assert text.arrow_patch.get_gid() == text.get_gid() == f"{METHOD}{text.get_text()}"


def test_names_without_room_are_all_left_to_the_legend() -> None:
    ax = scattered([(f"method-{number}", 5.0, 5.0) for number in range(12)])
    assert not name_points(ax) and not ax.texts


def test_points_have_names_beside_them_and_bands_a_legend(digits: ub.Condition) -> None:
    few = ub.load(ROOT / "results" / "digits-requests@epyc-2").findings.conditions[-1]
    named = Drawing(FIGURES["forgetting-utility"], distinct(few)).canvas
    legend = [text.get_text() for text in named.legends[0].get_texts()]
    assert legend == ["retrain's own scatter (95 %)"]
    assert {t.get_text() for t in named.axes[0].texts} >= {"retrain", "GA"}
    many = Drawing(FIGURES["forgetting-utility"], distinct(digits)).canvas.axes[0]
    shown = distinct(digits)
    assert {t.get_text() for t in many.texts} >= {*map(shown.title, shown.labels)}


@pytest.mark.slow
def test_figures_are_readable_at_the_size_they_have_in_print(digits: ub.Condition) -> None:
    for one in drawings(digits):
        width, height = one.canvas.get_size_inches()
        assert width == (PAGE if one.figure.wide else COLUMN) and height <= TALLEST, one.name
        texts = [text for text in one.canvas.findobj(Text) if text.get_text()]
        assert min(float(text.get_fontsize()) for text in texts) >= 7, one.name


def test_legends_agree_with_what_is_drawn(digits: ub.Condition) -> None:
    for name in ("roc", "auc-references"):
        one = Drawing(FIGURES[name], distinct(digits))
        legend = one.canvas.legends[0]
        drawn = {str(line.get_label()): line for ax in one.canvas.axes for line in ax.lines}
        coloured = [text for text in drawn if not text.startswith("_")]
        assert len(coloured) <= LEADING + len(REFERENCES) + 1, one.name
        entries = zip(legend.get_texts(), legend.legend_handles, strict=True)
        for text, handle in entries:
            if isinstance(handle, Line2D):
                line = drawn.pop(text.get_text())
                assert handle.get_marker() == line.get_marker()
                assert handle.get_color() == line.get_color()
                assert handle.get_linestyle() == line.get_linestyle()


def test_every_reference_in_an_svg_is_there(digits: ub.Condition) -> None:
    svg = page_svg(Drawing(FIGURES["verdicts"], distinct(digits)))
    used = set(re.findall(r"url\(#([^)]+)\)", svg))
    assert "pattern" in svg, "the margin is hatched"
    assert used <= set(re.findall(r'id="([^"]+)"', svg)) and all("verdicts" in one for one in used)


def test_classes_of_own_images_are_called_as_their_folders(tmp_path: Path) -> None:
    rows = ["train/cat/1.png,0", "train/dog,1/x/2.png,1", "test/cat/3.png,0"]
    quoted = [f'"{name}",{label}' for name, label in (row.rsplit(",", 1) for row in rows)]
    table = tmp_path / "samples.csv"
    table.write_text("\n".join(["file,label", *quoted]), encoding="utf-8")
    assert folder_classes(tmp_path) == ["cat", "dog,1"]
    table.write_text("\n".join(["file,label", *quoted, "train/fish/1.png,0"]), encoding="utf-8")
    assert folder_classes(tmp_path) == ["cat/fish", "dog,1"], "classes that were merged"
    for text in ("file,label\n1.png,0\n", "id,label\n0,0\n", "file,label\na/b/c,x\n"):
        table.write_text(text, encoding="utf-8")
        assert folder_classes(tmp_path) == []
    table.write_text("file,label\ntrain/cat/1.png,0\ntrain/cat/2.png,1\n", encoding="utf-8")
    assert folder_classes(tmp_path) == [], "a folder of two classes names none"
    many = [f"train/{label}/{n}.png,{label}" for n in range(500) for label in (0, 1)]
    table.write_text("\n".join(["file,label", *many]), encoding="utf-8")
    with patch("unlearnbench.storage.samples.PurePosixPath", wraps=PurePosixPath) as looked:
        assert folder_classes(tmp_path) == ["0", "1"]
    assert looked.call_count == 2, "a folder is looked at once, however many files it holds"
    table.unlink()
    assert folder_classes(tmp_path) == []

    found = replace(by_hand(), classes=["cat", "dog", "a fish"])
    data = FIGURES["classes"].data(found.conditions[0])
    assert data is not None and set(data["class"]) == {"cat", "dog", "a fish"}
    assert type(found).from_json(found.as_json()).classes == found.classes


def test_accuracy_by_class_says_its_sign_and_not_that_retrain_is_retrain(
    digits: ub.Condition,
) -> None:
    one = Drawing(FIGURES["classes"], distinct(digits))
    data = one.known
    assert "retrain" not in set(data["method"])
    signs = [text.get_text() for ax in one.canvas.axes for text in ax.texts]
    strong = data[data["gap"].abs() >= STRONG * data["reach"]]["gap"]
    assert signs.count("+") == (strong > 0).sum() and signs.count(MINUS) == (strong < 0).sum() > 0


def test_final_radii_are_bars() -> None:
    found = by_hand()
    searched(found, "my_method", {"radii": {"0.1": 4, "0.2": 6}})
    ax = Drawing(FIGURES["final-radii"], found.conditions[0])()
    assert isinstance(ax, Axes)
    assert [bar.get_height() for bar in ax.patches] == [40.0, 60.0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.1", "0.2"]


def test_forgetting_by_request_is_fr_minus_ft() -> None:
    results = ub.load(ROOT / "results" / "digits-requests@epyc-2")
    last = results.findings.conditions[-1]
    data = FIGURES["forgetting-by-request"].data(distinct(last))
    assert data is not None and sorted(data["request"].unique()) == [1, 2, 3, 4, 5]
    runs = results.findings.runs
    own = runs[(runs["label"] == "ga") & (runs["request"] == 2) & (runs["access"] == last.access)]
    drawn = data.set_index(["method", "request"])["mean"]
    assert drawn["ga", 2] == pytest.approx((own["fr_auc"] - own["ft_auc"]).mean())
    first = results.findings.conditions[0]
    assert FIGURES["forgetting-by-request"].data(distinct(first)) is None


def test_classes_have_their_names_where_the_data_set_ships() -> None:
    known = {name: validate(read(path)) for name, path in shipped_benchmarks().items()}
    assert class_names(known["fashion-mnist"])[0] == "T-shirt"
    assert class_names(known["cifar10-fast"])[9] == "truck"
    assert not class_names(known["digits"]), "which are called by their numbers"
    elsewhere = known["digits"].data.model_copy(update={"name": "from-a-plugin"})
    assert not class_names(known["digits"].model_copy(update={"data": elsewhere}))
    merged = known["fashion-mnist"].data.model_copy(update={"superclasses": ((0, 1), (2,))})
    merged_names = class_names(known["fashion-mnist"].model_copy(update={"data": merged}))
    assert merged_names == ["T-shirt/trouser", "pullover"]
