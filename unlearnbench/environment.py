"""What a run was made with: versions, machine, state of the code. Imports no torch."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import unlearnbench
from unlearnbench.errors import UserError

COMMIT = "UNLEARNBENCH_COMMIT"
RESERVED = "reserved memory MB"
"""What records call the memory of a GPU that a run needs; what it has allocated is less."""
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")
INFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take of the machine."""


def describe(device: str) -> dict[str, object]:
    """Describe the environment of a run on `device`, for its record."""
    name = processor()
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "unlearnbench": unlearnbench.__version__,
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": f"{device} ({name})",
        **commit(),
    }


def decisive(environment: Mapping[str, object]) -> dict[str, object]:
    """Return what of an environment decides the last digits of a model: versions and processor."""
    kind, _, name = str(environment.get("device")).partition(" ")
    device = f"{kind.partition(':')[0]} {name}"  # whichever of equal ones
    return {package: environment.get(package) for package in PACKAGES} | {"device": device}


@cache
def installed(package: str) -> str | None:
    """Return a package's version, None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # `--help` can do without

    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def processor() -> str:
    """Name the CPU so that those of two kinds have two names: they differ in the last digits."""
    if sys.platform == "darwin":
        with suppress(OSError):  # `platform` says "arm" of every Mac
            words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            if name := subprocess.run(words, capture_output=True, text=True).stdout.strip():
                return name
    lines = INFO.read_text(encoding="utf-8").splitlines() if INFO.exists() else []
    parts = [line.partition(":") for line in reversed(lines)]  # the first of equal keys counts
    said = {key.strip(): value.strip() for key, _, value in parts}
    # On Arm, Linux has no name for it but the numbers of its maker and of its kind.
    numbers = [said[key] for key in ("CPU implementer", "CPU part") if key in said]
    usual = " ".join([platform.processor() or platform.machine(), *numbers])
    return said.get("model name") or usual


@cache
def commit() -> dict[str, object]:
    """Return git commit and whether the checkout has changes; empty where git tells neither.

    That is outside a checkout, and in one of somebody else, which git reads for nobody.

    A copy of a checkout, as on a machine that is lent, is told its commit by UNLEARNBENCH_COMMIT.
    """
    root = Path(unlearnbench.__file__).parent.parent
    if given := os.environ.get(COMMIT):
        return {"commit": given, "dirty": False}
    if not (root / ".git").exists() or not shutil.which("git"):
        return {}
    git = partial(subprocess.run, capture_output=True, text=True, cwd=root)
    sha, changes = git(["git", "rev-parse", "HEAD"]), git(["git", "status", "--porcelain"])
    if sha.returncode or changes.returncode:
        return {}
    return {"commit": sha.stdout.strip(), "dirty": bool(changes.stdout.strip())}


def require_system() -> None:
    """Raise UserError on a system that this package is not made for."""
    if sys.platform == "win32":
        raise UserError(
            "unlearnbench runs on Linux and macOS, not on Windows.",
            "Install it in the Windows Subsystem for Linux (wsl --install).",
        )


def cores() -> int:
    """Return how many cores this process may use."""
    every = os.cpu_count() or 1
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    return min(here, _share() or here)


def _share() -> int | None:
    """Return of how many cores a container has the time (`docker run --cpus 2`); None for all.

    It sees all cores of its machine, and may run on each of them.
    """
    version_2, version_1 = ["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]
    for names in (version_2, version_1):
        with suppress(OSError, ValueError):  # "max" is no number, and no limit
            texts = [(CONTAINER / name).read_text(encoding="utf-8") for name in names]
            quota, period = map(int, " ".join(texts).split())
            return -(-quota // period) if quota > 0 else None
    return None


def devices() -> list[str]:
    """List the devices there are: every GPU, else the CPU."""
    # torch, slow to import, is asked only where NVIDIA's tools say that there is a GPU.
    return (gpus() if shutil.which("nvidia-smi") else []) or ["cpu"]


def memory(device: str) -> int:
    """Return a GPU's memory in MB."""
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory // 2**20)


def gpus() -> list[str]:
    """List the CUDA devices that torch sees."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def begin_peak(device: str) -> None:
    """Begin to watch a GPU's memory for `peak_memory`; what earlier runs left over is given back.

    Neighbours have it then, and it is not taken for this run's.
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def reserved_memory(device: str) -> int | None:
    """Return the MB that this run took from a GPU at its peak, unused ones too; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_reserved(device) // 2**20


def peak_memory(device: str) -> int:
    """Return the peak memory in MB: of this run on a GPU, of the whole worker so far on a CPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) // 2**20
    import resource  # which Windows has not

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
