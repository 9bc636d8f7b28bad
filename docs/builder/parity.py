"""How far each method's weights are from a derivation and from a plain port of its update."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args
from xml.etree import ElementTree

import pandas as pd

from docs.builder import markdown
from docs.builder.markdown import DOCS, ROOT
from unlearnbench.outline import settings_class
from unlearnbench.registry import find

PATH = DOCS / "parity.csv"
TESTS = ("test_parity*.py", "test_exactness.py", "test_random_labels.py")
"""What is run: whose weights are compared there, the fixture `parity` notes how."""
LIMIT = 1e-5
"""What rounding may come to: weights are float32 and of order 1, and it grows from step to step."""
Kind = Literal["derivation", "port"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MARK = "parity"
"""Of a note, among others that tests may leave."""


def noted(method: str, kind: Kind) -> str:
    """Name what a test notes of a comparison."""
    return f"{MARK}:{kind}:{method}"


def write() -> None:
    """Run the tests, and keep for the pages the largest difference of each method and kind."""
    with TemporaryDirectory() as place:
        report = Path(place, "parity.xml")
        tests = [str(path) for name in TESTS for path in sorted((ROOT / "tests").glob(name))]
        notes = [f"--junitxml={report}", "-o", "junit_family=xunit1"]  # xunit2 has none of a test
        command = [sys.executable, "-m", "pytest", "-q", "-n0", *notes, *tests]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise SystemExit("The tests do not pass, and docs/parity.csv was left as it is.")
        collected(ElementTree.parse(report).iter("property")).to_csv(PATH, float_format="%.1e")


def collected(properties: Iterable[ElementTree.Element]) -> pd.DataFrame:
    """Return the largest differences: a line for each method, a column for each kind."""
    lines = [(*one.attrib["name"].split(":"), one.attrib["value"]) for one in properties]
    columns = ["mark", "kind", "method", "apart"]
    frame = pd.DataFrame([line for line in lines if line[0] == MARK], columns=columns)
    frame["apart"] = frame["apart"].astype(float)
    largest = frame.groupby(["method", "kind"])["apart"].max()
    return largest.unstack().reindex(columns=[*KINDS])


def table(path: Path) -> str:
    """Tabulate the differences; path: the CSV that `write` wrote."""
    rows = [
        [_linked(line["method"]), *(f"{line[kind]:.0e}" for kind in KINDS)]
        for line in pd.read_csv(path).to_dict("records")
    ]
    columns = ["Method", "From a derivation", "From a port"]
    return markdown.table(columns, rows, columns[1:])


def _linked(method: str) -> str:
    title = settings_class(find("methods")[method]).title or method
    return f"[{title}](recipes/{method}.md)"
