"""How large shipped benchmarks are, for the command that lists them: benchmarks/sizes.csv."""

from __future__ import annotations

import csv
import json
from io import StringIO
from math import ceil
from pathlib import Path
from statistics import median

from docs.builder.markdown import ROOT
from docs.builder.published import RESULTS
from unlearnbench import registry
from unlearnbench.api.request import Request, benchmark, prepare
from unlearnbench.files import write_text
from unlearnbench.planning.plan import Plan
from unlearnbench.planning.reading import SIZES, shipped_benchmarks
from unlearnbench.reporting.tables.captions import data_title
from unlearnbench.scheduling.estimate import Pace


def row(name: str) -> dict[str, object]:
    """Say of a benchmark which data it is of, what it needs, and how many models it makes.

    minutes: of making them, on the machine whose results are published; per_million: seconds there
    of training an original on a million samples, each as often as it is seen; none where none are.
    """
    planned = prepare(Request(benchmark(name), Path("data"), Path("results")))
    data = planned.benchmark.data
    plugin = registry.get(registry.find("datasets"), "dataset", data.name)
    source = registry.source_class(plugin)
    needs = ["a download"] * hasattr(source, "files") + ["your files"] * hasattr(source, "layout")
    # What takes a part of a data set is made for a computer without a GPU.
    needs += [] if data.train else ["a GPU"]
    return {
        "name": name,
        "data": data_title(data),
        "needs": " and ".join(needs) or "no download",
        "models": len(planned.plan.nodes),
        **_times(planned.plan, name),
    }


def _times(plan: Plan, name: str) -> dict[str, object]:
    for folder in RESULTS.glob(f"{name}@*"):
        made = json.loads((folder / "findings.json").read_text(encoding="utf-8"))["details"]
        cores = json.loads((folder / "origin.json").read_text(encoding="utf-8"))["cores"]
        pace = Pace()
        for run in plan.nodes.keys() & made.keys():
            pace.learn(plan.nodes[run], made[run]["seconds"].get("total", 0.0))
        seconds = pace.total(plan.nodes.values(), cores)
        spec = next(iter(plan.nodes.values())).spec
        if seconds and spec.data.train:
            seen = spec.data.train * max(1, spec.recipe.epochs)
            each = f"{median(pace.rates) / seen * 1e6:.3g}"
            return {"minutes": ceil(seconds / 60), "per_million": each}
    return {"minutes": "", "per_million": ""}


def write() -> None:
    """Write the file."""
    rows, text = [row(name) for name in shipped_benchmarks()], StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(ROOT / "benchmarks" / SIZES, text.getvalue())
