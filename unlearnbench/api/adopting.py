"""Originals and references of another results folder: taken over where one says so, or told of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unlearnbench.api import samples
from unlearnbench.api.request import Request
from unlearnbench.environment import decisive, describe
from unlearnbench.errors import UserError
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import Spec
from unlearnbench.planning.sources import SAID, Now
from unlearnbench.storage import asked, housekeeping
from unlearnbench.storage.store import Store
from unlearnbench.units import count


def adopt(request: Request, planned: Planned, store: Store) -> Iterator[str]:
    """Take models over from the folders that a request names; say which, and what is left there.

    What lies beside is only told of: whose it is, nobody can see, and a forged model is not to be
    told from another. Raises UserError where a folder has no results, or the data are not there.
    """
    folders = [path if path.is_dir() else request.results / path for path in request.adopt]
    for folder in folders:
        if not (folder / "runs").is_dir():
            raise UserError(f"There are no results in {folder}.", "Name one: --adopt digits.")
    if not folders:  # which an audit, and `apply`, have no option for
        beside = {} if request.given else housekeeping.neighbours(store, planned.plan)
        for name, many in beside.items():
            models = count(many, "model")
            yield f"{name} may have {models} of these: --adopt {name} takes them over."
        return
    if not housekeeping.shareable(store, planned.plan):
        return
    if not request.address:
        request.placement.require()
    fit = _Fit(request, planned)
    store.prepare()
    yield from asked.announce(store, planned)
    for folder in folders:
        copied, left = housekeeping.copy_models(store, Store(folder), planned.plan, fit.unfit)
        yield f"{count(copied, 'model')} adopted from {folder}."
        for why, many in left.items():
            yield f"! {count(many, 'model')} left in {folder}: {why}."


class _Fit:
    """Say of models made elsewhere whether they are what would be made here."""

    def __init__(self, request: Request, planned: Planned) -> None:
        self.now = Now({}, planned.benchmark.plugins)
        self.here = [decisive(describe(device)) for device in request.placement.devices]
        data = samples.look_over(request, planned.benchmark).data
        self.data = data and data.digest

    def unfit(self, spec: Spec, record: Mapping[str, Any]) -> str | None:
        """Say why a model may not be taken over; None if it may."""
        made = decisive(record["environment"])
        if made not in self.here:
            part = next(name for name in made if made[name] != self.here[0][name])
            return f"made with {part} {made[part]}, here it is {self.here[0][part]}"
        if record.get("data") != self.data:
            return "made of other data"
        if any(name not in record for name in SAID):
            return "made by a version that did not note its sources"
        changed = self.now.changed(spec, record)
        return None if changed is None else f"made before its {changed} changed"
