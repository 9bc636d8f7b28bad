"""README is true: its tables are generated, its example works. Its commands: test_guide."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.conftest import Cli
from tests.guide import FENCE, readme_method

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DIGITS = ROOT / "results" / "digits@epyc-2"
REPORT = (ROOT / "reports" / "digits@epyc-2" / "report.md").read_text()


def test_the_table_agrees_with_the_numbers_beside_it() -> None:
    summary = pd.read_csv(DIGITS / "summary.csv").set_index(["method", "metric"])["mean"]
    attacks, stronger = (pd.read_csv(DIGITS / f"{name}.csv") for name in ("attacks", "u-lira"))
    (table,) = re.findall(r"<!-- fill: short \S+ -->\n\n(.*?)\n\n", README, flags=re.S)
    heads, _, *lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert len(lines) == 7
    for method, *cells in lines:
        label, shown = method.lower(), dict(zip(heads[1:], cells, strict=True))
        assert shown["FT AUC %"] == f"{summary[label, 'ft_auc']:.1f}"
        if label != "original":
            assert re.search(rf"^\| {label} \| .* \W*{shown['Time']} ±\S+ \|$", REPORT, re.M)
        if label != "retrain":
            verdict = stronger.set_index("method").loc[label, "verdict"]
            assert shown["U-LiRA"] == verdict
            assert shown["Attacks"].endswith(f" of {attacks['attack'].nunique()}")
            assert (shown["Attacks"][0] == "0") or shown["Verdict"] == "different"


def test_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) < 120
    prose = [re.sub(r"\]\([^)]*\)", "]", line) for line in lines if not line.startswith("|")]
    assert [line for line in prose if len(line) > 120] == []


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
def test_published_results_pass_their_own_audit(name: str) -> None:
    path = ROOT / "results" / f"{name}@epyc-2" / "attacks.csv"
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    rows = [
        {str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")
    ]
    found = {(row["method"], row["attack"]): row for row in rows}
    for attack in {row["attack"] for row in rows}:
        held_out = found["held-out retrain", attack]
        assert held_out["verdict"] != "different"
        assert float(found["planted-leak", attack]["gap_low"]) > 0, "found by every attack"
        assert "no-op" in found["do-nothing", attack]["flags"]
        assert "utility lost" in found["destroyed", attack]["flags"]
    # Without power nothing may be called equivalent; the gap is small all the same.
    if found["held-out retrain", "rmia"]["audit_power"] == "True":
        assert found["held-out retrain", "rmia"]["verdict"] == "equivalent"
    gaps = {row: float(found[row, "rmia"]["gap"]) for row in ("held-out retrain", "original")}
    assert abs(gaps["held-out retrain"]) < gaps["original"] / 3
    assert found["original", "rmia"]["verdict"] == "different"
    ranked = {row["method"] for row in rows if row["rank"]}
    assert not ranked & {"original", "retrain", "held-out retrain", "do-nothing", "destroyed"}
    retrain = found["retrain", "rmia"]
    assert float(retrain["low"]) < 50 < float(retrain["high"])


@pytest.mark.slow
def test_example_method_is_in_the_table_and_the_report_finds_it(
    cli: Cli, inside: Cli, tmp_path: Path, tiny: Path
) -> None:
    assert len(readme_method().splitlines()) <= 26
    path = tmp_path / "noisy-ft.py"
    path.write_text(readme_method())
    done = cli("run", tiny, "--seeds", "1", "--plugin", path, "--methods", "noisy-ft")
    assert done.code == 0
    assert [line for line in done.out.splitlines() if line.startswith("noisy-ft ")]
    report = inside("report", "tiny")
    assert report.code == 0


def python_of(page: str) -> list[str]:
    """Return the blocks of Python of a page that are no files."""
    blocks = FENCE.findall((ROOT / page).read_text())
    return [body for kind, _, body in blocks if kind == "python" and '"""' not in body]


def test_published_results_load_and_draw_as_the_guide_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = python_of("docs/results.md")
    exec(block, {})
    titles = [ax.get_title() for ax in plt.gcf().axes]
    plt.close("all")
    assert titles[:2] == ["Forget accuracy", "Retain accuracy"]


def test_a_figure_for_a_paper_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with plt.rc_context():  # the style is for the page's reader
        for block in python_of("docs/guide/in-a-paper.md"):
            exec(block, names)
    assert (tmp_path / "forgetting-utility.pdf").exists()
    page, table = (ROOT / "docs/guide/in-a-paper.md").read_text(), str(names["text"])
    packages, label = re.findall(r"usepackage\{(\S+)\}|\\label\{(\S+)\}", table)
    assert f"\\usepackage{{{packages[0]}}}" in page and f"\\ref{{{label[1]}}}" in page
    shown = whole(plt.gcf())
    assert {"AUC, $D_F$ against $D_T$ (%)", "Test accuracy (%)", "SalUn", "FT"} <= shown
    with plt.rc_context():
        exec(python_of("docs/guide/library.md")[1], names)
    assert {"FT AUC (%)", "SalUn"} <= whole(plt.gcf())
    plt.close("all")


def whole(figure: Figure) -> set[str]:
    """Return the texts of a figure: all must be within it, and its legend below its axes."""
    figure.draw_without_rendering()
    axes, (legend,) = figure.axes[0], figure.legends
    texts = [axes.xaxis.label, axes.yaxis.label, *legend.get_texts()]
    for text in texts:
        (left, bottom), (right, top) = text.get_window_extent().get_points()
        assert left >= 0 and bottom >= 0, text
        assert right <= figure.bbox.width and top <= figure.bbox.height, text
    assert legend.get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0
    return {text.get_text() for text in texts}


@pytest.mark.slow
def test_the_library_is_used_as_readme_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = python_of("README.md")
    names: dict[str, object] = {}
    exec(block, names)
    with plt.rc_context():
        exec(python_of("docs/guide/library.md")[1], names)  # goes on with `full`
    assert (tmp_path / "trade-off.pdf").exists()


def test_a_package_ships_a_method_through_its_entry_point(cli: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "your_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: your-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[unlearnbench.methods]\nnoisy-ft = your_package.noisy_ft\nlost = no_such.module\n"
    )
    (site / "your_package").mkdir()
    (site / "your_package" / "__init__.py").touch()
    (site / "your_package" / "noisy_ft.py").write_text(readme_method())
    env = {"PYTHONPATH": f"{site}:{ROOT}"}
    listed = cli("methods", env=env).out
    assert "noisy-ft         Add Gaussian noise to the weights" in listed
    assert "lost" in listed and "not installed" in listed, "a broken one disturbs only itself"
    planned = cli("run", "--dry-run", "--methods", "noisy-ft", env=env)
    assert planned.code == 0 and "noisy-ft" in planned.out
