"""What the commands typed so far have asked of a results folder, so that none of it is lost.

benchmark.toml says what the folder's tables show: all that was asked for and can stand in one
table. What cannot, as rows of another recipe, is in earlier/, a file each, and shown again as soon
as it is asked for again. methods.json says of each method what reports need to know.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from unlearnbench.errors import UserError, of_value
from unlearnbench.files import (
    TOML,
    UnsoundError,
    parsed,
    parsed_toml,
    read_text,
    require_plain,
    visible,
)
from unlearnbench.outline import facts
from unlearnbench.planning import reading
from unlearnbench.planning.benchmark import Benchmark, Row
from unlearnbench.planning.expansion import MOST, Planned, models_at_most
from unlearnbench.planning.facts import KeptFacts
from unlearnbench.planning.joining import added_up, differing
from unlearnbench.planning.known import PluginFacts
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, digest
from unlearnbench.registry import Plugin
from unlearnbench.storage import inside, sealed
from unlearnbench.storage.leases import ASKED, LeaseLostError
from unlearnbench.storage.plugins import enter_kept, known_plugins, note_plugins, plugin_facts
from unlearnbench.storage.store import Store

FILE, EARLIER, METHODS = "benchmark.toml", "earlier", "methods.json"
STARTS = 5
"""How often a step is started over."""
NO_PLUGINS = PluginFacts()
T = TypeVar("T")


def changing(store: Store) -> AbstractContextManager[None]:
    """Hold a folder's lease on what was asked of it: within, nobody else changes that.

    Raises UserError as `Leases.hold` does.
    """
    return store.leases.hold(ASKED)


def in_one_step(store: Store, change: Callable[[], T]) -> T:
    """Do what reads and then notes what was asked of a folder, while nobody else changes that.

    It starts over where another process took over meanwhile, as this one slept: what was read is no
    longer what there is. Within a longer step, that one ends. Raises as `changing` does, and
    LeaseLostError where it was started over in vain.
    """
    for _ in range(0 if store.leases.has(ASKED) else STARTS):
        with suppress(LeaseLostError), changing(store):
            return change()
    with changing(store):
        return change()


def mend(store: Store) -> list[str]:
    """Bring back what was lost or edited of all this; say what, see `sealed.bring_back`.

    Raises UserError where nothing can be written there.
    """
    altered = _altered(store)
    try:
        if altered:
            with changing(store):
                return sealed.bring_back(store.folder)
    except OSError as error:
        what = next(iter(altered.values()))
        hint = "Any command of a user who may write there repairs it."
        raise UserError(f"{store.folder}: {what} ({error.strerror}).", hint) from error
    return []


def damage(store: Store) -> dict[str, str]:
    """Say what of all this, and of other texts beside it, is not as it was written, by its name."""
    found = _altered(store)
    checks: dict[str, Callable[[Store], object]] = {FILE: every, METHODS: known_methods}
    for name, read in checks.items() if not found else ():
        try:
            read(store)
        except UserError as error:
            found[name] = str(error)
    return found


def _altered(store: Store) -> dict[str, str]:
    """Say what is not as it was written, by its name.

    What seems so is looked at once more while nobody changes it, where that can be had: between a
    copy and its text they differ.
    """
    wrong = sealed.wrong(store.folder)
    if wrong:
        with suppress(OSError), changing(store):  # who may only read takes what was seen
            wrong = sealed.wrong(store.folder)
    return {str(path.relative_to(store.folder)): what for path, what in wrong.items()}


def require_whole(store: Store) -> None:
    """Raise UserError where something is not as it was written, which `mend` would bring back."""
    for what in _altered(store).values():
        raise UserError(
            f"{store.folder}: {what}.", f"unlearnbench report {store.folder.name} mends it."
        )


def in_view(store: Store) -> Benchmark | None:
    """Return the benchmark of a folder's tables; None if it does not say which."""
    return _kept(store, FILE) if os.path.lexists(store.folder / FILE) else None


def nothing_asked(store: Store) -> UserError:
    """Return what to tell where a folder does not say what was asked of it."""
    return UserError(f"{store.folder} has no benchmark.toml.", "Run the benchmark once more.")


def earlier(store: Store) -> dict[str, Benchmark]:
    """Return what was asked for and is not shown, by a name of six letters and digits."""
    found = {}
    for path in sorted(visible(store.folder, f"{EARLIER}/*.toml")):
        try:
            found[path.stem] = _kept(store, f"{EARLIER}/{path.name}", name=store.folder.name)
        except UserError:
            if os.path.lexists(path):
                raise
            continue  # shown again since it was listed, or removed
    return found


def _kept(store: Store, place: str, **changes: str) -> Benchmark:
    """Read what was asked of a folder, whoever made it: it stands on no other file, and opens none.

    Raises UserError, naming the file, for anything else.
    """
    path = store.folder / place
    enter_kept(store)

    def unusable(why: str) -> UserError:
        made = {run.name.rpartition("-")[0].rpartition("-")[0] for run in store.runs().values()}
        rows = ", ".join(sorted(made - {ORIGINAL, "reference", RETRAIN}))
        hint = f"Remove it, and type its commands again; there are runs of: {rows or 'none'}."
        return UserError(f"{path} {why}.", hint)

    try:
        raw = parsed_toml(read_text(path, store.folder, TOML))
        require_plain(raw)
        start = raw["recipe"].get("pretrained") if isinstance(raw.get("recipe"), dict) else None
        if start is not None and not (isinstance(start, dict) and start.get("digest")):
            raise UnsoundError("names a file of weights without its digest")
    except UnsoundError as error:
        raise unusable(str(error)) from error
    except ValueError as error:
        raise unusable(f"is not valid TOML: {error}") from error
    try:
        benchmark = reading.validate({"name": store.folder.name} | raw | changes)
    except UserError as error:
        raise unusable(f"cannot be used: {str(error).removesuffix('.')}") from error
    if (models := models_at_most(benchmark)) > MOST:
        raise unusable(f"asks for {models:,} models, which is more than can be planned")
    return benchmark


def every(store: Store) -> list[Benchmark]:
    """Return all that was asked for: first what is shown."""
    first = in_view(store)
    return [*([first] if first else []), *earlier(store).values()]


def remember(
    store: Store,
    asked: Benchmark,
    methods: Mapping[str, dict[str, Any]],
    plugins: PluginFacts = NO_PLUGINS,
) -> list[str]:
    """Note what is asked for now; say what is not shown from now on.

    methods, plugins: what reports need to know of them, see `facts_of` and `plugin_facts`.
    """

    def change() -> tuple[list[Benchmark], Benchmark, list[Benchmark]]:
        known = every(store)
        merged, apart = added_up(asked, known)
        keep(store, merged, apart)
        _note_methods(store, {**known_methods(store), **methods})
        note_plugins(store, plugins)
        return known, merged, apart

    known, merged, apart = in_one_step(store, change)
    hidden = [one for one in apart if one not in known[1:]]
    return [line for one in hidden for line in _hidden(store, merged, one)]


def _hidden(store: Store, now: Benchmark, one: Benchmark) -> Iterator[str]:
    """Say why something that was asked for cannot be shown beside what is."""
    kept = "kept apart, and shown again when that is asked for"
    if unlike := differing(now, one):
        was = in_words({key: value for key, (_, value) in unlike.items()})
        how = "another folder" if now.given else "--results DIR"  # `apply` has no such option
        yield (
            f"What {store.folder.name} showed so far was made with {was}. It is {kept};"
            f" {how} keeps both in view."
        )
        return
    for label, row in one.methods.items():
        was = in_words(other_settings(row, now.methods[label]))
        yield f"{label} was made with {was} before. Those runs are {kept}."


def other_settings(row: Row, now: Row) -> dict[str, Any]:
    """Return in what a row differs from what it is now: its values, None for what it lacks."""
    was, is_ = row.table(), now.table()
    return {key: was.get(key) for key in {**was, **is_} if was.get(key) != is_.get(key)}


def in_words(settings: Mapping[str, Any]) -> str:
    """Write settings for people."""
    return ", ".join(
        f"{key} = {value}" if value is not None else f"no {key}" for key, value in settings.items()
    )


def kept_said(store: Store) -> list[str]:
    """Say of what was asked for earlier and is not shown its name, in what it differs, its rows."""
    now, lines = in_view(store), []
    for name, one in earlier(store).items():
        unlike = {key: value for key, (_, value) in differing(now, one).items()} if now else {}
        rows = [label for label in one.methods if label != RETRAIN or len(one.methods) == 1]
        if now and not unlike:
            others = {
                n: other_settings(one.methods[n], now.methods.get(n, Row(method=n))) for n in rows
            }
            rows = [f"{label} with {in_words(other)}" for label, other in others.items()]
        lines.append(
            ": ".join(filter(None, [f"earlier {name}", in_words(unlike), ", ".join(rows)]))
        )
    return lines


def keep(store: Store, benchmark: Benchmark, apart: Iterable[Benchmark]) -> None:
    """Write down what is shown, and what else was asked for; nothing is lost if this is ended.

    What was read to make them up was read while `changing`, and so is this.
    """
    texts = {digest(one.model_dump(mode="json"))[:6]: reading.as_toml(one) for one in apart}
    for name, text in texts.items():
        store.note(store.folder / EARLIER / f"{name}.toml", text)
    store.note(store.folder / FILE, reading.as_toml(benchmark))
    for path in inside.ours(visible(store.folder, f"{EARLIER}/*.toml"), store.folder):
        if path.stem not in texts:
            store.unnote(path)


def take_in(
    store: Store,
    others: Iterable[Benchmark],
    methods: Mapping[str, dict[str, Any]],
    plugins: PluginFacts,
) -> None:
    """Note what was asked of another folder of the same benchmark, whose runs are taken over.

    What is shown here stays in view. methods, plugins: what is known of them there; of those known
    here that holds. Where plugins were is of no use here: nothing that the folder names is loaded.
    """
    named = {"name": store.folder.name, "plugins": []}
    added = [one.model_copy(update=named) for one in others]

    def change() -> None:
        if wanted := [*every(store), *added]:
            first, *more = wanted
            keep(store, *added_up(first, more))
        _note_methods(store, {**methods, **known_methods(store)})
        note_plugins(store, plugins | known_plugins(store))

    in_one_step(store, change)


def announce(store: Store, planned: Planned) -> list[str]:
    """Note what is asked for before it is sure that it can be made, and go on showing what was.

    So what is made of it meanwhile is needed for all who ask. Say what was mended.
    """
    lines = mend(store)
    facts = facts_of(planned.benchmark, planned.plugins)
    take_in(store, [planned.benchmark], facts, plugin_facts(planned))
    return lines


def known_methods(store: Store) -> dict[str, dict[str, Any]]:
    """Return what reports need to know of the methods that were run, by name."""
    path = store.folder / METHODS
    try:
        content = parsed(read_text(path, store.folder)) if os.path.lexists(path) else {}
        TypeAdapter(dict[str, KeptFacts]).validate_python(content)
    except UnsoundError as error:
        raise UserError(f"{path} {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} cannot be used: {where}: {of_value(first['msg'])}.") from error
    found: dict[str, dict[str, Any]] = content
    return found


def require_file_again(name: str, results: Path) -> None:
    """Raise UserError, naming its file, where a folder below `results` has runs of a method."""
    for path in sorted(results.glob(f"*/{METHODS}")):
        with suppress(UserError):  # of a folder that is broken, which is not what was asked
            if told := known_methods(Store(path.parent)).get(name):
                break
    else:
        return
    file = Path(told["path"])
    near = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    named = near if file.is_file() else file.name
    raise UserError(
        f"The method '{name}' is not here, but {path.parent} has runs of it.",
        f"Give its file again: --plugin {named}.",
    )


def _note_methods(store: Store, known: Mapping[str, dict[str, Any]]) -> None:
    if known:
        text = json.dumps(known, indent=1, sort_keys=True) + "\n"
        store.note(store.folder / METHODS, text)


def facts_of(benchmark: Benchmark, plugins: dict[str, Plugin]) -> dict[str, dict[str, Any]]:
    """Return what reports need to know of a benchmark's methods, by name."""
    used = {row.method for row in benchmark.methods.values()}
    known = {name: facts(plugins[name]) for name in sorted(used)}
    twins = {known[name]["twin"] for name in used} - used - {""}
    return known | {name: facts(plugins[name]) for name in twins}


def without(benchmark: Benchmark, labels: Iterable[str]) -> Benchmark:
    """Return a benchmark without some of its rows."""
    gone = set(labels)
    audited = [label for label in benchmark.ulira.methods if label not in gone]
    return benchmark.model_copy(
        update={
            "methods": {n: row for n, row in benchmark.methods.items() if n not in gone},
            "ulira": benchmark.ulira.model_copy(update={"methods": audited}),
            "against": None if benchmark.against in gone else benchmark.against,
        }
    )
