"""What `plan --slurm` writes: an array whose tasks are processes of one run, a GPU each."""

from __future__ import annotations

import math
import shlex

from unlearnbench.commands.request import Request, prepare
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.placement import MOST_ON_A_GPU
from unlearnbench.scheduling.scheduler import progress
from unlearnbench.storage.store import Store

SCRIPT = """#!/bin/bash
#SBATCH --job-name=unlearnbench-{name}
#SBATCH --array=1-{tasks}
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task={cores}
#SBATCH --time={time}
#SBATCH --output={name}-%A_%a.log
#SBATCH --requeue
# {models} models to make. Every task runs the same command on the same results folder, which all of
# them must see: they share the work by leases, a task that is ended loses the runs in flight, and
# one more submission of this script goes on. Data must be there already.
set -euo pipefail
exec {command}
"""


def script(request: Request, tasks: int, words: list[str]) -> str:
    """Return a Slurm array script that runs a benchmark on `tasks` GPUs; `words` are for `run`."""
    planned = prepare(request)
    benchmark, plan = planned.benchmark, planned.plan
    store = Store(request.results / benchmark.name)
    state = progress(plan, store, set())
    seconds = estimate.from_store(plan, store).total(plan.nodes[run] for run in state.open)
    # Of what is known, time to start and some to spare.
    hours = 24.0 if seconds is None else 1.5 * seconds / 3600 / tasks + 0.25
    minutes = math.ceil(60 * hours)
    command = ["unlearnbench", "run", request.benchmark, *words, "--devices", "cuda:0"]
    return SCRIPT.format(
        name=benchmark.name,
        tasks=tasks,
        cores=request.jobs_per_device or MOST_ON_A_GPU,
        time=f"{minutes // 60}:{minutes % 60:02d}:00",
        models=len(state.open),
        command=shlex.join(command),
    )
