"""The command `doctor`: what this machine has and what is wrong with it. Anything may be broken."""

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from unlearnbench import environment
from unlearnbench.cli.options import Data, Results
from unlearnbench.cli.said import say
from unlearnbench.errors import UnlearnBenchError

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "joblib")  # torchvision: pair()
GB = 10**9
BESIDE = 15
"""Columns of what was looked at, before what was found."""
WORKER, DISK = 1.5 * GB, 2 * GB  # memory of one worker, roughly; room that results may take
REPORT = "Mend what it names, or report it with all that doctor printed."
ELSEWHERE = "keep results elsewhere: unlearnbench run --results DIR"
Gpu = tuple[str, int, int]  # name, bytes free, bytes in total


@dataclass(frozen=True)
class Finding:
    """Hold what was looked at and what was found; a problem has a remedy."""

    level: Literal["ok", "note", "PROBLEM"]
    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        """Show it as one line, the remedy as another, indented."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The line, and one for the remedy if there is one."""
        line = f"{self.level:<8}{self.what:<{BESIDE}}{' '.join(self.found.split())}"
        return [line, f"{'':8}{self.remedy}"] if self.remedy else [line]


def judge(fine: bool, what: str, found: str, remedy: str) -> list[Finding]:
    """Make the finding of a check that is either fine or a problem."""
    return [Finding("ok", what, found) if fine else Finding("PROBLEM", what, found, remedy)]


def guarded(
    what: str, check: Callable[..., list[Finding]], *given: object, remedy: str = REPORT
) -> list[Finding]:
    """Run a check on what it is given; one that fails is a problem itself, and the others go on."""
    try:
        return check(*given)
    except Exception as error:  # the boundary: on a broken machine anything may raise anything
        return judge(False, what, f"{type(error).__name__}: {error}", remedy)


def package(name: str) -> list[Finding]:
    """Import a package and say which version is there; raises whatever importing it does."""
    importlib.import_module({"scikit-learn": "sklearn"}.get(name, name))
    return [Finding("ok", name, environment.installed(name) or "of an unknown version")]


def pair(
    torch: str, torch_cuda: str | None, vision: str, needs: Sequence[str], load: Callable[[], int]
) -> list[Finding]:
    """Judge whether torch and torchvision belong together.

    torch_cuda: None in a CPU build; needs: from torchvision's metadata; load: see operators().
    """
    from packaging.requirements import Requirement

    wanted = [need.specifier for need in map(Requirement, needs) if need.name == "torch"]
    if not all(specifier.contains(torch, prereleases=True) for specifier in wanted):
        found = f"{vision} needs torch {' '.join(map(str, wanted))}, and torch is {torch}"
        return judge(False, "torchvision", found, reinstall(torch))
    theirs, ours = ("CPU" if load() < 0 else "CUDA"), ("CUDA" if torch_cuda else "CPU")
    found = f"{vision} goes with torch {torch}; its C++ operators load, built for {theirs}"
    return judge(theirs == ours, "torchvision", f"{found}, torch for {ours}", reinstall(torch))


def operators() -> int:
    """Load torchvision's C++ operators; return the CUDA they are built for, -1 if none."""
    torch = importlib.import_module("torch")
    importlib.import_module("torchvision")
    return int(torch.ops.torchvision._cuda_version())


def reinstall(torch: str = "") -> str:
    """Say how to get a torch and a torchvision that match, for the devices of this torch."""
    tag = torch.partition("+")[2]
    known = re.fullmatch(r"cpu|cu\d+|rocm[\d.]+", tag)  # others are from PyPI, or were built here
    index = f" --index-url https://download.pytorch.org/whl/{tag}" if known else ""
    return f"pip uninstall --yes torch torchvision && pip install torch torchvision{index}"


def devices(built: bool, gpus: Sequence[Gpu], said: str, driver: bool) -> list[Finding]:
    """Judge the GPUs; that there are none is a problem only where there seems to be one.

    built: torch is for them; said: why there are none; driver: nvidia-smi is on PATH.
    """
    if not gpus:
        said = said.partition(". ")[0]
        reason = said if built else "torch is built for the CPU only"
        if "too old" in said or (driver and "No CUDA GPUs" not in said):
            update = "Update NVIDIA's driver, or install a torch for an older CUDA: see pytorch.org"
            found = f"none usable: {reason}, though NVIDIA's driver is here"
            return judge(False, "GPU", found, update if built else reinstall())
        return [Finding("note", "GPU", f"none, runs use the CPU: {reason}")]
    findings = [
        Finding("ok", f"cuda:{index}", f"{name}, {free / GB:.1f} of {total / GB:.1f} GB free")
        for index, (name, free, total) in enumerate(gpus)
    ]
    if not driver:  # environment.devices() asks nvidia-smi before it asks torch
        names = ",".join(finding.what for finding in findings)
        found = "nvidia-smi is not on PATH, so --devices auto takes the CPU"
        findings += judge(False, "GPU", found, f"unlearnbench run --devices {names}")
    return findings


def threads(cores: int, omp: str | None, torch_threads: int) -> list[Finding]:
    """Judge thread counts by the cores; omp: OMP_NUM_THREADS, None where it is not set."""
    first = (omp or "0").partition(",")[0].strip()  # a list has one number a level of nesting
    asked = max(torch_threads, int(first) if first.isdecimal() else sys.maxsize)
    found = f"{cores} may be used; OMP_NUM_THREADS is {omp or 'not set'}, torch takes"
    remedy = f"export OMP_NUM_THREADS={cores} MKL_NUM_THREADS={cores}"
    return judge(asked <= cores, "cores", f"{found} {torch_threads} (1 in a worker)", remedy)


def memory(free: int, cores: int, names: Sequence[str]) -> list[Finding]:
    """Judge free bytes by the workers that `run` starts on devices `names`."""
    cpu = list(names) == ["cpu"]
    workers = cores if cpu else len(names)
    needed = f"workers: {workers}, which need about {workers * WORKER / GB:.1f} GB"
    fit = max(int(free // WORKER), 1)
    fewer = f"--jobs-per-device {fit}" if cpu else f"--devices {','.join(names[:fit])}"
    remedy = f"unlearnbench run {fewer}, or close other programs"
    return judge(free >= workers * WORKER, "memory", f"{free / GB:.1f} GB free; {needed}", remedy)


def disk(free: int, folder: Path) -> list[Finding]:
    """Judge the free bytes at a folder."""
    found = f"{free / GB:.1f} GB free at {folder.absolute()}"
    return judge(free >= DISK, "disk", found, f"Make room, or {ELSEWHERE}")


def writable(folder: Path) -> list[Finding]:
    """Make a file in a folder and remove it; raises OSError where that cannot be done."""
    tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-").close()
    return [Finding("ok", "results", f"can be written in {folder.absolute()}")]


def data_sets(data: Path) -> list[Finding]:
    """Say which of the shipped data sets are below a folder; nothing is downloaded."""
    from unlearnbench import registry
    from unlearnbench.data.folders import FolderSource
    from unlearnbench.data.vision import TorchvisionSource

    findings = []
    for plugin in [p for p in registry.find("datasets").values() if not p.entry]:
        source, paths = registry.source_class(plugin)(data), []
        if isinstance(source, TorchvisionSource):
            paths = source.paths
        elif isinstance(source, FolderSource):
            paths = [source.folder / part for part in source.parts]
        where = " and ".join(str(path.absolute()) for path in paths) or "always there"
        there = all(path.exists() for path in paths)
        text = where if there else f"not there; looked for {where}"
        findings.append(Finding("ok" if there else "note", plugin.name, text))
    return findings


def added(kind: Literal["methods", "datasets", "models", "model_audits"]) -> list[Finding]:
    """Judge whether the plugins that other packages add load."""
    from unlearnbench import registry

    plugins = registry.find(kind)
    findings = [Finding("ok", kind, ", ".join(plugins))]
    for plugin, entry in [(p, p.entry) for p in plugins.values() if p.entry]:
        try:
            plugin.source()
            plugin.load()
        except UnlearnBenchError as error:
            package = entry.dist.name if entry.dist else entry.module
            remedy = f"pip install --force-reinstall {package}, or: pip uninstall {package}"
            findings += judge(False, kind, f"'{plugin.name}' ({entry.value}): {error}", remedy)
    return findings


def ask_torch(cores: int) -> list[Finding]:
    """Run the checks that need torch, which must be fit to import."""
    from importlib import metadata

    import torch

    version, cuda, omp = torch.__version__, torch.version.cuda, os.environ.get("OMP_NUM_THREADS")
    built, driver = bool(cuda or torch.version.hip), bool(shutil.which("nvidia-smi"))

    def vision() -> list[Finding]:
        about = metadata.distribution("torchvision")
        return pair(version, cuda, about.version, about.requires or [], operators)

    return [
        *guarded("torchvision", vision, remedy=reinstall(version)),
        *guarded("GPU", lambda: devices(built, *gpus(), driver)),
        *guarded("cores", threads, cores, omp, torch.get_num_threads()),
    ]


def gpus() -> tuple[list[Gpu], str]:
    """Return the GPUs that torch can use, or why there are none."""
    from torch import cuda

    try:
        cuda.current_device()
    except (AssertionError, RuntimeError) as error:
        return [], str(error)
    every = range(cuda.device_count())
    return [(cuda.get_device_name(index), *cuda.mem_get_info(index)) for index in every], ""


def free_memory() -> int:
    """Return the bytes that programs can still have."""
    import psutil  # here: 20 ms that no other command needs

    return min([psutil.virtual_memory().available, *left_to_container()])


def left_to_container() -> list[int]:
    """Return the bytes that a container may still take, as a list of one; [] where none is set.

    Of what it takes, files that are kept in memory and have not been used for long make room.
    """
    version_2 = "", "memory.max", "memory.current", "inactive_file"
    version_1 = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    for folder, *names, idle in (version_2, version_1):
        place = environment.CONTAINER / folder
        with suppress(OSError, ValueError):  # "max" is no number, and no limit
            most, taken = (int((place / name).read_text(encoding="utf-8")) for name in names)
            words = (place / "memory.stat").read_text(encoding="utf-8").split()
            return [most - taken + int(words[words.index(idle) + 1])]
    return []


def examine(data: Path, results: Path) -> list[Finding]:
    """Look at everything; neither folder need exist. Raises nothing."""
    cores = environment.cores()
    folder = next((p for p in (results, *results.parents) if os.access(p, os.F_OK)), results)
    findings = [Finding("ok", "python", f"{platform.python_version()} at {sys.executable}")]
    both = reinstall(environment.installed("torch") or "")  # a new torch wants a new torchvision
    for name in PACKAGES:
        remedy = both if name == "torch" else f"pip install --force-reinstall {name}"
        findings += guarded(name, package, name, remedy=remedy)
    if "torch" in sys.modules:  # else it has just been told that it fails to import
        findings += ask_torch(cores)
    findings += guarded("memory", lambda: memory(free_memory(), cores, environment.devices()))
    findings += guarded("disk", lambda: disk(shutil.disk_usage(folder).free, folder))
    findings += guarded("results", writable, folder, remedy=f"chmod u+rwx {folder}, or {ELSEWHERE}")
    findings += guarded("data sets", data_sets, data)
    for kind in ("methods", "datasets", "models", "model_audits"):
        findings += guarded(kind, added, kind)
    return findings


def doctor(data: Data = Path("data"), results: Results = Path("results")) -> None:
    """Say what this machine has, and what is wrong with it."""
    findings = examine(data, results)
    for finding in findings:
        line, *remedy = finding.lines
        say(line, hang=8 + BESIDE)
        say(*remedy, hang=10)
    raise typer.Exit(1 if any(finding.level == "PROBLEM" for finding in findings) else 0)
