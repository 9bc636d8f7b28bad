"""Which samples a benchmark has: looked over before anything is made, and noted beside results."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from unlearnbench import architectures, files, registry
from unlearnbench.api.request import Request
from unlearnbench.data import lists
from unlearnbench.data.copies import copies_said
from unlearnbench.data.prepare import Data, draw_samples
from unlearnbench.errors import DataError, UnlearnBenchError
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.storage.store import Store

FILE = "samples.csv"


@dataclass(frozen=True)
class DataSeen:
    """Hold what was seen of data: themselves, if they are there, and what is odd, in lines.

    named: whether samples are meant by name or by number, so that results must tell them.
    """

    data: Data | None = None
    odd: list[str] = field(default_factory=list)
    named: bool = False

    def note(self, store: Store) -> None:
        """Write beside results which sample of the data set each position in their files is."""
        if self.data is not None and (self.named or self.data.names):
            write_samples(store, sample_table(self.data))


def look_over(
    request: Request,
    benchmark: Benchmark,
    earlier: str | None = None,
    seen: DataSeen | None = None,
    *,
    dry_run: bool = False,
) -> DataSeen:
    """Download data that are missing, and find what is wrong with them before workers start.

    Also with lists of them. earlier: digest of the data that runs were made of before; seen: of
    the same data, which are not read twice. A dry run downloads nothing, and looks only at what is
    there. Raises DataError with all faults.
    """
    asked = benchmark.data
    if seen is not None and seen.data is not None:
        seen.data.require(earlier, asked.name)
        return seen
    source = registry.source(asked, request.data, benchmark.plugins)
    if dry_run and not source.there():
        return DataSeen(odd=[f"Data set '{asked.name}' is not here yet, so it was not looked at."])
    try:
        source.fetch()  # which downloads nothing of what is there
        odd = source.check()
        data = draw_samples(source, asked)
    except UnlearnBenchError:
        raise
    except Exception as error:  # the boundary: the file of a data set may raise anything
        problem = f"Data set '{asked.name}' cannot be read: {registry.told(error)}."
        raise DataError(problem) from error
    data.require(earlier, asked.name)
    architectures.require_side(benchmark.model, data.train[0].shape[-1], benchmark.plugins)
    lines = [*odd, *filter(None, [copies_said(data.copies)])]
    for entries in request.asked.lists.values():
        name = Path(str(benchmark.forget.list)).name
        lines += filter(None, [lists.repeats_said(name, entries, lists.positions(entries, data))])
    return DataSeen(data, lines, bool(request.asked.lists or request.given))


def write_samples(store: Store, frame: pd.DataFrame) -> None:
    """Write a table of samples beside results."""
    files.write(store.folder / FILE, lambda draft: frame.to_csv(draft, index=False))


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
