"""The benchmark that trials run on: it shares nothing with what is reported but training data."""

from __future__ import annotations

from typing import Any

from unlearnbench.errors import UserError
from unlearnbench.metrics.attacks import HEADLINE
from unlearnbench.planning.benchmark import Benchmark

FIRST = 1001
"""The first seed of originals, forget sets and runs."""


def check(benchmark: Benchmark, seeds: list[int]) -> None:
    """Raise UserError where tuning would see what is reported."""
    own = benchmark.seeds
    reported = {*own.originals, *own.forget, *own.runs, benchmark.references.seed}
    if shared := sorted(reported.intersection(seeds)):
        raise UserError(
            f"Tuning takes seeds {seeds[0]} to {seeds[-1]}, but this benchmark reports on"
            f" {', '.join(map(str, shared))}: what is reported must not be used for choosing.",
            "Give the benchmark other [seeds].",
        )
    if benchmark.data.evaluate != "test":
        raise UserError(
            "This benchmark reports on its validation samples, so there are none to tune on.",
            "Set data.evaluate to test.",
        )
    if not benchmark.data.validation:
        raise UserError(
            f"Benchmark {benchmark.name} has no validation samples, on which trials are judged"
            " in place of the test samples.",
            "Set some of its training samples aside: --set data.validation=500, or for good in its"
            " file.",
        )


def behind(raw: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """Return a parsed benchmark as trials run it: other seeds, validation in place of test samples.

    The references are others too: a bank of the same seed trains on the same halves of the training
    data, and what is chosen would suit that bank.
    """
    changed = {
        "name": f"{raw['name']}-tuning",
        "title": f"{raw['title']} (tuning)",
        "data": raw["data"] | {"evaluate": "validation"},
        "seeds": raw["seeds"]
        | {"originals": seeds, "forget": seeds, "runs": seeds, "pairing": "zip"},
        "references": raw.get("references", {}) | {"seed": seeds[0]},
        "attacks": [HEADLINE],
        "controls": False,
        "curves": False,
        "swap": False,
        "ulira": {},
    }
    kept = {key: value for key, value in raw.items() if key not in ("published", "tuning")}
    return kept | changed
