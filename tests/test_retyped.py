"""What `apply` and `audit` make again when they are typed again: they have no option for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import unlearnbench as ub
from tests.test_outputs import Ear
from unlearnbench.api import apply
from unlearnbench.api.audit import try_files
from unlearnbench.api.samples import DataSeen
from unlearnbench.data.prepare import DataSpec, draw_samples
from unlearnbench.errors import UserError
from unlearnbench.execution.building import build_model
from unlearnbench.registry import source

METHOD = """
from unlearnbench import Method


class Mine(Method):
    '''Do as the line below says.'''

    paper = 'https://example.org'

    def unlearn(self, model, task):
        {line}
"""
NET = """
from pathlib import Path
from torch import nn


class Flat(nn.Sequential):
    def forward(self, images):
        if self.training and Path({broken!r}).exists():
            raise ValueError("out of order")
        return super().forward(images)


def build(num_classes, in_channels, image_size):
    return Flat(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Say what is asked for: 200 digits, of which 20 are to be forgotten by a model as built."""
    monkeypatch.chdir(tmp_path)
    torch.save(build_model("small-cnn", 1, 10, 1, 8, []).state_dict(), "original.pt")
    spec = DataSpec(name="digits", train=200, test=100)
    ids = draw_samples(source(spec, Path("data")), spec).ids[:20]
    Path("forget.txt").write_text("\n".join(map(str, ids)))
    assignments = ["data.train=200", "data.test=100"]
    return {
        "original": "original.pt",
        "forget": "forget.txt",
        "model": "small-cnn",
        "dataset": "digits",
        "assignments": assignments,
        "devices": "cpu",
    }


@pytest.mark.slow
def test_a_method_that_was_mended_or_changed_is_applied_again(asked: dict[str, Any]) -> None:
    def applied(line: str) -> tuple[float, list[str]]:
        ear = Ear()
        Path("mine.py").write_text(METHOD.format(line=line))
        ub.apply("mine.py", out="out", listener=ear, **asked)
        weights = torch.load("out/model.pt", weights_only=True)
        return float(weights["0.weight"].abs().max()), ear.heard

    with pytest.raises(UserError, match=r"a bug.* Fix that, then type the same command") as refused:
        applied("raise ValueError('a bug')")
    named = Path(str(refused.value).rpartition(" in ")[2].removesuffix("."))
    assert "ValueError: a bug" in named.read_text()
    largest, heard = applied("return model")
    assert largest > 0 and heard == []
    largest, heard = applied("model[0].weight.data.zero_(); return model")
    assert largest == 0
    assert heard == ["mine is made again: the method has changed since it was made."]

    def other_data(*looked_at: Any) -> tuple[DataSeen, object]:
        seen, members = try_files(*looked_at)
        assert seen.data is not None
        return replace(seen, data=replace(seen.data, digest="0" * 16)), members

    with (
        patch.object(apply, "try_files", other_data),
        pytest.raises(UserError, match=r"of other images or labels\. Name another .* \(--out\)\.$"),
    ):
        ub.apply("mine.py", out="out", **asked)
    with pytest.raises(UserError, match=r"holds the results of a benchmark\. .* \(--out\)\.$"):
        ub.apply("mine.py", out="out/results", **asked)


@pytest.mark.slow
def test_what_failed_in_an_audit_is_made_by_the_same_command(asked: dict[str, Any]) -> None:
    broken = Path("broken").resolve()
    broken.touch()
    Path("flat.py").write_text(NET.format(broken=str(broken)))
    plain = build_model("flat", 1, 10, 1, 8, [Path("flat.py")])
    torch.save(plain.state_dict(), "original.pt")
    torch.save({name: value * 0.5 for name, value in plain.state_dict().items()}, "u.pt")
    asked |= {"model": "flat", "plugins": ["flat.py"], "unlearned": "u.pt"}
    with pytest.raises(UserError, match=r"out of order.* Fix that, then type the same command"):
        ub.audit(**asked)
    broken.unlink()
    found = ub.audit(**asked)
    assert set(found.runs["label"]) == {"original", "u"}
    assert not any("failed" in line for line in found.warnings)
