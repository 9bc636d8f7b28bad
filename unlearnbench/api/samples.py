"""Which samples a benchmark has: looked over before anything is made, and noted beside results."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pandas as pd

from unlearnbench import architectures, registry
from unlearnbench.api.request import Request
from unlearnbench.data import lists
from unlearnbench.data.copies import copies_said
from unlearnbench.data.prepare import Data, Source, draw_samples, unreadable
from unlearnbench.data.splits import Split, cut
from unlearnbench.errors import DataError, UnlearnBenchError
from unlearnbench.guarding.guard import foreign
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.storage import asked, inside
from unlearnbench.storage.samples import FILE
from unlearnbench.storage.store import Store


@dataclass(frozen=True)
class DataSeen:
    """Hold what was seen of data: themselves, if they are there, and what is odd, in lines.

    named: whether a list names samples, so that results must tell which they are.
    """

    data: Data | None = None
    odd: list[str] = field(default_factory=list)
    named: bool = False

    def note(self, store: Store, *, instead: bool = False) -> list[str]:
        """Write beside results which sample of the data set each position in their files is.

        instead: whether other data were shown so far. A table of those goes; it is said where it
        should be one of these.
        """
        if self.data is not None and (self.named or self.data.names or _drawn(self.data)):
            write_samples(store, sample_table(self.data))
        elif instead and os.path.lexists(store.folder / FILE):
            asked.in_one_step(store, lambda: store.unnote(store.folder / FILE))
            if self.data is None:
                return [f"{FILE} is removed: it lists other data, and these cannot be read here."]
        return []


def look_over(
    request: Request,
    benchmark: Benchmark,
    earlier: str | None = None,
    seen: DataSeen | None = None,
    *,
    dry_run: bool = False,
    busy: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> DataSeen:
    """Download data that are missing, and find what is wrong with them before workers start.

    Also with lists of them. earlier: digest of the data that runs were made of before; seen: of
    the same data, which are not read twice. A dry run downloads nothing, and looks only at what is
    there. busy: returns a context for the time that it takes, downloads apart, which show their own
    progress. Raises DataError with all faults.
    """
    asked = benchmark.data
    if seen is not None and seen.data is not None:
        seen.data.require(earlier, asked.name)
        return seen
    with foreign(unreadable(asked.name), passes=UnlearnBenchError):
        source = registry.source(asked, request.data, benchmark.plugins)
        if dry_run and not source.there():
            told = f"Data set '{asked.name}' is not here yet, so it was not looked at."
            return DataSeen(odd=[told])
        source.fetch()  # which downloads nothing of what is there
    with busy("Looking over the data"):
        return _look_into(source, request, benchmark, earlier)


def look_again(
    request: Request,
    benchmark: Benchmark,
    earlier: str | None,
    seen: DataSeen,
    busy: Callable[[str], AbstractContextManager[object]],
) -> DataSeen:
    """Look over data of which all is made, as `look_over` does, for the table of samples alone.

    Nothing is downloaded for that, and data that cannot be read, or are others now, end nothing.
    """
    with suppress(UnlearnBenchError):
        return look_over(request, benchmark, earlier, seen, dry_run=True, busy=busy)
    return seen


def _look_into(
    source: Source, request: Request, benchmark: Benchmark, earlier: str | None
) -> DataSeen:
    """Find what is wrong with data that are there, and with lists of them."""
    asked = benchmark.data
    with foreign(unreadable(asked.name), passes=UnlearnBenchError):
        odd = source.check()
    data = draw_samples(source, asked)
    data.require(earlier, asked.name)
    architectures.require_side(benchmark.model, data.train[0].shape[-1], benchmark.plugins)
    try:
        where = [lists.positions(entries, data) for entries in request.asked.lists.values()]
    except DataError as error:
        if not _drawn(data):
            raise
        store = Store(request.results / benchmark.name)
        inside.require_own(store.folder)
        write_samples(store, sample_table(data))
        hint = (
            f"Samples that can be listed: column id of {store.folder / FILE}, where part is train."
        )
        raise DataError(str(error), hint) from error
    for split in _last_splits(benchmark):  # whose cut looks at those before it as well
        of = data.labels, len(data.train[1])
        cut(split, *of, subclasses=data.subclasses, listed=where[0] if where else None)
    lines = [*odd, *filter(None, [copies_said(data.copies)])]
    for entries, places in zip(request.asked.lists.values(), where, strict=True):
        name = Path(str(benchmark.forget.list)).name
        lines += filter(None, [lists.repeats_said(name, entries, places)])
    return DataSeen(data, lines, bool(request.asked.lists or request.given))


def _drawn(data: Data) -> bool:
    """Say whether the training samples are drawn from more: which they are, their numbers tell."""
    ids = data.ids[: len(data.train[1])]
    return bool(ids.max(initial=0) >= len(ids))


def _last_splits(benchmark: Benchmark) -> Iterator[Split]:
    """Yield a benchmark's last forget sets: if these can be drawn, so can all."""
    forget, ulira = benchmark.forget, benchmark.ulira
    seeds = dict.fromkeys(benchmark.seeds.forget)
    of_class = forget.kind in ("class", "subclass") and forget.target is None
    for fraction, seed in product(forget.fractions, list(seeds)[: None if of_class else 1]):
        yield forget.split(fraction, seed, forget.requests, swap=benchmark.swap)
    for fraction in forget.fractions if ulira.shadows else ():
        yield forget.world(fraction, ulira, ulira.shadows)


def write_samples(store: Store, frame: pd.DataFrame) -> None:
    """Write a table of samples beside results."""
    text = frame.to_csv(index=False)
    asked.in_one_step(store, lambda: store.note(store.folder / FILE, text))


def sample_table(data: Data) -> pd.DataFrame:
    """Return one row a sample of the pool.

    position: in the pool, from 0; part: train, test or held-out; of_test: whether the source has it
    in its test set; id: which sample of that part of the source it is, from 0; file: its name, if
    samples have any; label: its class.
    """
    counts = {"train": data.train, "test": data.test, "held-out": data.held_out}
    parts = [name for name, part in counts.items() for _ in part[1]]
    columns = {"position": range(len(parts)), "part": parts, "of_test": data.of_test}
    columns |= {"id": data.ids} | ({"file": data.names} if data.names else {})
    return pd.DataFrame(columns | {"label": data.labels})
