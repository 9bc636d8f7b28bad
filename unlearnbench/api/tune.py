"""Choose settings: rounds of trials of all methods together, run as any benchmark is."""

import math
from typing import Any

from unlearnbench.api.listener import Listener
from unlearnbench.api.request import Request
from unlearnbench.api.session import make
from unlearnbench.errors import UserError
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Row
from unlearnbench.planning.expansion import Planned, expand, require_parts
from unlearnbench.planning.plan import RETRAIN, Plan
from unlearnbench.planning.rows import resolve
from unlearnbench.storage.store import Store
from unlearnbench.tuning import outcome, trials
from unlearnbench.tuning.candidates import ROUND, Sampler, candidates
from unlearnbench.tuning.ranges import unsearched
from unlearnbench.tuning.trials import Tuned


def tune(
    request: Request, command: str, limit: int, seeds: int, listener: Listener, *, blind: bool
) -> Tuned | None:
    """Run the trials that are missing; None where something failed that all are judged with.

    command: what to type to choose the same again; limit: trials of every method; seeds: on how
    many each is tried; blind: without retrained models. Raises UserError where there is nothing to
    tune, or tuning would see what is reported.
    """
    if seeds > reading.MOST:
        raise UserError(f"{seeds} seeds are too many.", f"Take {reading.MOST} at most.")
    listed = request.setup.benchmark.methods
    raw = _changed(request, listed)
    tried_on = list(range(trials.FIRST_SEED, trials.FIRST_SEED + seeds))
    benchmark, plugins = reading.validate(raw), request.asked.plugins
    trials.require_apart(benchmark, tried_on)
    tunable, left = candidates(benchmark, listed, plugins, request.asked.labels)
    for method, why in left.items():
        listener.told(f"! {method} is left out: {why.rstrip('.')}.")
    if not tunable:
        raise UserError("There is no method to tune.", "See: unlearnbench methods NAME.")
    searches = [Sampler(candidate) for candidate in tunable]
    criterion = trials.BLIND if blind else trials.GAP
    tuned = Tuned(command, limit, tried_on, benchmark, tunable, criterion)
    listener.told(outcome.opening(tuned))
    behind, turns = trials.trial_benchmark(raw, tried_on), math.ceil(limit / ROUND)
    for turn, start in enumerate(range(0, limit, ROUND), 1):
        for search in searches:
            search.ask(min(ROUND, limit - start))
        planned = _planned(request, tuned, start, behind)
        store = Store((request.results / planned.benchmark.name).resolve())
        heading = f"{planned.benchmark.name}, round {turn} of {turns}"
        tuned.whole &= make(request, planned, store, listener, heading)
        if lacking := _lacking(tuned, planned.plan, store):
            listener.told(
                f"! No trial can be judged without {', '.join(lacking)}, which failed: see"
                f" error.txt below {store.folder / 'runs'}, and remove its folder to try again."
            )
            return None
        tuned.judge(start, planned.plan, store)
        for search in searches:
            search.tell(start)
    return tuned


def _changed(request: Request, listed: dict[str, Row]) -> dict[str, Any]:
    """Return the benchmark's file; of the settings that are searched only those under --set."""
    plugins = request.asked.plugins
    rows = unsearched(listed, plugins)
    raw = request.setup.raw | {"methods": rows, "plugins": request.asked.raw["plugins"]}
    reading.change(raw, request.assignments, plugins)
    return raw


def _planned(request: Request, tuned: Tuned, start: int, behind: dict[str, Any]) -> Planned:
    """Expand the trials of a round, without the yardstick if they are judged without it."""
    rows = {
        trial.label: {"method": one.method} | one.fixed | trial.settings
        for one in tuned.candidates
        for trial in one.trials[start:]
    }
    plugins = request.asked.plugins
    benchmark, _ = resolve(reading.validate(behind | {"methods": rows}), plugins, rows)
    if tuned.criterion is trials.BLIND:
        kept = {label: row for label, row in benchmark.methods.items() if label != RETRAIN}
        benchmark = benchmark.model_copy(update={"methods": kept})
    require_parts(benchmark)
    return expand(benchmark, plugins)


def _lacking(tuned: Tuned, plan: Plan, store: Store) -> list[str]:
    """List what every trial is judged with and could not be made."""
    labels = {trial.label for one in tuned.candidates for trial in one.trials}
    return [
        f"{node.label} ({store.run_folder(node.spec).name})"
        for run, node in plan.nodes.items()
        if node.label not in labels and node.spec.kind != "shared" and not store.done(run)
    ]
