"""What is written for people, as tests see it: commands, examples, a copy of the code with them."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from docs.builder.markdown import DOCS, PLACE
from docs.builder.site import sources
from tests.conftest import Cli

ROOT = DOCS.parent
EXTEND = sorted([*DOCS.glob("guide/add-*.md"), DOCS / "guide" / "extend.md"])
"""Pages whose examples belong together."""
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.M | re.S)
SHELLS = {"bash", "console", "sh", "shell"}
PROGRAM = r"(?:unlearnbench|make|python|pip) "
COPIED = ("unlearnbench", "methods", "benchmarks")


@dataclass(frozen=True)
class Command:
    """A line to be typed and the page that has it."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def commands() -> list[Command]:
    """List every command of the guide, README and CONTRIBUTING: in shell blocks and in the text.

    In the text, what has a word in capitals stands for many commands.
    """
    found: dict[tuple[str, str], Command] = {}
    written = [*(DOCS / path for path in sources()), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for path in written:
        text = PLACE.sub("", path.read_text())  # what is taken in names commands, whole ones or not
        lines = [
            line
            for kind, _, body in FENCE.findall(text)
            if kind in SHELLS
            for line in body.replace("\\\n", " ").splitlines()
        ]
        prose = FENCE.sub("", text)
        lines += re.findall(rf"^ {{4}}({PROGRAM}.*)", prose, re.M)
        said = re.findall(rf"`({PROGRAM}[^`\n]*)`", prose)
        lines += [line for line in said if not re.search(r"\b[A-Z]{3,}\b|<|\.\.\.", line)]
        for line in lines:
            for part in line.split(" #")[0].split(";"):
                bare = part.strip()
                if bare and not bare.startswith("#"):
                    found.setdefault((path.name, bare), Command(path.name, bare))
    return list(found.values())


def understood(inside: Cli, words: list[str]) -> None:
    """Type a command where nothing has been run, and see that it is understood.

    words: after `unlearnbench`. Runs are planned only, and what needs results must say so.
    """
    if ">" in words:
        words = words[: words.index(">")]
    if words[0] == "run" and "--dry-run" not in words:
        words = [*words, "--dry-run"]
    if "--watch" in words:  # which would wait for the first run; tests/test_compare.py tries it
        words = [word for word in words if word != "--watch"]
    if words[0] == "tune":  # a tuning of seconds is in tests/test_tune.py
        words = [*words, "--set", "data.validation=0"]
    done = inside(*words)
    if words[0] == "tune":
        assert done.code == 2 and "has no validation samples" in done.err
    elif words[0] == "report" and "--board" in words:
        assert done.code == 2 and "There are no packs in" in done.err
    elif words[0] == "report":
        assert done.code == 2 and "There are no results of '" in done.err
    elif words[0] in ("audit", "apply") or words[:2] == [
        "results",
        "import",
    ]:  # tests/test_stories.py does it where the files are
        assert done.code == 2 and "There is no file" in done.err
    elif words[:2] in (["results", "prune"], ["results", "rm"], ["results", "export"]):
        assert (
            done.code == 2 and "There are no results of 'digits' in the folder results" in done.err
        )
    elif words[0] == "doctor":  # this machine may be ill
        assert done.code == ("PROBLEM" in done.out) and "torchvision" in done.out
    else:
        assert done.code == 0, done.out + done.err


def readme_method() -> str:
    """Return the method that README shows."""
    text = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", text, flags=re.S)
    assert isinstance(code, str)
    return code


def examples() -> list[tuple[str, str, str]]:
    """List the blocks of the pages about extending that have a place: language, path, text."""
    found = []
    for kind, about, body in FENCE.findall("\n".join(page.read_text() for page in EXTEND)):
        titled = re.search(r'title="([^"]+)"', about)
        if titled:
            found.append((kind, titled[1], body))
    return found


def patched(text: str, diff: str) -> str:
    """Add the lines of a diff below the line of context before them, which must be unique."""
    below = 0
    for line in diff.splitlines(keepends=True):
        if line.startswith("+"):
            text = text[:below] + line[1:] + text[below:]
        else:
            assert text.count(line[1:]) == 1, f"not there just once: {line}"
            below = text.index(line[1:])
        below += len(line[1:])
    return text


def put_in_place(folder: Path) -> None:
    """Copy the code to `folder` and add to it all that the pages about extending show."""
    ignored = shutil.ignore_patterns("__pycache__", "speed", "crosscheck", "tuning")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for kind, place, body in examples():
        path = folder / place
        if kind == "diff":
            path.write_text(patched(path.read_text(), body))
        elif place != "pyproject.toml":
            assert not path.exists(), f"{place} is there already"
            path.write_text(body)
