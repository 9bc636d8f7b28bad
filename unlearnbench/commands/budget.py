"""How many repetitions fit in the time there is."""

from __future__ import annotations

from unlearnbench.commands.request import Request, prepare
from unlearnbench.errors import UserError
from unlearnbench.planning.expansion import Planned
from unlearnbench.scheduling.estimate import Estimate
from unlearnbench.storage.store import Store
from unlearnbench.units import duration


def within(request: Request, seconds: float, store: Store, known: Estimate) -> tuple[Planned, str]:
    """Take as many whole repetitions as can be made, the first first; return them and say so.

    known: what has been learnt of the time. Raises UserError where not even one fits.
    """
    needs, of = 0.0, len(prepare(request).benchmark.seeds.forget)
    for count in range(of, 0, -1):
        planned = prepare(request, count)
        todo = [node for run, node in planned.plan.nodes.items() if not store.done(run)]
        needs = known.left(todo, request.placement.slots) or 0.0
        if needs <= seconds:
            return planned, f"{count} of {of} repetitions fit in {duration(seconds)}."
    raise UserError(
        f"One repetition takes about {duration(needs)}, which is more than {duration(seconds)}.",
        "Take fewer methods or references, or give it more time; what was made is kept.",
    )
