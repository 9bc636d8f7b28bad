"""What is read, written and shown does not depend on the locale."""

from __future__ import annotations

import ast
import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ["unlearnbench", "methods", "docs/builder", "examples"]
FOREIGN = ("Image.open", "os.open", "archive.open")
"""What opens no text."""


def without_encoding(path: Path) -> Iterator[str]:
    """Yield the lines that open a text and leave its encoding to the locale."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        opening = ast.unparse(node.func)
        if not re.search(r"^open$|\.(read_text|write_text|open)$", opening) or opening in FOREIGN:
            continue
        modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        binary = any(
            isinstance(mode, str) and set(mode) <= set("rwab+") and "b" in mode for mode in modes
        )
        if not binary and not any(word.arg == "encoding" for word in node.keywords):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_no_encoding_is_left_to_the_locale() -> None:
    files = [path for folder in OURS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 100
    assert [line for path in files for line in without_encoding(path)] == []


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_is_shown_what_it_can_show(
    finished: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    from unlearnbench.cli.app import main

    shutil.copytree(finished / "results", tmp_path / "results")
    shown = io.BytesIO()
    words = ["run", str(tiny), "--methods", "ft,rl", "--jobs-per-device", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["unlearnbench", *words])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdout.flush()
    text = shown.getvalue().decode(encoding)
    assert end.value.code == 0 and "Next: unlearnbench report tiny" in text
    (row,) = [line for line in text.splitlines() if line.startswith("ft ")]
    assert ("±" in row) == (encoding != "ascii")
