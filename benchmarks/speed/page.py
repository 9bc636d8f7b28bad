"""The generated page of what was measured: tables and one plot a part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from unlearnbench.reporting.figures import STYLE

TITLES = {
    "training": "Training",
    "floor": "How far from the floor",
    "precision": "Training in bf16",
    "search": "Adversarial search",
    "rmia": "RMIA",
    "job": "A whole job",
    "scaling": "Workers, and what a benchmark costs",
}
ABOUT = {
    "training": "One epoch of the recipe of a shipped benchmark. The DataLoader loop is the usual"
    " one: PIL images are transformed one by one, and loss and hits are read back at each step."
    " *One model*: each loop has one thread and no loader process. *Two models*: the machine trains"
    " both. Ours trains them at once, in two processes of one thread each. The DataLoader loop"
    " trains them one after the other, with torch's own threads and one loader process, as AMUN's"
    " code does. The last row asks whether small nets train faster together, in one step of vmap."
    " A ratio below 1 would mean that they do.",
    "floor": "One training step on one thread, compared with the sum of its kernels. The kernels"
    " are each convolution, BatchNorm, pooling, activation and matrix product of forward and"
    " backward, and one fused update of all weights. Each is called alone, on the same numbers. A"
    " step also spends time on Python, on PyTorch's dispatch and autograd, on feeding and"
    " augmenting images, and on data that are no longer in the cache. Here the ratio is the time of"
    " the step over that of its kernels, so 1 is the best that can be. Times are CPU seconds, which"
    " other processes on the machine affect less. The last columns are images per second, and the"
    " step's share of the rate that a large matrix product reaches. A convolution may exceed that"
    " rate.",
    "precision": "One training step on one thread, with weights kept in fp32 and most products in"
    " bf16 (autocast), compared with the same step in fp32. It needs a processor that has units for"
    " bf16.",
    "search": "The model is trained by the benchmark's recipe. Each search looks for adversarial"
    " examples of 200 training images on one thread. The ratio is the time of the other search over"
    " that of `paper`. Gradients are counted per sample. *Written plainly*: batches of 128, each"
    " running until its last sample has flipped. A library's PGD has one radius for all samples and"
    " always runs all its steps. So it is called again, with twice the radius, for the samples that"
    " have not flipped.",
    "rmia": "Both compute the same scores, to the bit if gamma is a power of two.",
    "job": "Whole processes, from the command to the numbers. SUPREME 0.1.5 runs in an environment"
    " of its own, with the same net, images, optimiser, batch size and epochs. Data, the original"
    " and the models that attacks need are made before. Ours ends with accuracies, attacks and"
    " their intervals. A single job uses one core, and half of its time is start-up. A comparison"
    " consists of many jobs.",
    "scaling": "Whole runs of `unlearnbench run` on digits, with nothing made before. Cost is the"
    " time of all models together, relative to the first value of its axis. It is measured once, so"
    " differences of a tenth mean nothing. Peak memory is that of the largest worker, and nearly"
    " all of it is torch itself.",
}
AXES = {"floor": "times as long as its kernels (log scale)"}
COMPARED = ("Work", "Ours", "Other", "Ratio", "Range", "Ours s", "Other s")
HEADINGS = {"floor": ("Net", "Floor", "Step", "Ratio", "Range", "Floor s", "Step s")}


def write(folder: Path) -> None:
    """Write README.md and a figure a part, from the JSON files that are there."""
    lines = ["# Speed", "", "Written by `python benchmarks/speed/run.py`; do not edit.", ""]
    lines += ["A ratio is of two things timed in turn in one run: median and range over rounds."]
    lines += ["Above 1, unlearnbench is faster. Seconds are medians, to show the scale.", ""]
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
    names = [f"{row['other']} ({_short(row['work'])})" for row in rows]
    ratio, low, high = zip(*(row["ratio"] for row in rows), strict=True)
    figure = Figure((7, 0.6 + 0.2 * len(rows)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(1, color="#999999")
    ax.hlines(names, low, high, linewidth=3, alpha=0.5)
    ax.plot(ratio, names, "o")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    within = max(*high, 1) < 10 * min(*low, 1)  # one decade, in which there is one other tick
    ax.xaxis.set_minor_formatter("{x:g}" if within else NullFormatter())
    ax.invert_yaxis()
    ax.set_xlabel(meaning)
    return figure


def _short(work: str) -> str:
    """Name a work by its beginning, and by what follows a semicolon or colon."""
    head = re.split("[,;]", work)[0]
    for mark in (";", ":"):
        if mark in work:
            return f"{head}, {work.rpartition(mark)[2].strip()}"
    return head


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
