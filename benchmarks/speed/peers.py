"""Environments of their own for what we are compared with, made once and kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

# torchattacks pins an old requests, adv-lib wants visdom, a logger whose build needs pkg_resources.
ATTACKS = [
    ["setuptools<81", "wheel"],
    ["--no-deps", "torchattacks==3.5.1", "foolbox==3.3.4", "adv-lib==0.2.8", "eagerpy==0.30.0"],
    ["--no-deps", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "tqdm"],
    ["--no-deps", "GitPython", "gitdb", "smmap", "websocket-client", "jsonpatch", "jsonpointer"],
    ["--no-deps", "--no-build-isolation", "visdom==0.2.4"],
]
# Its pins but for torch and torchvision, which are ours; debugpy is imported and not declared.
SUPREME = [
    ["--no-deps", "supreme-unlearning==0.1.5", "lightning==2.1.0", "pytorch-lightning==2.1.0"],
    [
        "lightning-utilities==0.15.3",
        "torchmetrics==1.9.0",
        "tqdm",
        "wandb==0.25.1",
        "debugpy",
        "setuptools<81",
        "python-dotenv==1.1.0",
        "numpy<2.0",
        "scipy==1.13.1",
        "scikit-learn==1.6.1",
        "requests==2.28.2",
        "urllib3<2.0.0",
        "charset-normalizer==3.0.1",
        "chardet==4.0.0",
    ],
]


def environment(steps: list[list[str]]) -> Path:
    """Return the Python of an environment with these packages, and ours behind them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unlearnbench-speed"
    name = hashlib.sha256(repr((steps, sys.prefix)).encode()).hexdigest()[:12]
    folder = cache / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        site = next((folder / "lib").glob("python*/site-packages"))
        (site / "zz-behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
        for packages in steps:
            pip = [str(python), "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        (folder / "ready").touch()
    return python


def unlearnbench(words: list[str], folder: Path) -> None:
    """Run our command line in a folder, as its users do: a process of its own."""
    quietly([sys.executable, "-m", "unlearnbench", *words], folder)


def quietly(command: list[str], folder: Path) -> None:
    """Run a command in a folder; what it prints is shown only where it fails."""
    done = subprocess.run(
        command, cwd=folder, env=variables(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def variables() -> dict[str, str]:
    """Return the variables under which another environment imports this checkout."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parent.parent), str(here)])
    return os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
