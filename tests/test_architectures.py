"""Models of torchvision and timm by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import list_models

from tests.conftest import Cli
from unlearnbench import architectures, environment
from unlearnbench.architectures import architecture, names_of
from unlearnbench.errors import DataError, UserError
from unlearnbench.execution.building import build_model
from unlearnbench.registry import Plugin
from unlearnbench.toolkit import last_layer
from unlearnbench.toolkit.library import with_channels

TIMM = """
import torch
from torch import nn
from .models.tiny import *

class Tiny(nn.Module):
    def __init__(self, pretrained, num_classes, in_chans):
        super().__init__()
        assert not pretrained
        self.conv, self.head = nn.Conv2d(in_chans, 4, 3), nn.Linear(4, num_classes)
    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

class Sized(Tiny):
    def __init__(self, img_size, **settings):
        super().__init__(**settings)
        self.positions = nn.Parameter(torch.zeros(img_size))

def create_model(name, **settings):
    return {"tinynet": Tiny, "tinyvit": Sized}[name](**settings)
"""
TINY = """
def helper(): ...
@register_model
def tinynet(pretrained=False, **kwargs): ...

@register_model
def tinyvit(pretrained: bool = False, **kwargs): ...
"""


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a package called timm, of two models, where Python finds it, and take it out again."""
    models = tmp_path / "timm" / "models"
    models.mkdir(parents=True)
    (tmp_path / "timm" / "__init__.py").write_text(TIMM)
    (models / "__init__.py").write_text("")
    registers = "def register_model(build): return build\n"
    (models / "tiny.py").write_text(registers + TINY)
    kept = tmp_path / "timm-1.2.3.dist-info"
    kept.mkdir()
    (kept / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 1.2.3\n")
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (names_of, environment.installed):
        cached.cache_clear()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        del sys.modules[name]
    for cached in (names_of, environment.installed):
        cached.cache_clear()


def test_names_are_those_of_the_library_and_planning_imports_no_torch() -> None:
    assert names_of("torchvision") == set(list_models(module=torchvision.models))
    code = (
        "import sys\nfrom unlearnbench.cli.app import main\n"
        "sys.argv = ['unlearnbench', 'run', 'digits', '--set', 'model=torchvision:vit_b_16']\n"
        "sys.argv += ['--methods', 'ft', '--dry-run']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "channels", "side"),
    [
        ("mobilenet_v3_small", 1, 28),
        ("resnet18", 3, 32),
        ("squeezenet1_1", 1, 32),
        ("googlenet", 3, 64),
    ],
)
def test_models_of_torchvision_fit_classes_channels_and_side(
    name: str, channels: int, side: int
) -> None:
    """In training too, where some have outputs beside the logits."""
    model = build_model(f"torchvision:{name}", 0, 7, channels, side)
    again = build_model(f"torchvision:{name}", 0, 7, channels, side).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())
    images = torch.rand(2, channels, side, side)
    assert model.train()(images).shape == model.eval()(images).shape == (2, 7)


@pytest.mark.slow
def test_a_transformer_of_torchvision_is_made_for_the_side() -> None:
    model = build_model("torchvision:vit_b_16", 0, 7, 1, 32).eval()
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 7) and last_layer(model).out_features == 7


@pytest.mark.parametrize(
    ("name", "side", "why"),
    [
        ("vit_b_16", 33, "Input shape indivisible by patch size"),
        ("inception_v3", 32, "Kernel size can't be greater than actual input size"),
    ],
)
def test_a_model_that_does_not_fit_the_images_says_so_in_a_line(
    name: str, side: int, why: str
) -> None:
    with pytest.raises(
        DataError, match=rf"torchvision:{name} cannot .* 3x{side}x{side}.*{why}"
    ) as e:
        build_model(f"torchvision:{name}", 0, 7, 3, side)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_first_convolution_of_other_channels_varies_as_much(channels: int) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(3, 256, 5, bias=False).requires_grad_(False)
    model = nn.Sequential(first, nn.Conv2d(256, 4, 1))
    with_channels(model, channels)
    taken, drawn = cast("nn.Conv2d", model[0]).requires_grad_(False), first.weight
    assert taken.weight.shape == (256, channels, 5, 5) and taken.in_channels == channels
    before, after = (
        drawn.square().sum((1, 2, 3)).mean(),
        taken.weight.square().sum((1, 2, 3)).mean(),
    )
    assert float(after) == pytest.approx(float(before), rel=0.1)
    assert cast("nn.Conv2d", model[1]).in_channels == 256 and type(taken.weight) is nn.Parameter


def test_a_model_of_a_library_is_what_it_is_by_the_librarys_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin = architecture("torchvision:resnet18")
    first = plugin.source_hash()
    assert first == architecture("torchvision:resnet50").source_hash(), "its name is in every spec"
    monkeypatch.setattr(architectures, "installed", lambda library: "0.0.1")
    assert plugin.source_hash() != first and "torchvision 0.0.1" in plugin.source()


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", ["tinynet", "tinyvit"])
def test_models_of_timm_are_there_when_it_is_installed(name: str) -> None:
    """With a stand-in for timm, whose transformers alone are told the side of the images."""
    model = build_model(f"timm:{name}", 0, 7, 1, 8)
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 7)
    assert ("positions" in model.state_dict()) == (name == "tinyvit")
    assert "timm 1.2.3" in architecture(f"timm:{name}").source()
    with pytest.raises(UserError, match="Unknown model of timm: 'tinyne'"):
        architecture("timm:tinyne")


def test_timm_that_is_not_installed_is_said(inside: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    every = names_of
    monkeypatch.setattr(
        architectures, "names_of", lambda name: frozenset() if name == "timm" else every(name)
    )
    done = inside("run", "digits", "--set", "model=timm:resnet18", "--dry-run")
    assert done.code == 2
    assert "timm:resnet18 needs timm, which is not installed. pip install 'unl" in done.err
    listed = inside("models").out
    assert "torchvision:NAME    Any of its " in listed and "timm:NAME           (not inst" in listed


def test_what_dropout_draws_depends_on_the_run_alone(tmp_path: Path) -> None:
    """Whatever a worker did before it."""
    from unlearnbench.data.prepare import DataSpec
    from unlearnbench.execution import Workplace
    from unlearnbench.execution.execute import execute
    from unlearnbench.planning.plan import Spec
    from unlearnbench.recipe import Recipe

    (tmp_path / "dropping.py").write_text(
        "from torch import nn\ndef build(classes, channels, size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64 * channels, classes))\n"
    )
    plugin = Plugin.of(tmp_path / "dropping.py")
    data, recipe = DataSpec(name="digits", train=40, test=40), Recipe(epochs=1, batch_size=8)
    spec = Spec(kind="original", data=data, model="dropping", recipe=recipe, seed=1)
    made = []
    for before in (1, 2):
        torch.manual_seed(before)
        state = torch.get_rng_state()
        done = execute(spec, "cpu", Workplace(tmp_path, (plugin,)), lambda run: {})
        assert torch.equal(state, torch.get_rng_state())
        made.append(done.weights)
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
