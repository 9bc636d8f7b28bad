"""Measure how fast we are against the alternatives, and write docs/speed/.

    python benchmarks/speed/run.py [PART]... [--data DIR] [--rounds N]

PART: training, floor, precision, search, rmia, job, scaling; all if none is named. Each part runs
as a process of its own, so that its peak memory is its own. What was measured of other parts stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import peers
from page import write

PARTS = ["training", "floor", "precision", "search", "rmia", "job", "scaling"]
OUT = Path(__file__).parents[2] / "docs" / "speed"


def main() -> None:
    """Measure the parts asked for, then write the page again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data sets")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, of each part")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if asked.here:
        print(json.dumps(_measure(asked.parts[0], asked.data, asked.rounds)))
        return
    OUT.mkdir(parents=True, exist_ok=True)
    for part in asked.parts or PARTS:
        print(f"{part} ...", flush=True)
        python = peers.environment(peers.ATTACKS) if part == "search" else sys.executable
        words = [part, "--here", "--data", str(asked.data.resolve()), "--rounds", str(asked.rounds)]
        command = [str(python), "-W", "ignore", __file__, *words]
        done = subprocess.run(
            command, env=peers.variables(), stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        if not found["rows"]:
            print("this machine has nothing to measure in it", flush=True)
            continue
        (OUT / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n")
        write(OUT)


def _measure(part: str, data: Path, rounds: int) -> dict[str, object]:
    rows = import_module(part).measure(data, rounds)
    used = max(
        resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "date": date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, torch {version('torch')} on the CPU",
        "peak memory MB": used // 1024,
        "rows": [asdict(row) for row in rows],
    }


def _processor() -> str:
    from unlearnbench.environment import processor

    return processor() or platform.machine()


if __name__ == "__main__":
    main()
