"""(e) Scaling over workers; (f) cost by data, forget fraction, references, methods, repetitions."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

import peers
from turns import Row, compared, in_turn

METHODS = ["ft", "rl", "ga", "salun", "l1-sparse", "amun", "amun-adaptive"]
SMALL = ["--methods", "amun,ft", "--seeds", "1", "--set", "references.count=4"]
AXES: dict[str, list[tuple[str, list[str]]]] = {
    "training images": [(str(n), [*SMALL, "--set", f"data.train={n}"]) for n in (250, 500, 750)],
    "forget fraction": [
        (str(f), [*SMALL, "--set", f"forget.fractions=[{f}]"]) for f in (0.05, 0.1, 0.2, 0.4)
    ],
    "references": [
        (str(n), ["--methods", "amun,ft", "--seeds", "1", "--set", f"references.count={n}"])
        for n in (4, 8, 16, 32)
    ],
    "methods": [(str(n), [*SMALL[2:], "--methods", ",".join(METHODS[:n])]) for n in (1, 3, 5, 7)],
    "repetitions": [(str(n), [*SMALL[:2], *SMALL[4:], "--seeds", str(n)]) for n in (1, 2, 5)],
}


def measure(root: Path, rounds: int) -> list[Row]:
    """Run the default benchmark, cut down, as its users do: whole processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = {
            f"{n} worker{'s' * (n > 1)}": lambda n=n: _run(
                folder, ["--methods", "amun,ft", "--seeds", "2", "--jobs-per-device", str(n)]
            )
            for n in (2, 1)
        }
        title = "digits, 2 repetitions of amun and ft with 16 references, from start to table"
        rows = compared("scaling", title, "2 workers", in_turn(works, rounds))
        return rows + [row for axis in AXES for row in _cost(folder, axis)]


def _cost(folder: Path, axis: str) -> list[Row]:
    """Run each value of an axis once; what is compared is the time of all models together."""
    rows, first = [], 0.0
    for value, words in AXES[axis]:
        wall, seconds, memory, models = _run(folder, words)
        first = first or seconds
        facts = {"models": models, "peak memory MB": memory, "wall s": round(wall, 2)}
        ratio, name = round(seconds / first, 3), f"{axis}: {value}"
        both = [round(first, 2), round(seconds, 2)]
        rows.append(Row("cost", axis, AXES[axis][0][0], name, [ratio] * 3, both, 1, facts))
    return rows


def _run(folder: Path, words: list[str]) -> tuple[float, float, int, int]:
    """Run digits from nothing; return wall time, models' seconds, largest worker, models."""
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    start = time.perf_counter()
    peers.unlearnbench(["run", *words], folder)
    wall = time.perf_counter() - start
    records = [json.loads(p.read_text()) for p in results.glob("*/runs/*/record.json")]
    seconds = sum(record["seconds"]["total"] for record in records)
    return wall, seconds, max(record["peak memory MB"] for record in records), len(records)
