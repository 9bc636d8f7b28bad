"""A machine that is well is told so; what is wrong with another is named, with its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from unlearnbench import environment
from unlearnbench.cli import doctor
from unlearnbench.cli.doctor import Finding, examine

GB = doctor.GB
H100 = ("NVIDIA H100", 70 * GB, 80 * GB)
NEEDS = ["numpy", "torch (==2.9.0)", "gdown>=4.7.3 ; extra == 'gdown'"]
BOTH = "pip uninstall --yes torch torchvision && pip install torch torchvision"
INDEX = "--index-url https://download.pytorch.org/whl"
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU"
    " driver by downloading and installing a new version."
)
NO_DRIVER = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU."
HIDDEN = "No CUDA GPUs are available"
NO_NMS = "operator torchvision::nms does not exist"
CPU_ONLY = "Torch not compiled with CUDA enabled"


def broken() -> int:
    raise RuntimeError(NO_NMS)


def problems(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings if finding.level == "PROBLEM"}


@pytest.mark.parametrize(
    "findings",
    [
        doctor.pair("2.9.0+cu130", "13.0", "0.24.0", NEEDS, lambda: 13000),
        doctor.pair("2.9.0+cpu", None, "0.24.0", NEEDS, lambda: -1),
        doctor.pair("2.9.0", None, "0.24.0", ["torch"], lambda: -1),
        doctor.pair("2.12.0.dev20260101", None, "0.27.0", ["torch>=2.4"], lambda: -1),
        doctor.devices(True, [H100, H100], "", True),
        doctor.devices(False, [], CPU_ONLY, False),
        doctor.devices(True, [], NO_DRIVER, False),
        doctor.devices(True, [], HIDDEN, True),
        doctor.threads(4, None, 4),
        doctor.threads(4, "4", 2),
        doctor.threads(4, "4,1", 4),
        doctor.memory(6 * GB, 4, ["cpu"]),
        doctor.memory(3 * GB, 64, ["cuda:0", "cuda:1"]),
        doctor.disk(2 * GB, Path("results")),
    ],
    ids=repr,
)
def test_nothing_is_wrong_with_a_healthy_machine(findings: list[Finding]) -> None:
    assert findings and not problems(findings)
    assert not any(finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("findings", "found", "remedy"),
    [
        (
            doctor.pair("2.8.0+cpu", None, "0.24.0", NEEDS, broken),
            "0.24.0 needs torch ==2.9.0, and torch is 2.8.0+cpu",
            f"{BOTH} {INDEX}/cpu",
        ),
        (
            doctor.pair("2.9.0+cpu", None, "0.24.0", NEEDS, lambda: 12080),
            "built for CUDA, torch for CPU",
            f"{BOTH} {INDEX}/cpu",
        ),
        (
            doctor.pair("2.9.0+cu130", "13.0", "0.24.0", NEEDS, lambda: -1),
            "built for CPU, torch for CUDA",
            f"{BOTH} {INDEX}/cu130",
        ),
        (
            doctor.pair("2.9.0", "13.0", "0.24.0", NEEDS, lambda: -1),
            "built for CPU, torch for CUDA",
            BOTH,
        ),
        (
            doctor.devices(True, [], TOO_OLD, True),
            "too old (found version 11040), though NVIDIA's driver is here",
            "Update NVIDIA's driver, or install a torch for an older CUDA: see pytorch.org",
        ),
        (doctor.devices(True, [], TOO_OLD, False), "too old (found version 11040)", "Update"),
        (doctor.devices(False, [], CPU_ONLY, True), "torch is built for the CPU only", BOTH),
        (
            doctor.devices(True, [H100, H100], "", False),
            "--devices auto takes the CPU",
            "unlearnbench run --devices cuda:0,cuda:1",
        ),
        (doctor.threads(2, "3", 1), "OMP_NUM_THREADS is 3", "export OMP_NUM_THREADS=2"),
        (doctor.threads(2, "many", 1), "OMP_NUM_THREADS is many", "export OMP_NUM_THREADS=2"),
        (doctor.threads(2, None, 3), "torch takes 3", "MKL_NUM_THREADS=2"),
        (
            doctor.memory(5 * GB, 4, ["cpu"]),
            "5.0 GB free; workers: 4, which need about 6.0 GB",
            "unlearnbench run --jobs-per-device 3,",
        ),
        (doctor.memory(GB, 4, ["cpu"]), "1.0 GB free", "unlearnbench run --jobs-per-device 1,"),
        (
            doctor.memory(4 * GB, 64, ["cuda:0", "cuda:1", "cuda:2"]),
            "workers: 3",
            "unlearnbench run --devices cuda:0,cuda:1,",
        ),
        (doctor.disk(2 * GB - 1, Path("/runs")), "free at /runs", "run --results DIR"),
    ],
)
def test_a_problem_is_named_with_its_remedy(
    findings: list[Finding], found: str, remedy: str
) -> None:
    (problem,) = problems(findings).values()
    assert found in problem.found
    assert remedy in problem.remedy
    assert INDEX in remedy or INDEX not in problem.remedy


def test_why_there_is_no_gpu_is_one_sentence() -> None:
    assert str(doctor.devices(True, [], NO_DRIVER, False)[0]) == (
        "note    GPU            none, runs use the CPU: Found no NVIDIA driver on your system"
    )


def test_a_gpu_is_shown_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", "GPU {}".format)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (index * GB, 8 * GB))
    shown = [str(finding) for finding in doctor.devices(True, *doctor.gpus(), True)]
    assert shown == [
        "ok      cuda:0         GPU 0, 0.0 of 8.0 GB free",
        "ok      cuda:1         GPU 1, 1.0 of 8.0 GB free",
    ]


def test_a_finding_is_one_line_and_its_remedy_another() -> None:
    finding = Finding("PROBLEM", "disk", "no\n  room", "Make room")
    assert str(finding) == "PROBLEM disk           no room\n        Make room"
    assert str(Finding("ok", "disk", "room")) == "ok      disk           room"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cut the network off; return who wanted it nevertheless."""
    made: list[str] = []

    def refuse(*args: object) -> None:
        made.append(repr(args))
        raise OSError("there is no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return made


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on a machine that has room, whoever else is busy on it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(doctor, "free_memory", lambda: 10**15)


def test_nothing_is_wrong_with_this_very_machine(tmp_path: Path, calls: list[str]) -> None:
    findings = examine(tmp_path / "data", tmp_path / "new" / "results")
    assert problems(findings) == {} and calls == []
    found = {finding.what: finding.found for finding in findings}
    assert {*environment.PACKAGES, "python", "pandas", "joblib", "cores", "memory"} <= found.keys()
    assert found["torch"] == environment.installed("torch")
    assert "its C++ operators load" in found["torchvision"]
    assert "salun" in found["methods"]
    assert found["results"] == f"can be written in {tmp_path}" and list(tmp_path.iterdir()) == []


def test_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    free = doctor.free_memory()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert total / 1000 < free <= total


@pytest.mark.parametrize(
    ("folder", "names", "most", "free"),
    [
        ("", ("memory.max", "memory.current", "inactive_file"), str(4 * GB), 3 * GB),
        ("", ("memory.max", "memory.current", "inactive_file"), "max", None),
        (
            "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            str(4 * GB),
            3 * GB,
        ),
    ],
)
def test_a_container_has_the_memory_that_it_is_given(
    folder: str,
    names: tuple[str, str, str],
    most: str,
    free: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(environment, "CONTAINER", tmp_path)
    place, (limit, taken, idle) = tmp_path / folder, names
    place.mkdir(exist_ok=True)
    (place / limit).write_text(f"{most}\n")
    (place / taken).write_text(f"{2 * GB}\n")
    (place / "memory.stat").write_text(f"active_file 7\n{idle} {GB}\nunevictable 0\n")
    assert doctor.left_to_container() == ([] if free is None else [free])
    assert doctor.free_memory() <= (free or 10**15)


def test_data_sets_are_looked_for_and_not_fetched(tmp_path: Path, calls: list[str]) -> None:
    folders = "cifar-10-batches-py train tiny-imagenet-200/train tiny-imagenet-200/val"
    for name in folders.split():
        (tmp_path / name).mkdir(parents=True)
    findings = {finding.what: finding for finding in doctor.data_sets(tmp_path)}
    there = {name for name, finding in findings.items() if finding.level == "ok"}
    assert there == {"cifar10", "digits", "tiny-imagenet"}
    assert all(findings[name].level == "note" for name in findings.keys() - there)
    paths = " and ".join(str(tmp_path / f"{part}_32x32.mat") for part in ("train", "test"))
    assert findings["svhn"].found == f"not there; looked for {paths}"
    assert str(tmp_path / "test") in findings["folder"].found
    assert calls == [] and len(list(tmp_path.iterdir())) == 3


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=GB))
    problem = problems(examine(tmp_path, tmp_path / "results"))["disk"]
    assert problem.found == f"1.0 GB free at {tmp_path}"
    assert "--results DIR" in problem.remedy


def test_a_results_folder_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    results.mkdir(mode=0o500)
    if os.access(results, os.W_OK):  # root may write everywhere

        def refuse(dir: Path, prefix: str) -> None:
            raise PermissionError(13, "Permission denied", str(dir))

        monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    problem = problems(examine(tmp_path, results))["results"]
    assert "Permission denied" in problem.found and str(results) in problem.found
    assert problem.remedy.startswith(f"chmod u+rwx {results}, or keep results elsewhere")


def test_a_file_in_the_place_of_the_results_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    assert "Not a directory" in problems(examine(tmp_path, tmp_path / "results"))["results"].found


def test_more_threads_than_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    problem = problems(examine(tmp_path, tmp_path))["cores"]
    assert "OMP_NUM_THREADS is 100000" in problem.found
    assert problem.remedy.startswith(f"export OMP_NUM_THREADS={environment.cores()} ")


def test_entry_points_that_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "extra_methods-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-methods\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[unlearnbench.methods]\nghost = no_such_module:Ghost\nsick = sick_module:Sick\n"
        "[unlearnbench.datasets]\nfine = fine_module:Fine\n"
    )
    (tmp_path / "sick_module.py").write_text("raise ValueError('out of order')\n")
    (tmp_path / "fine_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    findings = examine(tmp_path, tmp_path)
    ghost, sick = (finding for finding in findings if finding.level == "PROBLEM")
    assert ghost.what == sick.what == "methods"
    assert ghost.found.startswith("'ghost' (no_such_module:Ghost): Cannot read")
    assert sick.found.startswith("'sick' (sick_module:Sick): ") and "out of order" in sick.found
    remedy = "pip install --force-reinstall extra-methods, or: pip uninstall extra-methods"
    assert ghost.remedy == sick.remedy == remedy


def test_a_check_that_raises_is_a_problem_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise ZeroDivisionError("half a machine")

    well = [finding.what for finding in examine(tmp_path, tmp_path)]
    monkeypatch.setattr(doctor, "free_memory", fail)
    monkeypatch.setattr(doctor, "operators", broken)
    findings = examine(tmp_path, tmp_path)
    assert [finding.what for finding in findings] == well
    found = problems(findings)
    assert found.keys() == {"memory", "torchvision"}
    assert found["memory"].found == "ZeroDivisionError: half a machine"
    assert found["memory"].remedy == doctor.REPORT
    assert found["torchvision"].found == f"RuntimeError: {NO_NMS}"
    assert found["torchvision"].remedy.startswith(BOTH)


def test_packages_that_do_not_import(tmp_path: Path) -> None:
    for name in ("scipy", "pandas", "joblib"):  # empty ones, to be quick
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: no such file')")
    (tmp_path / "sklearn.py").write_text("raise ImportError('numpy.dtype size changed')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom pathlib import Path\n"
    code += "from unlearnbench.cli.doctor import examine\n"
    code += "print(*examine(Path(), Path()), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    at = [number for number, line in enumerate(lines) if line.startswith("PROBLEM")]
    assert [lines[number].split(maxsplit=2)[1:] for number in at] == [
        ["torch", "OSError: libcudart.so.13: no such file"],
        ["scikit-learn", "ImportError: numpy.dtype size changed"],
    ]
    assert lines[at[0] + 1].startswith(f"        {BOTH}")
    assert lines[at[1] + 1] == "        pip install --force-reinstall scikit-learn"
    assert any(line.startswith("ok      methods") for line in lines)
