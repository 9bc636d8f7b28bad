"""What stands behind a run: helpers, methods built on, files and models; and what it must fit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from tests.conftest import TINY, Cli
from unlearnbench import architectures, registry
from unlearnbench.data.prepare import DataSpec
from unlearnbench.errors import DataError, MethodError, UserError
from unlearnbench.execution.building import build_model
from unlearnbench.execution.pool import load_data
from unlearnbench.execution.trying import examine
from unlearnbench.outline import facts, known_by, settings_class
from unlearnbench.planning import sources
from unlearnbench.planning.sources import Code
from unlearnbench.registry import Plugin
from unlearnbench.syntax import constant

MINE = '''
"""RL, then a little repair."""

from torch import nn

import unlearnbench as ub
from unlearnbench import Task, param

from . import amounts


class Mine(type(ub.method("rl"))):
    """Do as RL does, and repair."""

    paper = "https://example.org"
    needs_retain = True

    epochs: int = param(1, ge=1, help="passes")

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Hand the model on."""
        from .more.late import LR

        repair = ub.method("ft", lr=amounts.RATE * LR, epochs=1)
        return task.hand_to(repair, super().unlearn(model, task))
'''


def write(folder: Path, files: dict[str, str], mine: str = MINE) -> Path:
    """Write files by name, and the method beside them; return the method's."""
    for name, text in ({"mine": mine} | files).items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder / "mine.py"


@pytest.fixture
def mine(tmp_path: Path) -> Plugin:
    return Plugin.of(write(tmp_path, {"amounts": "RATE = 0.01\n", "more/late": "LR = 0.5\n"}))


def test_a_method_may_build_on_another_and_on_what_is_beside_it(mine: Plugin) -> None:
    assert {problem for _, problem in examine(mine.path)} == {None}
    fields = settings_class(mine).model_fields
    rl = settings_class(registry.find("methods")["rl"]).model_fields
    assert list(fields) == list(rl) and fields["epochs"].default == 1
    assert fields["lr"].default == rl["lr"].default
    code = (
        "import sys; from pathlib import Path; from unlearnbench.registry import Plugin;"
        "from unlearnbench.outline import settings_class;"
        f"settings_class(Plugin.of(Path({str(mine.path)!r})));"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_file_that_a_method_is_made_of_is_hashed(mine: Plugin, tmp_path: Path) -> None:
    known = registry.find("methods")
    texts = [(tmp_path / name).read_text() for name in ("amounts.py", "more/late.py")]
    texts += [known[name].source() for name in ("ft", "rl")]
    assert mine.sources() == [mine.source(), *sorted(texts)]
    hashes, rates = [mine.source_hash()], [mine.load().amounts.RATE]
    for name in ("amounts", "more/late", "unused"):
        write(tmp_path, {name: "RATE = LR = 0.02\n"})
        hashes.append(mine.source_hash())
        rates.append(mine.load().amounts.RATE)
    assert len(set(hashes)) == 3 and hashes[2] == hashes[3]
    assert rates == [0.01, 0.02, 0.02, 0.02], "a helper is as new as its method"


def test_imports_are_followed_from_file_to_file_and_nowhere_else(tmp_path: Path) -> None:
    files = {
        "one": "from . import pack\nimport mine",
        "unlearnbench/Method": "X = 1",
        "pack/__init__": "from .three import *",
        "pack/three": "import one",
        "pack/sub/two": "from .. import four\nfrom ..five import X",
        "pack/four": "",
        "pack/five": "broken(",
        "pack/six": "",
        "torch": "",
    }
    imports = "import torch, one\nfrom unlearnbench import Method\nfrom pack.sub import two, Y"
    path = write(tmp_path, files, imports)
    found = Plugin.of(path).sources()
    read = {text for text in found if text}
    names = ["one", "pack/__init__", "pack/three", "pack/sub/two", "pack/five"]
    assert read == {path.read_text(), *((tmp_path / f"{name}.py").read_text() for name in names)}
    # torch.py is hashed for being there, though Python would not take it; so is pack/four.py.
    assert len(found) == len(read) + 2


def test_a_method_without_any_has_the_hash_that_it_had_in_stored_results() -> None:
    import hashlib

    for plugin in registry.find("methods").values():
        if len(plugin.sources()) == 1:
            text = plugin.path.read_bytes()
            assert plugin.source_hash() == hashlib.sha256(text).hexdigest()[:16]


def test_of_a_package_a_method_has_the_modules_that_it_imports(tmp_path: Path) -> None:
    """And no other: a change to another method's file makes nothing of this one's stale."""
    site = tmp_path / "site-packages"
    files = {
        "yours/__init__": "",
        "yours/maths": "from yours.deep import nested",
        "yours/deep/__init__": "",
        "yours/deep/nested": "X = 1",
        "yours/methods/__init__": "",
        "yours/methods/helper": "from ..units import Y",
        "yours/units": "Y = 1",
        "yours/methods/other": "Z = 1",
        "others/__init__": "",
    }
    text = "import others\nfrom yours.maths import nested\nfrom .helper import Y\n"
    write(site, files | {"yours/methods/one": text}, "")
    entry = EntryPoint("one", "yours.methods.one", "unlearnbench.methods")
    plugin = Plugin("one", site / "yours/methods/one.py", entry)
    whole = Plugin("all", site / "yours/__init__.py", EntryPoint("all", "yours", "x"))
    assert whole.home == plugin.home == (site, "yours")
    changed, first = set(), plugin.source_hash()
    for name in files:
        before = (site / f"{name}.py").read_text()
        (site / f"{name}.py").write_text(f"{before}\n# changed")
        if plugin.source_hash() != first:
            changed.add(name.removeprefix("yours/"))
        (site / f"{name}.py").write_text(before)
    assert changed == {"__init__", "maths", "deep/__init__", "deep/nested"} | {
        "methods/helper",
        "units",
    }


def test_the_toolkit_behind_a_run_is_what_its_method_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "unlearnbench"
    for room in ("toolkit", "execution", "data", "planning", "reporting"):
        shutil.copytree(sources.PACKAGE / room, package / room)
    for name in ("authoring", "recipe", "seeds", "registry", "errors"):
        shutil.copy(sources.PACKAGE / f"{name}.py", package)
    monkeypatch.setattr(sources, "PACKAGE", package)
    monkeypatch.setattr(sources, "FIRST", package / "execution" / "execute.py")
    known = registry.find("methods")

    def hashes() -> list[str]:
        """Of what trains from scratch, of a method without a search, and of one with it."""
        return [sources.toolkit(plugins) for plugins in ([], [known["ft"]], [known["amun"]])]

    def unlike(name: str, old: str, new: str) -> list[bool]:
        before, file = hashes(), package / f"{name}.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        found = [one != other for one, other in zip(before, hashes(), strict=True)]
        file.write_text(text)
        return found

    assert unlike("toolkit/training", "return ", "return not ") == [True, True, True]
    assert unlike("recipe", "0.1", "0.2") == [True, True, True]
    assert unlike("data/splits", "return ", "return 1 + ") == [True, True, True]
    assert unlike("toolkit/adversarial", "return ", "return not ") == [False, False, True]
    assert unlike("reporting/summary", "return ", "return not ") == [False] * 3
    assert unlike("planning/rows", "return ", "return not ") == [False] * 3
    words = 'import torch\n# A comment.\n"""And words\nof two lines."""\n\n'
    assert unlike("toolkit/training", "import torch\n", words) == [False] * 3


def test_a_helper_imported_as_if_installed_is_told_how(tmp_path: Path) -> None:
    plugin = Plugin.of(write(tmp_path, {"helper_of_mine": ""}, "import helper_of_mine"))
    with pytest.raises(
        UserError, match=r"helper_of_mine.py is beside it: write from \. import hel"
    ):
        plugin.load()


NAMING = '''
"""Names things."""

import unlearnbench as ub


class Naming(ub.Method):
    """Begin with another method, and read files."""

    paper = "https://example.org"

    first: str = ub.param("rl", help="method to begin with", names="method")
    weights: str | None = ub.param(None, help="of a generator", names="file")
    tables: list[str] = ub.param([], help="more to read", names="file")

    def unlearn(self, model, task):
        return model
'''


def test_what_settings_name_is_part_of_the_source(tmp_path: Path) -> None:
    plugin = Plugin.of(write(tmp_path, {}, NAMING))
    one, two = tmp_path / "one.pt", tmp_path / "two.csv"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    code = Code(plugin, settings_class(plugin))
    assert code.under({}) == plugin.source_hash()
    settings = {"first": "rl", "weights": str(one), "tables": [str(one), str(two)]}
    hashes = {code.under({"first": name}) for name in ("rl", "ft")} | {code.under(settings)}
    one.write_bytes(b"other")
    hashes.add(code.under(settings))
    two.write_bytes(b"other")
    hashes.add(code.under(settings))
    assert len(hashes) == 5
    with pytest.raises(UserError, match=r"mine\.tables = 'nowhere': there is no such file"):
        code.under({"tables": [str(one), "nowhere"]})
    with pytest.raises(UserError, match=r"Unknown method 'rll'\. Did you mean 'rl'\?"):
        code.under({"first": "rll"})


def test_of_files_that_a_folder_alone_names_only_near_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of a stranger's folder reads none of mine but what lies in the working folder."""
    plugin = Plugin.of(write(tmp_path, {}, NAMING))
    known = known_by(plugin.name, facts(plugin))
    code, mine = Code(known, settings_class(known)), tmp_path / "mine"
    mine.write_bytes(b"mine")
    read: list[Path] = []
    monkeypatch.setattr(sources, "checksum", read.append)
    for settings in ({"weights": str(mine)}, {"tables": [str(mine)]}):
        for read_by in (code.under, code.plugins):
            with pytest.raises(UserError, match=r"The file of 'mine' is not here"):
                read_by(settings)
    assert read == [] and code.under({"weights": None}) == plugin.source_hash()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(mine)
    for name in ("link", "../mine", "absent"):
        with pytest.raises(UserError, match=r"The file of 'mine' is not here"):
            code.under({"weights": name})
    assert code.under({"weights": "mine"}) != plugin.source_hash() and read == [Path("mine")]


@pytest.mark.slow
def test_what_a_setting_names_is_asked_for_before_a_run_and_stale_after(
    inside: Cli, cli: Cli, tmp_path: Path
) -> None:
    path = write(tmp_path, {"helper": "X = 1"}, "from .helper import X\n" + NAMING)
    weights, bench = tmp_path / "generator.pt", tmp_path / "small.toml"
    bench.write_text(TINY.partition("[methods.ft]")[0].replace("count = 4", "count = 2"))
    words = ["run", bench, "--seeds", "1", "--methods", "mine", "--plugin", path]
    words += ["--set", "seeds.retrains=1", "--set", "mine.weights=generator.pt"]
    missing = inside(*words, "--dry-run")
    assert missing.code == 2
    assert "mine.weights = 'generator.pt': there is no such file." in missing.err
    wrong = inside(*words[:-2], "--set", "mine.first=rll", "--dry-run")
    assert wrong.code == 2 and "Unknown method 'rll'. Did you mean 'rl'?" in wrong.err
    weights.write_bytes(b"first")
    done = cli(*words)
    assert done.code == 0 and "stale" not in done.out, done.out + done.err
    assert "5 models; 5 done\n" in inside(*words, "--dry-run", "--retry-stale").out
    for changed, text in ((weights, "second"), (tmp_path / "helper.py", "X = 2")):
        before = changed.read_text()
        changed.write_text(text)
        assert "4 done; 1 to make" in inside(*words, "--dry-run", "--retry-stale").out
        told = inside(*words).out
        assert "stale (‡), made before the method changed: mine (1 run)" in told
        changed.write_text(before)
    weights.unlink()
    shown = inside("report", "small")
    assert shown.code == 0 and "stale" not in shown.out, "nobody can say without the file"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "rum.high=rum",
            "rum.high = 'rum': it hands models to other methods itself. Name a method",
        ),
        ("rum.middle=ftt", "Unknown method 'ftt'. Did you mean 'ft'?"),
        ("rum.high_keep=0.5", "Unknown hyperparameter of rum: 'high_keep'."),
    ],
)
def test_what_a_method_cannot_be_handed_on_to_is_told_before_a_run(
    inside: Cli, setting: str, problem: str
) -> None:
    done = inside("run", "digits", "--methods", "rum", "--set", setting, "--dry-run")
    assert done.code == 2 and problem in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "vgg19-bn" else ())
        for name in registry.find("models")
    ],
)
def test_models_take_the_smallest_images_that_they_say(name: str) -> None:
    """One image alone is trained on as well: a forget set may be no more than that."""
    smallest = constant(registry.find("models")[name].source(), "SMALLEST") or 1
    for side in (smallest, smallest + 1):
        net = build_model(name, 0, 3, 1, side)
        images = torch.rand(2, 1, side, side)
        for shown in (images, images[:1]):
            assert net.train()(shown).isfinite().all()
        outputs = net.eval()(images)
        assert outputs.shape == (2, 3) and outputs.isfinite().all()
    architectures.require_side(name, smallest)
    if smallest > 1:
        with pytest.raises(DataError, match=f"too small for the model {name}, which takes"):
            architectures.require_side(name, smallest - 1)
        with pytest.raises((MethodError, RuntimeError, ValueError)):
            build_model(name, 0, 3, 1, smallest - 1)(torch.rand(1, 1, smallest - 1, smallest - 1))


def test_data_sets_have_images_of_the_side_that_they_say(tmp_path: Path) -> None:
    for name, plugin in registry.find("datasets").items():
        said = re.search(r"(\d+)x\d+ pixels", plugin.summary())
        assert constant(plugin.source(), "SIDE") == (int(said[1]) if said else None), name
    digits = load_data(DataSpec(name="digits", test=100, train=100), tmp_path)  # pyright: ignore[reportArgumentType]
    assert digits.train[0].shape[-1] == constant(
        registry.find("datasets")["digits"].source(), "SIDE"
    )


def test_images_too_small_for_the_model_are_refused_by_the_plan(inside: Cli) -> None:
    done = inside("run", "digits", "--set", "model=vgg19-bn", "--dry-run")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "Images of 8x8 are too small for the model vgg19-bn, which takes 32x32 and" in done.err
