"""Choose the settings of a benchmark's methods: `python benchmarks/tune.py digits --trials 16`.

Every method gets the same number of trials, drawn from the search ranges on its class (the first
trial is its defaults). Firewall: the originals, forget sets and runs have seeds that are not
reported, and the validation samples of the benchmark stand in for its test samples. The retrained
models are used for choosing: the trial with the smallest average gap to them wins. Every trial is
written to benchmarks/tuning/<benchmark>.csv; the winners are put into the benchmark file by hand.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from unlearnbench import plan as planning
from unlearnbench import registry
from unlearnbench.benchmark import locate, read, validate
from unlearnbench.expansion import expand
from unlearnbench.report.collect import collect
from unlearnbench.seeds import seed_for
from unlearnbench.session import Request, run_benchmark
from unlearnbench.store import Store


def draw(name: str, ranges: dict[str, tuple[Any, Any]], trial: int) -> dict[str, Any]:
    """Draw one trial's settings, log-uniformly where the range spans a factor of ten or more."""
    rng = np.random.default_rng(seed_for(trial, "tuning", name))
    settings: dict[str, Any] = {}
    for key, (kind, (low, high)) in ranges.items():
        log = high / low >= 10
        value = (
            math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
        )
        settings[key] = round(value) if kind is int else float(f"{value:.2g}")
    return settings


def trials_of(count: int) -> dict[str, dict[str, Any]]:
    """List the trials of every method that has a search range, by label."""
    methods: dict[str, dict[str, Any]] = {}
    for name, plugin in registry.find("methods").items():
        if name == "amun-adaptive":
            continue  # the same as amun for a single request: it takes amun's settings
        ranges: dict[str, tuple[Any, Any]] = {}
        for key, field in registry.settings_class(plugin).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and "search" in extra:
                ranges[key] = (field.annotation, extra["search"])
        for trial in range(count if ranges else 0):
            settings = draw(name, ranges, trial) if trial else {}
            methods[f"{name}.{trial:02d}"] = {"method": name} | settings
    return methods


def main() -> None:
    """Run the trials and print the best of each method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=1001)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    asked = parser.parse_args()

    raw = read(locate(asked.benchmark))
    raw["name"] += "-tuning"
    raw["data"]["evaluate"] = "validation"
    raw["data"].pop("test", None)
    seeds = list(range(asked.first_seed, asked.first_seed + asked.seeds))
    raw["seeds"] |= {"originals": seeds, "forget": seeds, "runs": seeds, "pairing": "zip"}
    raw["methods"] = trials_of(asked.trials)
    raw["controls"] = False
    folder = asked.results / raw["name"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "asked.toml"
    path.write_text(tomli_w.dumps(raw))

    run_benchmark(Request(str(path), asked.data, asked.results, methods=list(raw["methods"])))

    plugins = registry.find("methods")
    benchmark, _ = planning.resolve(validate(raw), plugins, list(raw["methods"]))
    found = collect(benchmark, expand(benchmark, plugins), Store(folder), plugins)
    means = found.runs.groupby("label", sort=False).mean(numeric_only=True)
    rows = []
    for label, entry in raw["methods"].items():
        method, _, trial = label.partition(".")
        settings = {key: value for key, value in entry.items() if key != "method"}
        shown = " ".join(f"{key}={value:g}" for key, value in settings.items()) or "defaults"
        terms = means.reindex(columns=["avg_gap", *benchmark.gap_terms]).loc[label].round(3)
        rows.append({"method": method, "trial": int(trial), "settings": shown, **terms})
    table = pd.DataFrame(rows)
    out = Path(__file__).parent / "tuning" / f"{asked.benchmark}.csv"
    out.parent.mkdir(exist_ok=True)
    table.to_csv(out, index=False, lineterminator="\n")
    best = table.loc[table.groupby("method")["avg_gap"].idxmin()]
    print(means.loc[["retrain"], ["avg_gap", *benchmark.gap_terms]].round(2).to_string())
    print(best.to_string(index=False))


if __name__ == "__main__":
    main()
