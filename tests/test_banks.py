"""The packs of banks/: models that took hours, for whoever goes on from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import unlearnbench as ub
from unlearnbench.planning.reading import read, shipped_benchmarks, validate
from unlearnbench.storage.store import Store

BANKS = Path(__file__).parents[1] / "banks"


def test_packs_of_cifar10_are_whole_and_of_the_benchmark_that_ships(tmp_path: Path) -> None:
    """Methods start from the weights of originals; retrains have been relearned without theirs."""
    own = validate(read(shipped_benchmarks()["cifar10-cpu"]))
    ub.unpack(*sorted(BANKS.glob("cifar10-cpu-*.zip")), results=tmp_path)
    store = Store(tmp_path / "cifar10-cpu")
    made = validate(read(store.folder / "benchmark.toml"))
    for part in ("data", "model", "recipe", "forget", "seeds", "references"):
        assert getattr(made, part) == getattr(own, part), part
    specs = [store.record(run)["spec"] for run in store.runs()]
    kinds = Counter(spec["method"] or spec["audit"] or spec["kind"] for spec in specs)
    sets = len(own.seeds.forget)
    retrains = sets * own.seeds.retrains
    count = {"original": sets, "retrain": retrains, "reference": own.references.count}
    methods = Counter(row.method for row in own.methods.values() for _ in range(sets))
    assert kinds == count | {"relearning": sets + retrains} | methods
    assert len(list((store.folder / "models").glob("*.safetensors"))) == sets
