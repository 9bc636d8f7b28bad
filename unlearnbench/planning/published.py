"""Numbers that papers printed: one CSV file a paper, to which benchmark files refer by table."""

import csv
from collections.abc import Iterable

from unlearnbench.errors import unknown
from unlearnbench.planning.plan import Access
from unlearnbench.recipe import Strict
from unlearnbench.registry import shipped

FOLDER = shipped("papers")


class Published(Strict):
    """Hold one row of numbers that a paper printed: metric -> [mean, spread]."""

    source: str
    method: str
    access: Access = "full"
    fraction: float
    values: dict[str, list[float]]


def looked_up(entries: object) -> object:
    """Put rows in the place of each entry such as "amun: Table 1"; others are left as they are.

    The file is papers/amun.csv: its first line names the paper, then comes one line a number, with
    where it stands and what it is of. Raises ValueError for what is not there.
    """
    if not isinstance(entries, Iterable):
        return entries
    rows: list[object] = []
    for entry in entries:
        rows += _rows(*entry.partition(": ")[::2]) if isinstance(entry, str) else [entry]
    return rows


def _rows(paper: str, place: str) -> list[Published]:
    papers = {path.stem: path for path in FOLDER.glob("*.csv")}
    if paper not in papers:
        raise ValueError(str(unknown("paper", paper, papers)))
    title, *lines = papers[paper].read_text().splitlines()
    printed: dict[tuple[str, str, Access], dict[str, list[float]]] = {}
    places = set()
    for line in csv.DictReader(lines):
        places.add(line["where"])
        if line["where"] == place:
            access: Access = "full" if line["access"] == "full" else "forget-only"
            values = printed.setdefault((line["method"], line["fraction"], access), {})
            numbers = (line["mean"], line["std"])
            values[line["metric"]] = [float(number) for number in numbers if number]
    if not printed:
        raise ValueError(str(unknown(f"table of {paper}", place, places)))
    source = f"{title.removeprefix('# ')}, {place}"
    return [
        Published(source=source, method=method, access=access, fraction=float(share), values=values)
        for (method, share, access), values in printed.items()
    ]
