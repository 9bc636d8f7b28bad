"""The generated page of what was measured: tables and one plot a part."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from unlearnbench.reporting.figures import STYLE

TITLES = {
    "training": "Training",
    "floor": "How far from the floor",
    "search": "Adversarial search",
    "rmia": "RMIA",
    "job": "A whole job",
    "scaling": "Workers, and what a benchmark costs",
}
ABOUT = {
    "training": "An epoch of the shipped benchmark's recipe. The DataLoader loop is the usual one:"
    " PIL images transformed one by one, loss and hits read back each step. *One model*: one thread"
    " each, no loader process. *Two models*: what the machine does in one go; ours at once, a"
    " process and a thread each, theirs one after the other with torch's threads and one loader"
    " process, as in AMUN's code. The last row asks whether small nets train faster together, in"
    " one vmapped step: below 1 they would. They do not, so references are trained one by one.",
    "floor": "A training step, one thread, against the sum of its kernels: each convolution,"
    " BatchNorm, pooling, activation and product of its two passes, and one fused update of all"
    " weights, called alone on the same numbers. What a step spends beyond that is Python,"
    " PyTorch's dispatch and autograd, feeding and augmenting the images, and data that are no"
    " longer in the cache. Here the ratio is the step's time over the floor: 1 is the best that can"
    " be. In CPU seconds, so that neighbours on the machine count less. The last columns are the"
    " share of the rate of a large matrix product that the step reaches, which a convolution may"
    " exceed, and images a second.",
    "search": "From a model trained by the benchmark's recipe, 200 training images, one thread. The"
    " ratio is of times, other over `paper`. Gradients are counted in samples, a sample. *Written"
    " plainly*: batches of 128, each until its last sample has flipped. A library's PGD has one"
    " radius for all and runs all its steps, so it is called again with twice the radius for what"
    " has not flipped.",
    "rmia": "The same scores, bit for bit where gamma is a power of two.",
    "job": "Whole processes, from the command to the numbers. SUPREME 0.1.5 runs in an environment"
    " of its own with the same net, images, optimiser, batch size and epochs; data, original and"
    " what attacks need are made before. Ours ends with accuracies, attacks and their intervals."
    " One job alone leaves a core idle and is half start-up; ten are what a comparison is made of.",
    "scaling": "Whole runs of `unlearnbench run` on digits from nothing. Cost is the time of all"
    " models together, relative to an axis's first value; one round, so differences of a tenth say"
    " nothing. Peak memory is the largest worker's, nearly all of it torch itself.",
}
AXES = {"floor": "times as long as its kernels (log scale)"}
COMPARED = ("Work", "Ours", "Other", "Ratio", "Range", "Ours s", "Other s")
HEADINGS = {"floor": ("Net", "Floor", "Step", "Ratio", "Range", "Floor s", "Step s")}


def write(folder: Path) -> None:
    """Write README.md and a figure a part, from the JSON files that are there."""
    lines = ["# Speed", "", "Written by `python benchmarks/speed/run.py`; do not edit.", ""]
    lines += [
        "Ratios are of two things timed in turn in one run: median over the rounds, and range."
    ]
    lines += ["Above 1 unlearnbench is faster. Seconds are medians, for scale only.", ""]
    for part, title in TITLES.items():
        path = folder / f"{part}.json"
        if path.exists():
            lines += _section(folder, part, title, json.loads(path.read_text()))
    (folder / "README.md").write_text("\n".join(lines))


def _section(folder: Path, part: str, title: str, found: dict[str, Any]) -> list[str]:
    rows = [row for row in found["rows"] if row["part"] != "cost"]
    meaning = AXES.get(part, "times as long as ours (log scale; right of 1 we are faster)")
    _save(partial(_figure, meaning), rows, folder / f"{part}.svg")
    lines = [f"## {title}", "", ABOUT[part], "", f"![{title}: ratios]({part}.svg)", ""]
    facts = list(dict.fromkeys(name for row in rows for name in row["facts"] if name != "of ours"))
    lines += _table([*HEADINGS.get(part, COMPARED), *facts])
    for row in rows:
        ratio, low, high = row["ratio"]
        cells = [
            row["work"],
            row["ours"],
            row["other"],
            f"**{ratio:.3g}**",
            f"{low:.3g} to {high:.3g}",
        ]
        cells += [f"{s:.3g}" for s in row["seconds"]]
        own = row["facts"].get("of ours")
        if own:
            blank = [row["work"], row["ours"], "itself", "1", "", cells[5], ""]
            lines.append(_line([*blank, *(str(own.get(name, "")) for name in facts)]))
        lines.append(_line([*cells, *(str(row["facts"].get(name, "")) for name in facts)]))
    costs = [row for row in found["rows"] if row["part"] == "cost"]
    if costs:
        lines += ["", "![Cost](cost.svg)", ""]
        _save(_costs, costs, folder / "cost.svg")
        lines += _table(["Axis: value", "Cost", "Models' s", "Models", "Peak memory MB", "Wall s"])
        for row in costs:
            known = row["facts"]
            cells = [row["other"], f"{row['ratio'][0]:.2f}", f"{row['seconds'][1]:.1f}"]
            cells += [str(known[name]) for name in ("models", "peak memory MB", "wall s")]
            lines.append(_line(cells))
    rounds = rows[0]["rounds"]
    said = f"{found['date']}, {found['machine']}, {rounds} rounds"
    return [*lines, "", f"{said}; peak memory of the part {found['peak memory MB']:,} MB.", ""]


def _table(headings: list[str]) -> list[str]:
    return [_line(headings), _line(["---"] * len(headings))]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figure(meaning: str, rows: list[dict[str, Any]]) -> Figure:
    """Draw ratios with their ranges on a logarithmic axis, a line at 1."""
    names = [
        f"{row['other']} ({row['work'].partition(',')[0]}{_tail(row['work'])})" for row in rows
    ]
    ratio, low, high = zip(*(row["ratio"] for row in rows), strict=True)
    figure = Figure((7, 0.6 + 0.2 * len(rows)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(1, color="#999999")
    ax.hlines(names, low, high, linewidth=3, alpha=0.5)
    ax.plot(ratio, names, "o")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.invert_yaxis()
    ax.set_xlabel(meaning)
    return figure


def _tail(work: str) -> str:
    """Return what distinguishes works of one benchmark: what follows the semicolon or colon."""
    for mark in (";", ":"):
        if mark in work:
            return f", {work.rpartition(mark)[2].strip()}"
    return ""


def _costs(rows: list[dict[str, Any]]) -> Figure:
    """Draw cost against each axis, a panel each."""
    axes = list(dict.fromkeys(row["work"] for row in rows))
    figure = Figure((7, 2.1 * -(-len(axes) // 3)), layout="constrained")
    grid = figure.subplots(-(-len(axes) // 3), 3, squeeze=False).flat
    for axis, ax in zip(axes, grid, strict=False):
        points = [row for row in rows if row["work"] == axis]
        values = [float(row["other"].rpartition(" ")[2]) for row in points]
        ax.plot(values, [row["ratio"][0] for row in points], "o-")
        ax.set(title=axis, ylabel="cost, first value = 1")
    for spare in list(grid):
        spare.remove()
    return figure


def _save(draw: Callable[[list[dict[str, Any]]], Figure], rows: Any, path: Path) -> None:
    with matplotlib.style.context(["default", STYLE]):
        draw(rows).savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    write(Path(__file__).parents[2] / "docs" / "speed")
