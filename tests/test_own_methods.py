"""Four methods that a newcomer would write: the toolkit has what they need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import unlearnbench as ub
from tests.conftest import TINY
from unlearnbench import registry
from unlearnbench.execution.trying import examine
from unlearnbench.outline import settings_class
from unlearnbench.registry import Plugin

FILES = {file.stem: file for file in sorted((Path(__file__).parent / "own").glob("*.py"))}


@pytest.mark.parametrize("name", FILES)
def test_they_keep_the_contract(name: str) -> None:
    assert {rule: problem for rule, problem in examine(FILES[name]) if problem} == {}


@pytest.mark.slow
def test_they_run_beside_the_others_and_are_stored_with_their_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scales.json").write_text(json.dumps({"9": 0.5}))
    Path("bench.toml").write_text(TINY)
    kind = registry.method_class(Plugin.of(FILES["configured"]))
    settings: dict[str, object] = {
        "rates": [0.02],
        "scales": {"0": 0.9},
        "table": "scales.json",
        "then": "rl",
    }
    bench = ub.benchmark("bench.toml", seeds=1).set("references.count", 2)
    files = [FILES[name] for name in ("drift", "shake", "prune")]
    results = ub.run(
        bench, methods=[*files, registry.build(kind, "configured", settings)], jobs_per_device=2
    )
    assert not results.findings.failures
    assert set(results.runs["label"]) == {"original", "retrain", *FILES}
    assert (results.runs["gradients"] > 0)[results.runs["label"] == "drift"].all()
    again = ub.load("results/bench")
    assert again.warnings == results.warnings and not results.findings.stale
    stored = again.findings.benchmark.methods["configured"].settings
    assert stored.items() >= settings.items()
    Path("scales.json").write_text(json.dumps({"9": 0.25}))
    assert ub.load("results/bench").findings.stale == {"configured": {"the method": 1}}


def test_planning_reads_their_settings_without_importing_them() -> None:
    for name, file in FILES.items():
        assert settings_class(Plugin.of(file)).__module__ == f"unlearnbench_settings_{name}"
