"""What was asked for: from what the user typed to the graph of models to make."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from unlearnbench import registry
from unlearnbench.planning import reading, rows
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.scheduling.placement import Placement, choose


@dataclass(frozen=True)
class Request:
    """Hold what the user typed after `unlearnbench run`."""

    benchmark: str
    data: Path
    results: Path
    methods: list[str] | None = None
    seeds: int | None = None
    assignments: list[str] = field(default_factory=list)
    plugins: list[Path] = field(default_factory=list)
    devices: str = "auto"
    jobs_per_device: int | None = None
    dry_run: bool = False
    retry_failed: bool = False
    retry_stale: bool = False
    timeout: float | None = None
    budget: float | None = None
    address: str | None = None
    profile: bool = False

    @cached_property
    def placement(self) -> Placement:
        """Where models are made on this machine."""
        return choose(self.devices, self.jobs_per_device)


def prepare(request: Request, repetitions: int | None = None) -> Planned:
    """Read the benchmark, apply what the user changed, and expand it.

    repetitions: how many to take of those asked for; None for all.
    """
    raw, plugins = read_with_plugins(request.benchmark, request.plugins)
    reading.change(raw, request.assignments, plugins)
    for count in (request.seeds, repetitions):
        if count is not None:
            reading.repeat(raw, count)
    benchmark, broken = rows.resolve(reading.validate(raw), plugins, request.methods)
    planned = expand(benchmark, plugins)
    for label, reason in broken.items():
        planned.plan.skipped |= {(label, access): reason for access in benchmark.access}
    return planned


def read_with_plugins(
    name: str, plugin_files: list[Path]
) -> tuple[dict[str, Any], dict[str, registry.Plugin]]:
    """Read a benchmark, and find the methods there are, in files named by it or the user too."""
    raw = reading.read(reading.locate(name))
    listed = [Path(path) for path in raw.get("plugins", [])]
    every = list(dict.fromkeys(path.resolve() for path in [*listed, *plugin_files]))
    plugins = registry.find("methods", every)
    for path in every:
        registry.method_class(plugins[path.stem])  # named by the user: must import here and now
    raw["plugins"] = [str(path) for path in every]
    return raw, plugins
