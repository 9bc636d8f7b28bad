"""A Slurm array from a plan: each task is one process of the same run, on a GPU of its own."""

from __future__ import annotations

import math
import shlex

SCRIPT = """#!/bin/bash
#SBATCH --job-name=unlearnbench-{name}
#SBATCH --array=1-{tasks}
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task={cores}
#SBATCH --time={time}
#SBATCH --output={name}-%A_%a.log
#SBATCH --requeue
# {models} models to make. Every task runs the same command on the same results folder, which all of
# them must see: they share the work by claims, a task that is ended loses the runs in flight, and
# one more submission of this script goes on. Data must be there already.
set -euo pipefail
exec {command}
"""


def script(
    name: str, words: list[str], models: int, hours: float | None, tasks: int, cores: int
) -> str:
    """Write the script. hours: of GPU time in all, None if not known; words: of the command."""
    each = 24.0 if hours is None else 1.5 * hours / tasks + 0.25  # time to start, and some to spare
    minutes = math.ceil(60 * each)
    return SCRIPT.format(
        name=name,
        tasks=tasks,
        cores=cores,
        time=f"{minutes // 60}:{minutes % 60:02d}:00",
        models=models,
        command=shlex.join(words),
    )
