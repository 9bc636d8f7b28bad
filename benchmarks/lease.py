"""A lease of a GPU, from an empty machine to results that travel; see --help.

Each call works for so many minutes and goes on where the one before stopped. First comes what is
measured of the machine, then the size of the comparison is chosen by it, before the first model is
made; then models, in stages, and packs. What is to be taken home is in --out: lease.json and packs.
Nothing of unlearnbench is imported here, as packages may have to be installed first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARK, IMAGES = "cifar10-jpeg-fast", "cifar10-jpeg"
SHORT = ["seeds.retrains=3", "model_audits.relearning.sets=1"]
FORMS = {
    "L": ["recipe.epochs=20", *SHORT],
    "S": ["recipe.epochs=16", "controls=false", *SHORT],
    "shortest": ["recipe.epochs=10", "controls=false", *SHORT],
}
LEAST = {"L": 120.0, "S": 90.0, "shortest": 0.0}
"""TFLOP/s of our bf16 step from which on a form fits in a lease of 25 minutes."""
TINY = [
    "model=small-cnn",
    "data.train=120",
    "data.test=60",
    "recipe.epochs=2",
    "recipe.batch_size=32",
    "seeds.originals=[1]",
    "seeds.forget=[1]",
    "seeds.runs=[1]",
    "seeds.retrains=2",
    "references.count=2",
    "controls=false",
    "model_audits.relearning.sets=1",
]
STAGES = {
    "first models": "amun,ft",
    "six methods": "amun,ft,rl,salun,l1-sparse,neggrad-plus",
    "more methods": "amun,ft,rl,salun,l1-sparse,neggrad-plus,delete,scrub,ssd",
}
TINY_STAGES = {"first models": "ft", "six methods": "ft,ga"}
SPARE = 45.0
"""Seconds of a call that are kept for packing."""
GRACE = 40.0
"""Seconds that runs in flight are given to finish once a call's time is up."""
PART = 15 * 2**20
FILES, TOGETHER = 8, 64 * 2**20
"""What one call can bring home: files of at most 16 MiB, so many of them and bytes together."""


@dataclass
class Lease:
    """Hold what was asked, when the call must be over, and what earlier calls have done."""

    asked: argparse.Namespace
    ends: float
    done: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    """Whether the last program was, as its time was up."""

    @property
    def notes(self) -> Path:
        """Where it is kept what steps have found, between calls too."""
        return self.asked.work / "lease.json"

    @property
    def left(self) -> float:
        """Seconds until packing must begin."""
        return self.ends - time.monotonic() - SPARE

    def note(self, step: str, found: Any) -> None:
        """Keep what a step found; that it is there means that it is done."""
        self.done[step] = found
        draft = self.notes.with_suffix(".new")
        draft.write_text(json.dumps(self.done, indent=1), encoding="utf-8")
        draft.replace(self.notes)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that programs are started with: from a copy, uninstalled."""
        site, commit = self.asked.work / "site", self.asked.commit
        places = [str(site), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        more = {"UNLEARNBENCH_COMMIT": commit} if commit else {}
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), **more}

    def run(self, *words: str, limit: float | None = None) -> tuple[int, str]:
        """Run a program; return its code and what it printed. At its limit it hears Ctrl-C."""
        self.interrupted, log = False, self.asked.work / "last.log"
        with log.open("w", encoding="utf-8") as out:
            started = subprocess.Popen(
                [sys.executable, *words],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.asked.work,
                start_new_session=True,
            )
            for wait, number in ((limit, signal.SIGINT), (GRACE, signal.SIGINT), (15.0, None)):
                try:
                    started.wait(wait)
                    break
                except subprocess.TimeoutExpired:
                    self.interrupted = True
                    if number is None:
                        os.killpg(started.pid, signal.SIGKILL)
                        started.wait()
                    else:
                        started.send_signal(number)
        return started.returncode, log.read_text(encoding="utf-8", errors="replace")

    def ub(self, *words: str, limit: float | None = None) -> tuple[int, str]:
        """Run a command of unlearnbench."""
        return self.run("-m", "unlearnbench", *words, limit=limit)


def wheels(lease: Lease) -> Any:
    """Install the wheels that were carried, beside the machine's own packages."""
    if lease.asked.wheels is None:
        return "none given"
    files = sorted(map(str, lease.asked.wheels.glob("*.whl")))
    target = ["--target", str(lease.asked.work / "site"), "--upgrade", "--no-compile"]
    code, said = lease.run("-m", "pip", "install", "-q", "--no-index", "--no-deps", *target, *files)
    if code:
        raise SystemExit(f"The wheels cannot be installed:\n{said}")
    return [Path(file).name for file in files]


def images(lease: Lease) -> Any:
    """Put the images where they are looked for: a folder, or an archive that is unpacked."""
    place, given = lease.asked.work / "data" / IMAGES, lease.asked.images
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        return str(given.name)
    if given.is_dir():
        shutil.copytree(given, place)
    else:
        with tarfile.open(given) as archive:
            archive.extractall(place, filter="data")
    return str(given.name)


def doctor(lease: Lease) -> Any:
    """Note what the machine has, and what is wrong with it."""
    code, said = lease.ub("doctor", "--data", "data", limit=120)
    return {"code": code, "said": said.splitlines()}


def tests(lease: Lease) -> Any:
    """Run the tests that need a GPU."""
    if not lease.asked.device.startswith("cuda"):
        return "no GPU"
    # other versions than the ones we develop with may warn of what is no fault of a test
    words = ("-m", "pytest", "-q", "-m", "gpu", "-n0", "-p", "no:cacheprovider", "-W", "default")
    code, said = lease.run(*words, str(HERE.parent / "tests" / "test_gpu.py"), limit=180)
    return {"code": code, "said": said.splitlines()[-60:]}


def measured(what: str) -> Callable[[Lease], Any]:
    """Return a step that measures something in a process of its own; see lease_measures.py."""

    def step(lease: Lease) -> Any:
        words = [str(HERE / "lease_measures.py"), what, "--device", lease.asked.device]
        words += ["--tiny"] if lease.asked.tiny else []
        code, said = lease.run(*words, limit=max(30.0, min(240.0, lease.left)))
        lines = said.strip().splitlines()
        found = [line for line in lines if line.startswith("{")]  # libraries speak at the end too
        if code or not found:
            return {"failed": code, "said": lines[-20:]}
        return json.loads(found[-1])

    return step


def form(lease: Lease) -> Any:
    """Choose how much is compared, by the rate that was measured: a change discards every model."""
    rows = lease.done["throughput"].get("steps", [])
    best = max((row["tflops"] for row in rows if row["precision"] == "bf16"), default=0.0)
    chosen = next(name for name, least in LEAST.items() if best >= least)
    return {"form": lease.asked.form or chosen, "bf16 TFLOP/s": best}


FINISHED = (0, 1)
"""How a run ends whose models are made, but for some that failed."""


def models(methods: str) -> Callable[[Lease], Any]:
    """Return a step that makes models of some methods; stopped in time, it goes on next time."""

    def step(lease: Lease) -> Any:
        asked = lease.asked
        changes = TINY if asked.tiny else FORMS[lease.done["form"]["form"]]
        words = [
            "run",
            BENCHMARK,
            "--methods",
            methods,
            "--data",
            "data",
            "--devices",
            asked.device,
        ]
        words += ["--jobs-per-device", str(asked.jobs)] if asked.jobs else []
        words += [word for change in changes for word in ("--set", change)]
        code, said = lease.ub(*words, limit=max(1.0, lease.left - GRACE))
        lease.done["last run"] = {"code": code, "said": said.splitlines()[-40:]}
        if code not in FINISHED and not lease.interrupted:
            raise SystemExit(f"Models of {methods} cannot be made:\n{said}")
        return None if lease.interrupted else {"code": code}

    return step


def steps(asked: argparse.Namespace) -> dict[str, tuple[float, Callable[[Lease], Any]]]:
    """List the steps in order: the seconds that one needs at least, and what it does."""
    stages = TINY_STAGES if asked.tiny else STAGES
    return {
        "wheels": (0, wheels),
        "images": (0, images),
        "doctor": (0, doctor),
        "ceilings": (5, measured("ceilings")),
        "throughput": (20, measured("throughput")),
        "tests": (20, tests),
        "form": (0, form),
        "fidelity": (20, measured("fidelity")),
        **{name: (GRACE + 30, models(methods)) for name, methods in stages.items()},
    }


def bring(lease: Lease) -> None:
    """Pack what there is, and put into --out what was not brought by an earlier call.

    As many files as one call can take home; the rest is for the next call.
    """
    folder, out = lease.asked.work / "packs", lease.asked.out
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store = lease.asked.work / "results" / BENCHMARK
    if store.exists():
        target = str(folder / f"{IMAGES}.zip")
        size = f"{PART // 2**20}MB"
        code, said = lease.ub("results", "export", BENCHMARK, "--out", target, "--part-size", size)
        lease.done["packing"] = {"code": code, "said": said.splitlines()}
    brought, room, files = lease.done.setdefault("brought", {}), TOGETHER - 2**20, FILES - 1
    for pack in sorted(folder.glob("*.zip"), key=lambda path: (len(path.name), path.name)):
        about = [pack.stat().st_size, _mark(pack)]
        if brought.get(pack.name) != about and files and about[0] <= room:
            shutil.copy(pack, out)
            brought[pack.name] = about
            room, files = room - about[0], files - 1
    wanting = [
        pack.name
        for pack in folder.glob("*.zip")
        if brought.get(pack.name, [0, ""])[1] != _mark(pack)
    ]
    lease.note("left for the next call", wanting)
    shutil.copy(lease.notes, out / "lease.json")


def _mark(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


def read(words: list[str] | None = None) -> argparse.Namespace:
    """Read what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda:0", help="where models are made")
    parser.add_argument("--minutes", type=float, default=9.0, help="that this call may take")
    parser.add_argument("--jobs", type=int, help="runs at once; what fits if absent")
    parser.add_argument("--images", type=Path, required=True, help="folder or tar: train/, test/")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install first")
    parser.add_argument("--work", type=Path, default=Path("lease"), help="kept between calls")
    out = Path(os.environ.get("OUT", "lease-out"))
    parser.add_argument("--out", type=Path, default=out, help="what is taken home ($OUT)")
    parser.add_argument("--commit", default="", help="of this copy, for records")
    parser.add_argument("--form", choices=FORMS, help="in the place of the one that fits")
    parser.add_argument("--tiny", action="store_true", help="rehearse at the smallest size")
    asked = parser.parse_args(words)
    for name in ("images", "wheels", "work", "out"):
        if (path := getattr(asked, name)) is not None:
            setattr(asked, name, path.resolve())
    return asked


def work_off(lease: Lease) -> None:
    """Do what is left to do, for as long as there is time."""
    for name, (least, do) in steps(lease.asked).items():
        if name in lease.done:
            continue
        if lease.left < least:
            print(f"{name}: no time is left for it; the same command goes on", flush=True)
            break
        started = time.monotonic()
        found = do(lease)
        took = time.monotonic() - started
        print(f"{name}: {took:.1f} s{'' if found is not None else ', to be continued'}", flush=True)
        lease.done.setdefault("seconds", {}).setdefault(name, []).append(round(took, 1))
        if found is None:
            break
        lease.note(name, found)


def main() -> None:
    """Do what is left to do; then pack, also where a step went wrong: the machine keeps nothing."""
    asked = read()
    asked.work.mkdir(parents=True, exist_ok=True)
    lease = Lease(asked, time.monotonic() + 60 * asked.minutes)
    if lease.notes.exists():
        lease.done = json.loads(lease.notes.read_text(encoding="utf-8"))
    try:
        work_off(lease)
    finally:
        bring(lease)
    names = sorted(path.name for path in asked.out.iterdir())
    print(f"in {asked.out}: {', '.join(names)}", flush=True)
    if rest := lease.done["left for the next call"]:
        print(f"for the next call: {', '.join(sorted(rest))}", flush=True)
    if lease.done.get("packing", {}).get("code"):
        raise SystemExit("\n".join(lease.done["packing"]["said"]))


if __name__ == "__main__":
    main()
