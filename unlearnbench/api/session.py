"""Run a benchmark: make what is missing, and measure it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from unlearnbench.api import adopting, arguments, samples
from unlearnbench.api.arguments import Files
from unlearnbench.api.listener import Listener, Outlook, usual_listener
from unlearnbench.api.request import Methods, Request, Setup, prepare
from unlearnbench.api.request import benchmark as read_benchmark
from unlearnbench.api.results import Results, planned_of, whole
from unlearnbench.data.lists import ForgetList
from unlearnbench.entries import enter, require_entries
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.stale import stale_runs
from unlearnbench.execution import Feeding
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.registry import Plugin
from unlearnbench.scheduling import estimate
from unlearnbench.scheduling.progress import Progress, progress
from unlearnbench.storage import asked, failures
from unlearnbench.storage.finding import require_above
from unlearnbench.storage.plugins import known_plugins, plugin_facts
from unlearnbench.storage.store import Store
from unlearnbench.units import are, count, duration
from unlearnbench.verdicts.inference import FEWEST


def run(
    benchmark: str | Path | Setup = "digits",
    *,
    methods: Methods | None = None,
    seeds: int | None = None,
    forget: ForgetList | None = None,
    devices: str = "auto",
    jobs_per_device: int | None = None,
    plugins: Files = (),
    data: str | Path = "data",
    results: str | Path = "results",
    timeout: float | None = None,
    budget: float | None = None,
    retry_failed: bool = False,
    retry_stale: bool = False,
    keep_weights: bool = False,
    adopt: Files = (),
    profile: bool = False,
    images: Feeding = "auto",
    address: str | None = None,
    listener: Listener | None = None,
) -> Results:
    """Run a benchmark, or go on with one that was interrupted; return its results.

    benchmark: a name, a TOML file, or what `ub.benchmark` returns; methods: names, files, classes
    and instances, or a mapping from labels of rows to them, by default those of the benchmark;
    seeds: number of repetitions; forget: the samples to forget instead of a draw, numbers or file
    names, [n], or a file that lists them; devices: "auto", or names separated by commas;
    jobs_per_device: runs at once on a device, None for as many as fit; plugins: files of models,
    data sets, metrics or attacks; data, results: folders; timeout: seconds that a run may take;
    budget: seconds that whole repetitions have to fit in; retry_failed, retry_stale: run again what
    has failed, or whose code has changed since; keep_weights: of unlearned models too; adopt:
    results folders whose originals and reference models are used, so trust their makers; profile:
    record where each run's time goes; images: where images are held, "auto" by size, which changes
    no result; address: of a Dask scheduler, None for this machine; listener: is called for all that
    happens, by default a notebook's progress bar.

    A method that fails is in `results.findings.failures`, and runs again once its code has changed;
    the others go on. Raises UserError for what is unknown, wrong or missing, or if no run finished.
    """
    setup = benchmark if isinstance(benchmark, Setup) else read_benchmark(benchmark)
    request = Request(
        setup.repeated(seeds).forgetting(forget),
        Path(data),
        Path(results),
        methods,
        plugins=arguments.plugins(plugins),
        devices=devices,
        jobs_per_device=jobs_per_device,
        retry_failed=retry_failed,
        retry_stale=retry_stale,
        timeout=timeout,
        budget=budget,
        address=address,
        profile=profile,
        keep_weights=keep_weights,
        adopt=[Path(folder) for folder in arguments.several(adopt)],
        images=images,
    )
    return whole(follow(request, listener or usual_listener())[0])


def follow(
    request: Request, listener: Listener, seen: samples.DataSeen | None = None
) -> tuple[Results, bool]:
    """Do what is requested; return what came out, and whether nothing failed.

    seen: the data, where they were looked over already.
    """
    planned, store, looked = begin(request, listener)
    succeeded = make(request, planned, store, listener, seen=seen or looked)
    plugins = (*map(Plugin.of, planned.benchmark.plugins),)
    with listener.busy("Measuring how far models are from retraining"):
        results = Results(collect(planned, store), store.folder, plugins)
        _keep_for_others(planned, store)
    return results, succeeded


def _keep_for_others(planned: Planned, store: Store) -> None:
    """Compute what the folder's tables show, if that is more, while the user's metrics are here."""
    known = known_plugins(store)
    if known.metrics or known.attacks:
        view = planned_of(store, planned.benchmark.plugins)
        if view is not None and view.plan.nodes.keys() != planned.plan.nodes.keys():
            collect(view, store)


def make(
    request: Request,
    planned: Planned,
    store: Store,
    listener: Listener,
    heading: str = "",
    seen: samples.DataSeen | None = None,
) -> bool:
    """Make what a plan lacks, under a heading of its own if any; say whether nothing failed.

    seen: the data, where they were looked over already.
    """
    enter(planned.benchmark.plugins)  # which reading another benchmark has set aside
    store.require_version(planned.plan.nodes)
    for line in adopting.adopt(request, planned, store) if not heading else ():
        listener.told(line)
    outlook = look(request, planned, store, heading)
    if lacking := [planned.plan.nodes[run].label for run in outlook.state.weightless]:
        listener.told(
            "Trained again, because other runs begin with weights that are not here:"
            f" {count(len(lacking), 'model')} ({', '.join(sorted(set(lacking)))}). On another"
            " machine they may differ in the last digits."
        )
    listener.planned(outlook)
    if outlook.state.open and not request.address:
        request.placement.require()
    seen = seen or samples.DataSeen()
    if outlook.state.open:
        known, busy = outlook.state.data, listener.busy
        seen = samples.look_over(request, planned.benchmark, known, seen, busy=busy)
        for line in seen.odd if not heading else ():  # not again for every part of a search
            listener.told(line)
    store.prepare()
    for line in asked.mend(store):
        listener.told(line)
    facts, before = asked.facts_of(planned.benchmark, planned.plugins), asked.every(store)
    for line in asked.remember(store, planned.benchmark, facts, plugin_facts(planned)):
        listener.told(line)
    for line in too_few(asked.in_view(store)) if not heading else ():
        listener.told(line)
    others = [one.data != planned.benchmark.data for one in before]
    if any(others) and not outlook.state.open:
        seen = samples.look_again(
            request, planned.benchmark, outlook.state.data, seen, listener.busy
        )
    for line in seen.note(store, instead=others[:1] == [True]):
        listener.told(line)
    made = True
    if outlook.state.open:
        from unlearnbench.api.making import work_off  # slow to import, and often all is there

        made_by = failures.codes(planned, outlook.state.open)
        try:
            made = work_off(request, planned, store, outlook, listener, seen)
        finally:
            failures.note_code(planned, store, made_by)
    return made and not outlook.state.failed


def too_few(benchmark: Benchmark | None) -> Iterator[str]:
    """Say of a benchmark that is to be run where no verdict can come out of it.

    An audit says it of the models that it is given.
    """
    if benchmark is None or benchmark.given:
        return
    seeds, sets = benchmark.seeds, len(set(benchmark.seeds.forget))
    retrains = seeds.retrains - benchmark.held_out
    if sets >= FEWEST or (sets == 1 and retrains >= FEWEST):
        return
    if benchmark.forget.named:
        yield (
            f"{count(retrains, 'retrained model')} to compare with {are(retrains)} too few for any"
            f" verdict. benchmark.set('seeds.retrains', {FEWEST + 2}) (--set"
            f" seeds.retrains={FEWEST + 2}) keeps what is done and goes on."
        )
    else:
        yield (
            f"{count(sets, 'forget set')} {are(sets)} too few for any verdict, which takes"
            f" {FEWEST} or more. seeds={FEWEST + 1} (--seeds {FEWEST + 1}) keeps what is done and"
            " goes on."
        )


def look(request: Request, planned: Planned, store: Store, heading: str = "") -> Outlook:
    """Say what a plan lacks and what it will take; nothing is made."""
    plan = planned.plan
    store.require_version(plan.nodes)
    retry = set(stale_runs(planned, store)) if request.retry_stale else set()
    retry |= failures.of_other_code(planned, store)
    if request.retry_failed:
        retry |= {run for run in plan.nodes if store.error(run) is not None}
    if request.keep_weights:
        retry |= {c.run for c in plan.cells if store.exists(c.run) and store.pruned(c.run)}
    state = progress(plan, store, retry)
    known = estimate.from_store(plan, store)
    placement = None if request.address else request.placement
    cost = estimate.cost(plan, store, state.open, known, placement)
    asked = planned.benchmark  # what is asked of models made elsewhere has a title of its own
    named = asked.title if asked.given else asked.name
    return Outlook(heading or named, plan, state, known, cost)


def begin(
    request: Request, listener: Listener, *, dry_run: bool = False
) -> tuple[Planned, Store, samples.DataSeen | None]:
    """Expand a request, as far as fits in the time given, and open the store of its results.

    Returns its data too where they had to be looked over for that.
    """
    require_above(request.results)
    planned = prepare(request)
    asked_for = planned.benchmark
    require_entries(asked_for.gap_terms, [asked_for.headline, *asked_for.attacks])
    store = Store((request.results / planned.benchmark.name).resolve())
    seen = None
    if request.budget is not None:
        planned, seen = within_budget(request, planned, store, listener, dry_run=dry_run)
    return planned, store, seen


def rehearse(request: Request, listener: Listener) -> Outlook:
    """Say what a request comes to; its data are looked over if they are there."""
    planned, store, _ = begin(request, listener, dry_run=True)
    outlook = look(request, planned, store)
    listener.planned(outlook)
    if outlook.state.open:
        benchmark, data = planned.benchmark, outlook.state.data
        for line in samples.look_over(request, benchmark, data, dry_run=True).odd:
            listener.told(line)
    return outlook


def within_budget(
    request: Request, full: Planned, store: Store, listener: Listener, *, dry_run: bool = False
) -> tuple[Planned, samples.DataSeen | None]:
    """Take as many whole repetitions as fit in the time given, the first first; tell how many.

    Where nothing is known of the time, the first model is made to learn it, and the data that were
    looked over for that are returned, or in a dry run all repetitions are taken. Raises UserError
    where not even one fits, or the first model cannot be made.
    """
    seconds = request.budget or 0.0
    first = prepare(request, 1)
    request.placement.require()
    outlook = look(request, first, store)
    known, seen = outlook.known, None
    if not known.rates and dry_run:
        listener.told("No time estimate yet: it follows after the first model.")
        return full, None
    if not known.rates:
        from unlearnbench.api.making import work_off

        seen = samples.look_over(request, full.benchmark)
        store.prepare()
        for line in asked.announce(store, first):
            listener.told(line)
        listener.told("Training the first model, to see how long one takes.")
        alone = Progress([], [], [next(iter(first.plan.nodes))])
        work_off(request, first, store, replace(outlook, state=alone), listener, seen)
        known = estimate.from_store(first.plan, store)
        if not known.rates:
            raise UserError(
                "The first model could not be made, so nothing is known of the time that others"
                " take.",
                "Remove what it failed of, or go on without a budget.",
            )
    needs, most = 0.0, len(full.benchmark.seeds.forget)
    for repetitions in range(most, 0, -1):
        planned = prepare(request, repetitions)
        todo = [node for run, node in planned.plan.nodes.items() if not store.done(run)]
        needs = known.total(todo, request.placement.lanes) or 0.0
        if needs <= seconds:
            listener.told(f"{repetitions} of {most} repetitions fit in {duration(seconds)}.")
            return planned, seen
    raise UserError(
        f"One repetition takes about {duration(needs)}, which is more than {duration(seconds)}.",
        "Take fewer methods or references, or give it more time; what was made is kept.",
    )
