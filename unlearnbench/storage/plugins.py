"""plugins.json: what reports need of the user's plugins that are no methods, kept as data.

With it a folder can be planned, rendered, compared and handed on where their files are not.
"""

import os
from collections.abc import Iterable

from pydantic import ValidationError

from unlearnbench import entries, registry
from unlearnbench.errors import UserError, of_value
from unlearnbench.files import UnsoundError, parsed, read_text
from unlearnbench.outline import audit_facts, audit_known_by
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.expansion import Planned
from unlearnbench.planning.known import PluginFacts
from unlearnbench.registry import Own, Plugin
from unlearnbench.storage.store import Store

FILE = "plugins.json"


def known_plugins(store: Store) -> PluginFacts:
    """Return what a folder knows of plugins. Raises UserError where it cannot be that."""
    path = store.folder / FILE
    if not os.path.lexists(path):
        return PluginFacts()
    try:
        return PluginFacts.model_validate(parsed(read_text(path, store.folder)))
    except UnsoundError as error:
        raise UserError(f"{path} {error}.") from error
    except ValidationError as error:
        raise _wrong(str(path), error) from error


def _wrong(what: str, error: ValidationError) -> UserError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return UserError(f"{what} cannot be used: {where}: {of_value(first['msg'])}.")


def note_plugins(store: Store, known: PluginFacts) -> None:
    """Note what is known of plugins, in addition to what was noted before.

    That is read here, so what was asked of the folder is held meanwhile, see `asked.changing`.
    """
    before = known_plugins(store)
    if (joined := before | known) != before:
        store.note(store.folder / FILE, joined.model_dump_json(indent=1, by_alias=True) + "\n")


def plugin_facts(planned: Planned) -> PluginFacts:
    """Return what reports need of a benchmark's plugins. Raises UserError where that is too odd."""
    benchmark = planned.benchmark
    audits = {name: planned.audits[name] for name in benchmark.model_audits}
    named = {"models": benchmark.model, "datasets": benchmark.data.name}
    there = {
        "models": registry.find("models", benchmark.plugins),
        "datasets": registry.find("datasets", benchmark.plugins),
    }
    files = {
        kind: {name: there[kind][name].path.name}
        for kind, name in named.items()
        if name in there[kind] and not _ships(there[kind][name])
    }
    own = {name: audit_facts(one) for name, one in audits.items() if not _ships(one)}
    told = entries.entry_facts(benchmark.plugins) | {"model_audits": own, "files": files}
    try:
        return PluginFacts.model_validate(told)
    except ValidationError as error:
        raise _wrong("A plugin", error) from error


def _ships(plugin: Plugin) -> bool:
    return plugin.path.parent == registry.shipped(plugin.path.parent.name) and not plugin.entry


def known_audits(store: Store, files: list[str]) -> dict[str, Plugin]:
    """Return the audits of models that are here, and those that a folder knows."""
    told = known_plugins(store).model_audits.items()
    known = {name: audit_known_by(name, one.model_dump()) for name, one in told}
    return known | registry.find("model_audits", files)


def enter_kept(store: Store) -> PluginFacts:
    """Have metrics and attacks that a folder knows, and that are not here, be known by name."""
    known = known_plugins(store)
    entries.enter_known(known.model_dump(include={"metrics", "attacks"}))
    return known


def require_here(store: Store, benchmark: Benchmark, own: Iterable[Own]) -> None:
    """Raise UserError, naming its file, where a folder's model was in one that is not here."""
    file = known_plugins(store).files.get("models", {}).get(benchmark.model)
    if file and benchmark.model not in registry.find("models", own):
        raise UserError(
            f"The model {benchmark.model} of {store.folder.name} is in {file}, which is not here.",
            f"Give it: plugins=[{file!r}].",
        )
