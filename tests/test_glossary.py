"""One word, one meaning: no public class or function of the package is defined in two files."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from unlearnbench.audits.parts import GROUPS

ROOT = Path(__file__).parent.parent
# Found by folder: what such a file must define has the same name in all of them. Commands and
# options of cli/ are called as they are typed.
ALIKE_THROUGHOUT = ("methods", "models", "datasets", "controls", "papers", "cli")
# The same thing in each of its places.
ALIKE = {
    "Condition": "of the library: that of evaluation/, with tables and figures",
    "Index": "an array of positions",
    "online": "a form of RMIA and of LiRA",
    "offline": "a form of RMIA and of LiRA",
}


def public(path: Path) -> set[str]:
    """Return the public functions, classes and types that a file defines; no constants."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_") and not name.isupper()}


def test_every_public_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in sorted((ROOT / "unlearnbench").rglob("*.py")):
        if path.parent.name not in ALIKE_THROUGHOUT:
            for name in public(path):
                places[name].append(str(path.relative_to(ROOT)))
    assert ALIKE.keys() <= {name for name, files in places.items() if len(files) > 1}
    twice = [f"{name}: {', '.join(f)}" for name, f in places.items() if len(f) > 1]
    assert [line for line in twice if line.partition(":")[0] not in ALIKE] == []


def test_the_page_of_words_has_those_of_the_code() -> None:
    page = (ROOT / "docs" / "guide" / "words.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    told = {word.strip() for row in rows for word in row.split(",")}
    for word in ("original", "retrain", "condition", "row", "verdict", "claim", "findings"):
        assert word in told


def test_pages_say_of_each_auc_which_samples_score_higher() -> None:
    """The name of FR AUC, F for forget and R for retain, has the two the other way round."""
    for page in ("words.md", "reading.md"):
        text = " ".join((ROOT / "docs" / "guide" / page).read_text().split())
        for metric in ("fr_auc", "rt_auc"):
            higher, lower = (name.replace("others", "non-members") for name in GROUPS[metric])
            name = metric.removesuffix("_auc").upper()
            assert any(f"{name}{told} {higher} above {lower}" in text for told in ("", ":")), page
