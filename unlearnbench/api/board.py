"""Enter a method: packs of a standard benchmark, each checked, become lines of a page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unlearnbench import registry
from unlearnbench.api.reports import Review
from unlearnbench.api.results import planned_of
from unlearnbench.errors import UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.frames import flat
from unlearnbench.files import visible
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.plan import RETRAIN
from unlearnbench.planning.rows import resolve
from unlearnbench.reporting.board import Entered, leaderboard
from unlearnbench.scratch import scratch
from unlearnbench.storage.pack import Contents, Pack, PackError
from unlearnbench.storage.store import Store
from unlearnbench.storage.unpacking import take_over_pack

APART = {"title", "tuning", "published", "plugins", "methods", "others", "on_request", "against"}
"""Parts of a benchmark that are words, or say which rows it has: these are the entrants'."""


@dataclass
class _Bank:
    """Hold the checksums of a standard bank's signals by run, and the digest of its data."""

    signals: dict[str, str | None] = field(default_factory=dict)
    data: str | None = None


def board(folder: str | Path) -> Review:
    """Check the packs of a folder, and put their methods side by side.

    A bank among them is the standard one of its benchmark; a file NAME.toml beside them is the
    benchmark NAME, in place of the shipped one. Packs that do not pass are named with the
    reason. No code of a pack is run. Raises UserError where there is no pack.
    """
    place = Path(folder)
    files = sorted(visible(place, "*.zip"))
    if not files:
        raise UserError(f"There are no packs in {place}.", "Put there what `results export` wrote.")
    refused: dict[str, str] = {}
    banks: dict[str, _Bank] = {}
    packs: dict[str, tuple[Contents, list[Path]]] = {}
    for file in files:
        try:
            with Pack(file) as pack:
                about = pack.contents
                if about.what == "bank":
                    _add(banks.setdefault(about.benchmark, _Bank()), pack)
                    continue
                whole = about.model_copy(update={"files": {}, "part": None})
                alone = "" if about.part else file.name  # only parts are looked for elsewhere
                key = f"{alone}{whole.model_dump_json()}"
                packs.setdefault(key, (whole, []))[1].append(file)
        except UserError as error:
            refused[file.name] = _why(error)
    entries = []
    for contents, parts in packs.values():
        try:
            entries.append(_entered(place, contents, parts, banks))
        except UserError as error:
            refused[", ".join(part.name for part in parts)] = _why(error)
    return Review(*leaderboard(entries, refused), [file.name for file in files])


def _why(error: UserError) -> str:
    return error.why if isinstance(error, PackError) else str(error)


def _add(bank: _Bank, pack: Pack) -> None:
    """Check a bank, or a part of it, and take its checksums."""
    signals = {run.id: (run.signals, run.record.get("data")) for run in pack.runs()}
    for run, (found, data) in signals.items():
        if bank.signals.get(run, found) != found or bank.data not in (None, data):
            raise pack.broken("it is another bank of this benchmark than that of an earlier file")
        bank.signals[run], bank.data = found, data


def _entered(
    place: Path, contents: Contents, parts: Iterable[Path], banks: dict[str, _Bank]
) -> Entered:
    """Check and judge one pack, apart from any results. Raises UserError if it cannot stand."""
    files = list(parts)
    bank = banks.get(contents.benchmark, _Bank())
    with scratch() as results:
        for file in files:
            take_over_pack(file, results)
        store = Store(results / contents.benchmark)
        planned = planned_of(store)
        assert planned is not None  # packs of results bring their benchmark
        standard = _standard(place, planned.benchmark)
        unfit = _unfit(planned, store)
        data = store.digest(next(iter(planned.plan.nodes)))
        if bank.data not in (None, data):
            raise UserError("It was made of other data than the bank.")
        findings = collect(planned, store)
        return Entered(
            files=[file.name for file in files],
            contents=contents,
            findings=findings,
            standard=standard,
            bank=_shared(planned, store, bank),
            unseen={name for name, plugin in planned.plugins.items() if plugin.facts},
            unfit=unfit,
        )


def _standard(place: Path, entered: Benchmark) -> Benchmark:
    """Return the benchmark that a pack is held to. Raises UserError where it is of another."""
    beside = place / f"{entered.name}.toml"
    path = beside if beside.is_file() else reading.shipped_benchmarks().get(entered.name)
    if path is None:
        raise UserError(
            f"No benchmark is called '{entered.name}': none ships, and there is no {beside.name}."
        )
    asked = reading.validate(reading.read(path))
    standard, _ = resolve(asked, registry.find("methods"), [])
    first, second = (
        dict(flat(one.model_dump(mode="json", exclude=APART))) for one in (standard, entered)
    )
    against = [
        f"{key} is {first.get(key)!r}, not {second.get(key)!r}"
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]
    if standard.methods[RETRAIN] != entered.methods.get(RETRAIN):
        against.append("retrain has other settings")
    if against:
        raise UserError(f"It is not the standard benchmark: {'; '.join(against)}.")
    return asked


def _unfit(planned: Planned, store: Store) -> dict[str, str]:
    """Return the rows of which runs are missing. Raises UserError where what all need is."""
    missing: dict[str, int] = {}
    for run, node in planned.plan.nodes.items():
        if not store.done(run):
            missing[node.label] = missing.get(node.label, 0) + 1
    unfit: dict[str, str] = {}
    needed: list[str] = []
    for label, count in missing.items():
        said = f"{count} of its runs are not in the pack ({label})"
        rows = [row for row in _rows(planned, label) if row != RETRAIN]
        unfit |= dict.fromkeys(rows, said)
        needed += [] if rows else [f"{count} of {label}"]
    if needed:
        raise UserError(f"Runs are missing: {', '.join(needed)}.")
    return unfit


def _rows(planned: Planned, label: str) -> Iterator[str]:
    """Yield the rows that a node's label is of: of work that is shared, all of that method."""
    for name, row in planned.benchmark.methods.items():
        if label == name or label.startswith((f"{name} (", f"{row.method} (shared)")):
            yield name


def _shared(planned: Planned, store: Store, bank: _Bank) -> str:
    """Say whether the references of a pack are those of the bank, and its originals as well."""
    if not bank.signals:
        return "no bank here"

    def alike(runs: list[str]) -> int:
        return sum(
            store.record(run)["files"].get("signals.npz") == bank.signals.get(run, "")
            for run in runs
        )

    references = planned.plan.references
    originals = [run for run, node in planned.plan.nodes.items() if node.spec.kind == "original"]
    if (same := alike(references)) < len(references):
        return f"others ({same} of {len(references)} the bank's)"
    return "bank" if alike(originals) == len(originals) else "references"
