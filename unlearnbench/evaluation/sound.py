"""Which runs of a folder can be measured together: what is wrong with each of the others."""

from collections.abc import Iterable
from functools import cached_property
from itertools import chain

from unlearnbench.planning.plan import Cell, Plan
from unlearnbench.storage.store import OTHER_DATA, Store


class Sound:
    """Say of a plan's cells which can be measured, whoever made the folder of their runs."""

    def __init__(self, plan: Plan, store: Store) -> None:
        """Look at what `store` holds of `plan`."""
        self.plan, self.store = plan, store
        self._fitting: dict[str, bool] = {}

    def cells(self, asked: Iterable[Cell]) -> list[Cell]:
        """Return those of some cells that can be measured."""
        whole = [cell for cell in asked if self.damage.get(cell, "not made") is None]
        return [cell for cell in whole if cell.split in self.splits]

    @cached_property
    def damage(self) -> dict[Cell, str | None]:
        """What is wrong, if anything, with each cell that was made.

        A forget set that nobody's record has as it is costs all that were to forget it.
        """
        every = [*self.plan.cells, *chain.from_iterable(self.plan.audited.values())]
        made = [cell for cell in every if self.store.exists(cell.run)]
        own = {cell: self.store.damage(cell.run) or self._of_split(cell.run) for cell in made}
        lost = {
            cell.split: damage
            for cell in made
            if cell.split not in self.splits and (damage := self._of_split(cell.run))
        }
        return {
            cell: own[cell] or lost.get(cell.split) or (None if self.fits(cell.run) else OTHER_DATA)
            for cell in made
        }

    def _of_split(self, run: str) -> str | None:
        return self.store.split_damage(run) if self.store.done(run) else None

    @cached_property
    def splits(self) -> set[str]:
        """The forget sets that are as some intact record has them."""
        plan = self.plan
        every = chain(plan.cells, *plan.audited.values(), plan.swapped.values(), plan.shadows)
        return {
            cell.split
            for cell in every
            if self.fits(cell.run) and self.store.vouches(cell.run, cell.split)
        }

    def fits(self, run: str) -> bool:
        """Say whether a run is there, and was made of the same samples as the first finished one.

        That is an original where there is one.
        """
        if run not in self._fitting:
            there = self.store.done(run)
            self._fitting[run] = there and self.store.samples(run) == self._first
        return self._fitting[run]

    @cached_property
    def _first(self) -> object:
        nodes = self.plan.nodes.items()
        with_signals = (run for run, node in nodes if node.spec.kind != "shared")
        return next(map(self.store.samples, filter(self.store.done, with_signals)), None)
