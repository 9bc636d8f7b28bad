"""What several commands asked of one results folder, put together where it can stand together."""

from collections.abc import Iterable
from typing import Any, TypeVar

from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import repetitions
from unlearnbench.planning.tables import AuditRow, References, Seeds, ULira

T = TypeVar("T")


def added_up(asked: Benchmark, known: Iterable[Benchmark]) -> tuple[Benchmark, list[Benchmark]]:
    """Add to what is asked for what was asked before: rows, seeds, fractions, references, audits.

    Returns that, and what cannot stand beside it: benchmarks of other data, models or training, and
    those rows of the others whose label has other settings now.
    """
    apart: list[Benchmark] = []
    for one in known:
        rows = one.methods
        if not differing(asked, one):
            rows = {
                label: row for label, row in rows.items() if asked.methods.get(label, row) != row
            }
            asked = _joined(asked, one)
        if rows:
            apart.append(one.model_copy(update={"methods": rows}))
    return asked, apart


def differing(asked: Benchmark, other: Benchmark) -> dict[str, tuple[Any, Any]]:
    """Return what keeps two benchmarks out of one table: by setting, its value in each."""
    new, old = _settled(asked), _settled(other)
    return {key: (new[key], old[key]) for key in new if key in old and new[key] != old[key]}


def _settled(benchmark: Benchmark) -> dict[str, Any]:
    """Return the settings that every run depends on; those of audits only where they are made."""
    tables: dict[str, Any] = {
        "data": benchmark.data.model_dump(),
        "recipe": benchmark.recipe.model_dump(),
        "forget": benchmark.forget.model_dump(exclude={"fractions"}),
        "references": {"seed": benchmark.references.seed},
    }
    if benchmark.ulira.shadows:
        tables["ulira"] = benchmark.ulira.model_dump(exclude={"methods"})
    audits = benchmark.model_audits.items()
    tables |= {f"model_audits.{name}": row.settings for name, row in audits}
    flat = {f"{name}.{key}": value for name, one in tables.items() for key, value in one.items()}
    given = {"given": "; ".join(benchmark.given.said())} if benchmark.given else {}
    return {"model": benchmark.model} | given | flat


def _joined(asked: Benchmark, other: Benchmark) -> Benchmark:
    """Put two benchmarks together that differ in nothing which every run depends on.

    What changes no run, such as attacks and limits, is as it is asked for now.
    """
    stems = {_stem(plugin) for plugin in asked.plugins}
    fractions = _union(other.forget.fractions, asked.forget.fractions)
    count = max(asked.references.count, other.references.count)
    return asked.model_copy(
        update={
            "access": _union(other.access, asked.access),
            "forget": asked.forget.model_copy(update={"fractions": fractions}),
            "seeds": _seeds(asked.seeds, other.seeds),
            "references": References(count=count, seed=asked.references.seed),
            "controls": asked.controls or other.controls,
            "curves": asked.curves or other.curves,
            "swap": asked.swap or other.swap,
            "ulira": _ulira(asked.ulira, other.ulira),
            "model_audits": _audits(asked.model_audits, other.model_audits),
            "methods": other.methods | asked.methods,
            # The same file may have moved.
            "plugins": [p for p in other.plugins if _stem(p) not in stems] + asked.plugins,
        }
    )


def _stem(plugin: str) -> str:
    return plugin.replace("\\", "/").rpartition("/")[2]


def _union(first: list[T], more: list[T]) -> list[T]:
    return list(dict.fromkeys([*first, *more]))


def _seeds(asked: Seeds, other: Seeds) -> Seeds:
    """Return the seeds of both: those of one where it has all of the other's repetitions."""
    new, old = repetitions(asked), repetitions(other)
    retrains = max(asked.retrains, other.retrains)
    for whole, part, seeds in ((new, old, asked), (old, new, other)):
        if set(part) <= set(whole):
            return seeds.model_copy(update={"retrains": retrains})
    originals, forget, runs = map(list, zip(*_union(old, new), strict=True))
    return Seeds(originals=originals, forget=forget, runs=runs, retrains=retrains)


def _ulira(asked: ULira, other: ULira) -> ULira:
    """Return the shadow worlds of the one that has any, or of both with the rows of both."""
    if not (asked.shadows and other.shadows):
        return asked if asked.shadows else other
    every = not (asked.methods and other.methods)
    methods = [] if every else _union(other.methods, asked.methods)
    return asked.model_copy(update={"methods": methods})


def _audits(asked: dict[str, AuditRow], other: dict[str, AuditRow]) -> dict[str, AuditRow]:
    """Return the audits of both, each on as many forget sets as either asks for."""
    most = {
        name: row.model_copy(update={"sets": max(row.sets, asked[name].sets)})
        for name, row in other.items()
        if name in asked
    }
    return other | asked | most
