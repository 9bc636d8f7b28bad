"""One of two processes that ask different things of the same new folders at the same moment.

python -m tests.racing WHAT METHOD OTHER FOLDER TURNS: `WHAT` is "remember", the step that is raced,
or "run", the whole command; OTHER is the method of the other process.
"""

from __future__ import annotations

import sys
import time
import tomllib
from pathlib import Path

import unlearnbench as ub
from unlearnbench.planning import reading
from unlearnbench.storage import asked
from unlearnbench.storage.store import Store

RACED = """
name = "raced"
title = "Raced"
model = "small-cnn"
controls = false
headline = "loss"
attacks = ["loss"]
[data]
name = "digits"
train = 40
test = 40
[recipe]
epochs = 1
batch_size = 40
[forget]
fractions = [0.1]
[seeds]
originals = [1]
forget = [1]
runs = [1]
[references]
count = 0
[methods.ft]
epochs = 1
[methods.ga]
epochs = 1
"""


def race(what: str, method: str, other: str, folder: Path, turns: int) -> None:
    raw = tomllib.loads(RACED)
    for turn in range(turns):
        (folder / f"{turn}-{method}").touch()
        while not (folder / f"{turn}-{other}").exists():
            time.sleep(0.001)
        results = folder / f"results-{turn}"
        if what == "run":
            ub.run(ub.benchmark(raw), methods=[method], results=results, jobs_per_device=1)
        else:
            rows = {method: raw["methods"][method]}
            asked.remember(Store(results / "raced"), reading.validate(raw | {"methods": rows}), {})


if __name__ == "__main__":
    what, method, other, folder, turns = sys.argv[1:]
    race(what, method, other, Path(folder), int(turns))
