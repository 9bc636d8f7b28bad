"""The verdicts on the AMUN paper's claims on CIFAR-10, from what models put out (banks/) alone."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

import unlearnbench as ub
from docs.builder import published
from tests.recomputing import World
from tests.test_banks import BANKS
from unlearnbench.audits.attacks import mis
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.planning.plan import Cell, Plan
from unlearnbench.reporting.tables.papers import claims_tables
from unlearnbench.storage.store import Store

pytestmark = pytest.mark.slow

NAMES = ["cifar10-cpu@epyc-2", "cifar10-cpu-forget-only@epyc-2"]
RIVALS = ("ft", "rl", "ga", "boundary-shrink", "l1-sparse", "salun")
OF_MODELS = ["forget_accuracy", "retain_accuracy", "test_accuracy"]
Claim = tuple[str, str, float, float, float]
"""How it ends, the rival that decides, and what was measured with its 95 % interval."""


@dataclass
class Measured:
    """What the models of published results put out, and the names that these give to them."""

    results: ub.Results
    store: Store

    @cached_property
    def stated(self) -> pd.DataFrame:
        """What findings say of the runs, without those of controls, which are not packed."""
        runs = self.results.findings.runs
        return runs[~runs["label"].isin(self.results.findings.controls)]

    @cached_property
    def cells(self) -> list[Cell]:
        rows = as_rows(self.stated)
        return [
            Cell(*self._named(row), row["run"], self.splits[row["forget_seed"]]) for row in rows
        ]

    def _named(self, row: dict[str, Any]) -> tuple[str, Any, float, int, tuple[int, ...]]:
        seeds = [row[f"{of}_seed"] for of in ("original", "forget", "run")]
        given = tuple(int(seed) for seed in seeds if pd.notna(seed))
        return row["label"], row["access"], row["fraction"], row["request"], given

    @cached_property
    def splits(self) -> dict[int, str]:
        """Forget sets by their seeds."""
        records = map(self.store.record, self.store.runs())
        of_methods = [one for one in records if one["spec"]["kind"] == "unlearn"]
        return {one["spec"]["split"]["seed"]: one["split"] for one in of_methods}

    @cached_property
    def world(self) -> World:
        runs = self.store.runs().items()
        references = sorted(run for run, folder in runs if folder.name.startswith("reference-"))
        plan = Plan(cells=self.cells, references=references)
        record = self.store.record(references[0])
        return World(plan, self.store, record["train"], record["test"])

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a run: its forget set, and the numbers that the paper's tables have."""
        return pd.DataFrame([self._row(cell) for cell in self.cells])

    def _row(self, cell: Cell) -> dict[str, Any]:
        world, seen = self.world, self.store.signals(cell.run)
        forget, test = world.forget(cell), np.arange(world.train, world.n)
        retain = np.setdiff1d(np.arange(world.train), forget)
        right = {"forget": forget, "retain": retain, "test": test}
        row = {f"{part}_accuracy": 100 * seen["correct"][at].mean() for part, at in right.items()}
        sure = expit(seen["margin"].astype(float))
        row |= {"mis": mis(sure[retain], sure[test], sure[forget])}
        row |= {"ft_auc": float(world.brings("rmia", cell)[0].mean())}
        return row | {"label": cell.label, "set": cell.seeds[-2]}

    def gaps(self, terms: list[str]) -> pd.DataFrame:
        """The mean distance of several numbers to retrain's; a row a forget set, a column a row."""
        numbers = self.runs.groupby(["set", "label"])[terms].mean()
        ideal = numbers.xs("retrain", level="label")
        own = self.runs.set_index("set")
        apart = (own[terms] - ideal.loc[own.index]).abs().mean(axis=1)
        return pd.DataFrame({"label": own["label"], "gap": apart}).pivot_table(
            index="set", columns="label", values="gap"
        )


def interval(values: np.ndarray, level: float = 0.05) -> tuple[float, float, float]:
    """Return a mean with its t-interval."""
    n = len(values)
    half = stats.t.ppf(1 - level / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)
    return values.mean(), values.mean() - half, values.mean() + half


def smallest(gaps: pd.DataFrame) -> Claim:
    """Say whether AMUN's number is below each rival's, or above any one at 5 % by their number."""
    rivals = [name for name in RIVALS if name in gaps]
    apart = {name: (gaps["amun"] - gaps[name]).to_numpy() for name in rivals}
    beaten = [name for name in rivals if interval(apart[name], 0.05 / len(rivals))[1] > 0]
    if beaten:
        rival = max(beaten, key=lambda name: interval(apart[name])[1])
        return "contradicted", rival, *interval(apart[rival])
    rival = max(rivals, key=lambda name: interval(apart[name])[2])
    ending = "confirmed" if interval(apart[rival])[2] < 0 else "inconclusive"
    return ending, rival, *interval(apart[rival])


def claimed(seen: Measured) -> Iterator[tuple[str, Claim]]:
    """Decide every claim that a single condition says something about."""
    full = seen.results.condition().access == "full"
    given = "with" if full else "without"
    gaps = seen.gaps([*OF_MODELS, "ft_auc"])
    name = f"AMUN has the smallest average gap {given} the retain set"
    yield name, smallest(gaps)
    yield f"{name}, with MIS in place of FT AUC", smallest(seen.gaps([*OF_MODELS, "mis"]))
    mask = interval((gaps["amun-salun"] - gaps["amun"]).to_numpy())
    if not full:
        word = "confirmed" if mask[2] < 0 else "contradicted" if mask[1] > 0 else "inconclusive"
        yield "SalUn's mask helps AMUN without the retain set", (word, "amun-salun", *mask)
        return
    word = "contradicted" if mask[2] < 0 else "confirmed" if mask[1] > -1 else "inconclusive"
    yield "SalUn's mask does not help AMUN with the retain set", (word, "amun-salun", *mask)
    nearest = smallest(seen.gaps(["ft_auc"]))
    yield "AMUN's FT AUC is nearest to retrain's with the retain set", nearest
    gap = seen.world.weighted("rmia", "amun", 1, 0)
    low, high = gap.value - gap.half(0.05), gap.value + gap.half(0.05)
    word = "contradicted" if low > 0 else "confirmed" if high < 1 else "inconclusive"
    of_retrain = "RMIA finds no more in AMUN's model than in a retrained one"
    yield of_retrain, (word, "retrain", gap.value, low, high)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("results")
    ub.unpack(*sorted(BANKS.glob("cifar10-cpu-*.zip")), results=place)
    own, shared = place / "cifar10-cpu-forget-only", place / "cifar10-cpu"
    shutil.copytree(shared, own, dirs_exist_ok=True)  # it is packed without what both have
    return place


@pytest.mark.parametrize("name", NAMES)
def test_the_published_verdicts_on_claims_follow_from_what_models_put_out(
    name: str, unpacked: Path
) -> None:
    results = published.load(published.RESULTS / name)
    benchmark = results.findings.benchmark.name
    seen = Measured(results, Store(unpacked / benchmark))
    columns = [*OF_MODELS, "ft_auc", "mis"]
    stated = seen.stated[columns].astype(float)
    assert seen.runs[columns].to_numpy() == pytest.approx(stated.to_numpy(), abs=1e-6)
    (table,) = claims_tables({benchmark: results.findings})
    lines = {row["claim"]: row for row in as_rows(table.frame)}
    found = dict(claimed(seen))
    assert found.keys() == lines.keys()
    for claim, (ending, rival, *numbers) in found.items():
        line = lines[claim]
        assert (line["ending"], line["rival"]) == (ending, rival), claim
        shown = [line[column] for column in ("value", "value_low", "value_high")]
        assert shown == pytest.approx(numbers, abs=1e-6), claim
