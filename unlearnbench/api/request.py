"""What is asked for: a benchmark, methods, devices; and the graph of models that it comes to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import tomli_w

from unlearnbench import registry
from unlearnbench.api.arguments import several
from unlearnbench.audits.attacks import SHOWN
from unlearnbench.authoring import Method
from unlearnbench.data import lists
from unlearnbench.data.lists import Entries, ForgetList
from unlearnbench.entries import enter
from unlearnbench.environment import require_system
from unlearnbench.errors import UserError, in_any_case
from unlearnbench.execution import Feeding, GivenFile
from unlearnbench.outline import spelled
from unlearnbench.planning import reading, rows
from unlearnbench.planning.benchmark import Benchmark
from unlearnbench.planning.checking import require_part
from unlearnbench.planning.expansion import Planned, expand, require_parts
from unlearnbench.planning.sources import named_by
from unlearnbench.registry import Plugin
from unlearnbench.scheduling.placement import Placement, choose
from unlearnbench.storage.asked import require_file_again

Wanted = str | Path | type[Method] | Method
"""One method to run: a name, a file, a class, or an instance with its settings."""
Methods = Wanted | Sequence[Wanted] | Mapping[str, Wanted]
"""One method, or several in order; of a mapping, the keys are the labels of their rows."""
Item = tuple[str, Plugin | None, dict[str, Any]]
"""One method asked for: its name, itself if it is not shipped, and its own settings."""


@dataclass(frozen=True)
class Setup:
    """Hold a benchmark that can still be changed: every part is of the right type.

    What is missing, or does not fit together, is found when it is planned.

    raw: as its file has it, those that it is based on included; but in place of a file that lists
    what is to be forgotten, it may have the entries.
    """

    raw: dict[str, Any]

    def set(self, key: str, value: Any) -> Self:
        """Return a copy with one setting changed.

        The key begins with a table of the file (`recipe.epochs`) or a row's label (`salun.keep`).
        Raises UserError for any other, and for a value that it cannot have.
        """
        changed = deepcopy(self.raw)
        reading.put(changed, key, value, self.methods)
        return type(self)(changed)

    def repeated(self, seeds: int | None) -> Self:
        """Return a copy with so many repetitions; None leaves them as they are."""
        changed = deepcopy(self.raw)
        if seeds is not None:
            reading.repeat(changed, seeds)
        return type(self)(changed)

    def forgetting(self, samples: ForgetList | None) -> Self:
        """Return a copy that forgets these samples; None leaves it as it is.

        samples: numbers or file names, [n], or a file that lists them. Raises UserError for what is
        none of these.
        """
        if samples is None:
            return self
        listed = lists.listing(samples)
        changed = self.set("forget.list", listed if isinstance(listed, str) else lists.GIVEN)
        changed.raw["forget"]["list"] = listed
        return changed

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, checked, which may name metrics and attacks of its plugins.

        Raises UserError naming the key that is wrong.
        """
        enter(self.raw.get("plugins", ()))
        raw = deepcopy(self.raw)
        _take_entries(raw)
        return reading.validate(raw)

    @property
    def methods(self) -> dict[str, Plugin]:
        """The methods there are, with those in files that the benchmark names."""
        return registry.find("methods", map(Path, self.raw.get("plugins", [])))

    def __repr__(self) -> str:
        """Show it as its file would be."""
        return f"# benchmark {self.raw.get('name', '')}\n{tomli_w.dumps(self.raw)}"


def benchmark(source: str | Path | Mapping[str, Any], *, seeds: int | None = None) -> Setup:
    """Take a benchmark by name, by the path of a TOML file, or as the content of one.

    seeds: how often all is repeated, if not as the file says. Raises UserError if it is not there,
    and where a value in it is of the wrong type.
    """
    if isinstance(source, Mapping):
        raw = require_part(dict(source), "benchmark")
    else:
        raw = reading.read(reading.locate(str(source)))
    return Setup(raw).repeated(seeds)


@dataclass(frozen=True)
class Asked:
    """Hold which rows are wanted, the methods there are, and the benchmark with their settings.

    raw: names the files of the user's plugins, of all kinds; plugins: methods alone; lists: what
    the forget list names, by its digest, nothing where there is none.
    """

    raw: dict[str, Any]
    plugins: dict[str, Plugin]
    labels: list[str] | None
    lists: Mapping[str, Entries]


@dataclass(frozen=True)
class Request:
    """Hold all that a run is asked for.

    methods: None for all that the benchmark has; assignments: "KEY=VALUE", as after --set;
    devices: "auto", or names separated by commas; jobs_per_device: None on the CPU for one a core,
    on a GPU for what fits; timeout: seconds that a run may take; budget: seconds for as many whole
    repetitions as fit; address: of a Dask scheduler, None for this machine; keep_weights: of
    unlearned models too; adopt: results folders, by name or path, whose originals and references
    are taken over, so that whoever made them is trusted; given: files of models made elsewhere, by
    their digest; images: resident on the device, streamed to it from host memory or a file, or as
    memory allows, which changes no result.
    """

    setup: Setup
    data: Path
    results: Path
    methods: Methods | None = None
    assignments: Sequence[str] = ()
    plugins: Sequence[Path] = ()
    devices: str = "auto"
    jobs_per_device: int | None = None
    retry_failed: bool = False
    retry_stale: bool = False
    timeout: float | None = None
    budget: float | None = None
    address: str | None = None
    profile: bool = False
    keep_weights: bool = False
    adopt: Sequence[Path] = ()
    given: Mapping[str, GivenFile] = field(default_factory=dict)
    images: Feeding = "auto"

    @cached_property
    def placement(self) -> Placement:
        """Where models are made on this machine."""
        return choose(self.devices, self.jobs_per_device)

    @cached_property
    def asked(self) -> Asked:
        """The methods asked for, read once, and what was changed. Raises UserError."""
        raw, items = deepcopy(self.setup.raw), _items(self.methods)
        own = [plugin for _, plugin, _ in items.values() if plugin]
        files = [*map(Path, raw.get("plugins", [])), *self.plugins]
        files += [plugin.path for plugin in own if not plugin.pickled]
        every = list(dict.fromkeys(file.resolve() for file in files))
        plugins = registry.find("methods", [*every, *(one for one in own if one.pickled)])
        for file in every:
            registry.require(Plugin.of(file))
        raw["plugins"] = [str(file) for file in every]
        items = dict(_spelled(items, plugins, raw.get("methods", {})))
        for name in sorted(
            {one[0] for one in items.values()} - {*plugins, *raw.get("methods", {})}
        ):
            require_file_again(name, self.results)
        if attacks := enter(every):  # an attack that is named is made
            raw["attacks"] = list(dict.fromkeys([*raw.get("attacks", SHOWN), *attacks]))
        for label, (name, _, settings) in items.items():
            if label != name or settings:
                table = raw.setdefault("methods", {}).setdefault(label, {})
                table |= {"method": name} | settings
        reading.change(raw, self.assignments, plugins)
        labels = None if self.methods is None else list(items)
        return Asked(raw, plugins, labels, _read_list(raw))


def _take_entries(raw: dict[str, Any]) -> Entries:
    """Put a name in place of the entries of a forget list, if it has them; return these."""
    match raw:
        case {"forget": {"list": tuple(entries)}}:
            raw["forget"]["list"] = lists.GIVEN
            return entries
    return ()


def _read_list(raw: dict[str, Any]) -> dict[str, Entries]:
    """Read the list of a forget set, if it has one, and note its digest there."""
    entries, forget = _take_entries(raw), raw.get("forget")
    if not (isinstance(forget, dict) and isinstance(forget.get("list"), str)):
        return {}
    entries = entries or lists.read_list(Path(forget["list"]))
    forget["listed"] = lists.list_digest(entries)
    return {forget["listed"]: entries}


def _items(methods: Methods | None) -> dict[str, Item]:
    """Read the methods asked for, by label of their rows. Raises UserError where two share one."""
    if isinstance(methods, Mapping):
        return {label: _item(wanted) for label, wanted in methods.items()}
    items: dict[str, Item] = {}
    for item in map(_item, () if methods is None else several(methods)):
        if items.setdefault(item[0], item) != item:
            raise UserError(
                f"Two methods would be the row '{item[0]}'.",
                "Give rows labels of their own: methods={'one': ..., 'other': ...}.",
            )
    return items


def _spelled(
    items: Mapping[str, Item], plugins: dict[str, Plugin], listed: Iterable[str]
) -> Iterator[tuple[str, Item]]:
    """Yield methods asked for under the names that they have, however they were typed."""
    known = [*plugins, *listed, rows.EVERY]
    for label, (name, own, settings) in items.items():
        meant = in_any_case(name, known)
        meant = meant if meant in known or own else spelled(name, plugins)
        yield meant if label == name else label, (meant, own, settings)


def _item(wanted: Wanted) -> Item:
    """Tell names, files, classes and instances apart; keep what an instance was given."""
    if isinstance(wanted, str) and not wanted.endswith(".py"):
        return wanted, None, {}
    if isinstance(wanted, (str, Path)):
        return Path(wanted).stem, Plugin.of(Path(wanted)), {}
    if isinstance(wanted, Method):
        name, plugin, _ = _item(type(wanted))
        return name, plugin, wanted.model_dump(mode="json", include=wanted.model_fields_set)
    if not (isinstance(wanted, type) and issubclass(wanted, Method)):
        hint = "Give names, files, subclasses of Method or instances."
        raise UserError(f"{wanted!r} is not a method.", hint)
    plugin = Plugin.of(wanted)
    return plugin.name, None if plugin.path.parent == registry.shipped("methods") else plugin, {}


def prepare(request: Request, repetitions: int | None = None) -> Planned:
    """Expand so many repetitions of a request, None for all. Raises UserError for what is wrong."""
    require_system()
    asked = request.asked
    benchmark = Setup(asked.raw).repeated(repetitions).benchmark
    resolved, broken = rows.resolve(benchmark, asked.plugins, asked.labels)
    for row in rows.entrants(resolved, asked.plugins):
        list(named_by(row.label, type(row.method), row.row.settings))  # or say what is not there
    require_parts(resolved)
    planned = expand(resolved, asked.plugins, keep_weights=request.keep_weights)
    for label, reason in broken.items():
        planned.plan.skipped |= {(label, access): reason for access in resolved.access}
    return planned
