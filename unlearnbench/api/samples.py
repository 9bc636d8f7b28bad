"""Which samples a benchmark has: where each is in the data set, and whether a list is of them."""

import pandas as pd

from unlearnbench import files, registry
from unlearnbench.api.request import Request
from unlearnbench.data import lists
from unlearnbench.data.prepare import Data, draw_samples
from unlearnbench.errors import DataError
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.storage.store import Store

FILE = "samples.csv"


def looked_up(request: Request, benchmark: Benchmark, *, fetch: bool = True) -> Data | None:
    """Return the data of a benchmark that has a list, having looked its samples up.

    Also those of models made elsewhere; else None. Raises DataError naming samples that are not
    there. fetch: get the data first; without, None where they are not there either.
    """
    if not request.asked.lists and not request.given:
        return None
    source = registry.source(benchmark.data, request.data)
    try:
        if fetch:
            source.fetch()
        data = draw_samples(source, benchmark.data)
    except DataError:
        if fetch:
            raise
        return None
    for entries in request.asked.lists.values():
        lists.positions(entries, data)
    return data


def note(store: Store, data: Data) -> None:
    """Write beside results which sample of the data set each position in their files is."""
    write(store, table(data))


def write(store: Store, frame: pd.DataFrame) -> None:
    """Write such a table."""
    files.write(store.folder / FILE, lambda draft: frame.to_csv(draft, index=False))


def table(data: Data) -> pd.DataFrame:
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
