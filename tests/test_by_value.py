"""Classes of a script or a notebook: what they are made of, and that they stay as they are."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import pytest

from unlearnbench import by_value, registry
from unlearnbench.errors import UserError
from unlearnbench.registry import Plugin

FIRST = """
import numpy as np, torch, unlearnbench as ub
from dataclasses import dataclass
from unlearnbench.toolkit import finetune
@dataclass
class Config:
    lr: float = 0.1
K, FORGET, PARTS = 1.0, 1, {"a", "b"}
DRAWN, WEIGHTS, CONFIG = np.arange(200), torch.zeros(3), Config()
def deeper():
    return 1
def helper():
    return deeper()
@torch.no_grad()
def decorated():
    return 1
class Base(ub.Method):
    '''A base.'''
    def step(self):
        return 1
def make(factor):
    class Inner(ub.Method):
        '''Hold a factor.'''
        def unlearn(self, model, task):
            return factor
    return Inner
"""
SECOND = """
class Mine(Base):
    '''Use a bit of everything.'''
    def unlearn(self, model, task, size=K):
        used = [helper() for _ in ()], decorated, PARTS, DRAWN, WEIGHTS, CONFIG
        return K, finetune, task.FORGET
"""


def run_cell(text: str, known: dict[str, Any]) -> None:
    """Run a cell as a notebook does: in __main__, with lines that only Python's cache has."""
    file = f"<cell {len(linecache.cache)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), known)


def call(method: Any) -> Any:
    return method().unlearn(None, SimpleNamespace(FORGET=1))


@pytest.fixture
def cells() -> dict[str, Any]:
    """Return what two cells of a notebook have defined."""
    known: dict[str, Any] = {"__name__": "__main__"}
    run_cell(FIRST, known)
    run_cell(SECOND, known)
    return known


def test_a_class_of_this_process_stays_as_it_is(cells: dict[str, Any]) -> None:
    mine = cells["Mine"]
    plugin, function = Plugin.of(mine), mine.unlearn
    assert registry.method_class(plugin) is mine and mine.unlearn is function
    assert Plugin.of(mine).source_hash() == plugin.source_hash(), "nothing has changed"
    run_cell("K = 0.0", cells)
    assert registry.method_class(plugin) is mine
    assert call(mine)[0] == 0.0


@pytest.mark.parametrize(
    "cell",
    [
        "K = 0.0",
        "def deeper(): return 2",
        "def helper(): return 1",
        "@torch.no_grad()\ndef decorated(): return 2",
        "PARTS = {'a', 'c'}",
        "DRAWN[100] = 0",
        "WEIGHTS[1] = 1",
        "CONFIG.lr = 0.2",
        FIRST[FIRST.index("class Base") : FIRST.index("def make")].replace("1", "2") + SECOND,
        SECOND.replace("size=K", "size=2"),
        "finetune = helper",
        "decorated, helper = helper, decorated",
    ],
)
def test_what_a_class_refers_to_is_part_of_its_source(cells: dict[str, Any], cell: str) -> None:
    before = Plugin.of(cells["Mine"]).source_hash()
    run_cell(cell, cells)
    assert Plugin.of(cells["Mine"]).source_hash() != before


@pytest.mark.parametrize("cell", [f"{FIRST}{SECOND}", "FORGET = 2", "def make(): pass"])
def test_what_it_does_not_refer_to_is_not(cells: dict[str, Any], cell: str) -> None:
    """Nor is where in the notebook it stands; an attribute may be called as a global is."""
    before = Plugin.of(cells["Mine"]).source_hash()
    run_cell(cell, cells)
    assert Plugin.of(cells["Mine"]).source_hash() == before


def test_the_parts_of_the_package_that_it_calls_are_imported_there(cells: dict[str, Any]) -> None:
    source = by_value.source_of(cells["Mine"])
    assert "\nfrom unlearnbench.toolkit.training import finetune\n" in source
    compile(source, "source", "exec")


def test_a_file_of_ones_own_is_read_with_what_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: dict[str, Any]
) -> None:
    (tmp_path / "by_value_one.py").write_text("from by_value_two import two\ndef one(): two()\n")
    (tmp_path / "by_value_two.py").write_text("def two(): return 'here'\n")
    monkeypatch.syspath_prepend(tmp_path)
    run_cell(f"import by_value_one\n{SECOND.replace('K,', 'by_value_one,')}", cells)
    source = by_value.source_of(cells["Mine"])
    assert "def one()" in source and "def two(): return 'here'" in source


def test_what_cannot_be_told_is_another_each_time(cells: dict[str, Any]) -> None:
    run_cell("class Odd:\n    def __reduce_ex__(self, protocol): raise TypeError", cells)
    run_cell("K = Odd()", cells)
    assert by_value.source_of(cells["Mine"]) != by_value.source_of(cells["Mine"])


def test_two_classes_of_one_name_are_not_taken_for_one(cells: dict[str, Any]) -> None:
    one, other = (cells["make"](factor) for factor in (0.0, 1.0))
    assert Plugin.of(one).source_hash() != Plugin.of(other).source_hash()
    with pytest.raises(UserError, match=r"Two methods are called 'inner'.*Give the class"):
        registry.find("methods", [one, other])
    assert registry.find("methods", [one, one])["inner"].pickled


def test_a_worker_that_lives_long_makes_each_version_again(
    cells: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a cluster outlives a run; to it, all versions of a class are the same object."""
    run_cell("class Mine(ub.Method):\n    def unlearn(self, model, task): return K", cells)
    first = Plugin.of(cells["Mine"])
    run_cell("K = 0.0", cells)
    second = Plugin.of(cells["Mine"])
    monkeypatch.setattr(by_value, "_here", WeakValueDictionary())
    made = [call(registry.method_class(one)) for one in (first, second, first)]
    assert made == [1.0, 0.0, 1.0]


SCRIPT = """
import sys
import unlearnbench as ub
from torch import nn

K = 1.0

class Scaled(ub.Method):
    '''Multiply the weights by K.'''
    def unlearn(self, model, task):
        for one in model.parameters():
            one.data.mul_(K)
        return model

class Broken(ub.Method):
    '''Fail.'''
    def unlearn(self, model, task):
        return {}["nothing"]

if __name__ == "__main__":
    bench = ub.benchmark(sys.argv[1], seeds=1).set("recipe.epochs", 1)
    bench = bench.set("references.count", 2).set("seeds.retrains", 1)

    def run(*methods, **how):
        found = ub.run(bench, methods=[*methods], jobs_per_device=1, **how)
        failed = [one["label"] for one in found.findings.failures]
        runs = found.runs.set_index("label")["forget_confidence"]
        return [*found.findings.stale], failed, runs.get("scaled"), "broken" in runs

    stale, failed, first, _ = run(Scaled, Broken)
    assert (stale, failed) == ([], ["broken"])
    again = run(Scaled, Broken)
    assert again == ([], ["broken"], first, False), again
    K = 0.0
    old = run(Scaled)
    assert old == (["scaled"], [], first, False), old
    model = nn.Linear(2, 2)
    Scaled().unlearn(model, None)
    assert not model.weight.any(), "the class that one has is not changed"
    class Broken(ub.Method):
        '''Do not fail any more.'''
        def unlearn(self, model, task):
            return model
    stale, failed, second, made = run(Scaled, Broken, retry_stale=True)
    assert (stale, failed, made) == ([], [], True) and second != first
"""


@pytest.mark.slow
def test_a_script_can_change_its_methods_and_run_them_again(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, "script.py", str(tiny)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


TOLD = """
import sys
from pathlib import Path
from tests.test_by_value import FIRST, SECOND, run_cell
from unlearnbench import by_value
known = {"__name__": "__main__"}
run_cell(FIRST + SECOND, known)
print(by_value.source_of(known["Mine"]))
"""


@pytest.mark.slow
def test_it_is_the_same_source_in_every_process() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", TOLD],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] and "class Mine(Base):" in told[0]
