"""What a plan is put together from: nodes, splits, runs of methods."""

from __future__ import annotations

from typing import Any

from unlearnbench.data.splits import Split
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.plan import CONTROLS, RETRAIN, Node, Plan
from unlearnbench.planning.rows import Row
from unlearnbench.planning.spec import Access, Spec


class Builder:
    """Fill a plan; holds what all of its specs have in common."""

    def __init__(self, benchmark: Benchmark) -> None:
        """Begin an empty plan of a benchmark."""
        self.benchmark, self.plan = benchmark, Plan()
        self._splits: dict[tuple[float, int, int, bool], Split] = {}
        self._ids: dict[Split, str] = {}
        self._common: dict[str, Any] = {
            "data": benchmark.data,
            "model": benchmark.model,
            "recipe": benchmark.recipe,
        }

    def accesses(self, row: Row) -> list[Access]:
        """List the accesses a row is run under, noting those it is skipped under."""
        accesses = []
        for access in self.benchmark.access:
            blind = row.method.needs_retain and access == "forget-only"
            if blind and row.label not in (RETRAIN, *CONTROLS):
                self.plan.skipped[row.label, access] = "needs the retain set, which is not given"
            else:
                accesses.append(access)
        return accesses

    def add(
        self, label: str, keep_weights: bool = False, needs: tuple[str, ...] = (), **spec: Any
    ) -> str:
        """Add a node once, with what its spec has of its own; return its id."""
        made = Spec(**spec, **self._common)
        curve = self.benchmark.curves and made.original is not None
        return self.plan.add(Node(made, label, needs, keep_weights, curve))

    def unlearn(
        self,
        row: Row,
        access: Access,
        split: Split,
        seed: int,
        *,
        original: str | None,
        start: str | None,
        other: str | None = None,
        keep_weights: bool = False,
        label: str | None = None,
    ) -> str:
        """Add one run of a method; the same run under two labels is one node."""
        # Yardstick and controls are the same whatever the methods are given.
        given = "full" if row.label in (RETRAIN, *CONTROLS) else access
        return self.add(
            label or row.label,
            keep_weights,
            tuple(dict.fromkeys(run for run in (original, start, other) if run)),
            kind="unlearn",
            seed=seed,
            method=row.name,
            settings=row.method.model_dump(mode="json"),
            access=given,
            split=split,
            original=original,
            start=start,
            other=other,
        )

    def other(self, row: Row, seed: int, split: Split | None = None) -> str | None:
        """Add the other original that a row needs beside the one of this seed; None if none.

        The next one of the benchmark, which it has anyway, or one more where it has only one.
        """
        if not row.method.needs_other:
            return None
        seeds = self.benchmark.seeds.originals
        following = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True)).get(seed, seed)
        seed = following if following != seed else seed + 1
        return self.add("original (other)", True, kind="original", seed=seed, split=split)

    def split(self, fraction: float, seed: int, request: int, *, swap: bool = False) -> Split:
        """Describe a forget set of the benchmark."""
        key = fraction, seed, request, swap
        if key not in self._splits:  # every method asks for the same ones
            self._splits[key] = self._new_split(*key)
        return self._splits[key]

    def _new_split(self, fraction: float, seed: int, request: int, swap: bool) -> Split:
        forget = self.benchmark.forget
        return Split(
            kind=forget.kind,
            fraction=fraction,
            seed=seed,
            target=forget.target,
            requests=forget.requests,
            request=request,
            swap=swap,
        )

    def split_id(self, split: Split) -> str:
        """Name the file of a forget set."""
        if split not in self._ids:
            made = Spec(kind="unlearn", seed=0, split=split, **self._common)
            self._ids[split] = str(made.split_id)
        return self._ids[split]
