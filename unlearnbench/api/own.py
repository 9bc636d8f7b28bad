"""A benchmark for models of one's own: their data, their net, and what is asked to be forgotten."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from unlearnbench.api import arguments
from unlearnbench.api.request import Request, Setup
from unlearnbench.api.request import benchmark as read_benchmark
from unlearnbench.data import lists
from unlearnbench.errors import UserError

ONCE: dict[str, Any] = {
    "others": False,
    "on_request": [],
    "against": None,
    "access": ["full"],
    "controls": False,
    "curves": False,
    "swap": False,
    "ulira": {},
    "model_audits": {},
    "published": [],
    "tuning": {},
}
"""What of a benchmark stands for many runs of many methods, and is not asked of one model."""


@dataclass(frozen=True)
class Own:
    """Say what models of one's own are made for.

    benchmark: a name or file that says all of it, or None; model, dataset, path: names as a
    benchmark file has them; forget: a list of what is to be forgotten, its file or its entries, in
    place of what the benchmark draws; plugins: files of a model or a data set; assignments:
    "KEY=VALUE", as after --set; data: folder that data sets are in.
    """

    benchmark: str | Path | Setup | None = None
    model: str | None = None
    dataset: str | None = None
    path: str | None = None
    forget: lists.ForgetList | None = None
    plugins: Sequence[str | Path] = ()
    assignments: Sequence[str] = ()
    data: str | Path = "data"

    @classmethod
    def of(
        cls,
        benchmark: str | Path | Setup | None,
        model: str | None,
        dataset: str | None,
        path: str | None,
        forget: lists.ForgetList | None,
        plugins: arguments.Files,
        assignments: str | Iterable[str],
        data: str | Path,
    ) -> Self:
        """Say the same as a call of the library, in which one stands for a list of one.

        Raises UserError for what is not of the right type.
        """
        return cls(
            benchmark,
            arguments.name(model, "model", "a function build(classes, channels, size)"),
            arguments.name(dataset, "dataset", "a class with base Source"),
            path,
            None if forget is None else lists.listing(forget),
            arguments.plugins(plugins),
            arguments.several(assignments),
            data,
        )

    def setup(self, kind: str, name: str | None, title: str) -> Setup:
        """Return the benchmark of one forget set; kind: what its name ends with or is.

        Raises UserError for what is not said, and for a number of repetitions.
        """
        for assignment in self.assignments:
            key, _, value = assignment.partition("=")
            if key.strip() in ("seed", "seeds") and not value.lstrip().startswith("{"):
                hint = "There is one forget set, and nothing is repeated."
                raise UserError(f"Cannot use --set {assignment}.", hint)
        if isinstance(self.benchmark, Setup):
            raw = dict(self.benchmark.raw)
        elif self.benchmark is not None:
            raw = dict(read_benchmark(self.benchmark).raw)
        else:
            raw = self._alone()
        named = {"name": self.dataset, "path": self.path}
        raw["data"] = raw.get("data", {}) | {k: v for k, v in named.items() if v is not None}
        raw |= {"model": self.model} if self.model else {}
        seeds = raw.get("seeds", {})
        firsts = {key: list(seeds.get(key, [1]))[:1] for key in ("originals", "forget", "runs")}
        own = ONCE | {"seeds": firsts | {"pairing": "zip", "retrains": 1}}
        own |= {"name": name or (f"{raw.get('name')}-{kind}" if self.benchmark else kind)}
        forget = raw.get("forget", {})
        first = list(forget.get("fractions", []))[:1]
        own["forget"] = forget | {"requests": 1, "fractions": first}
        setup = Setup({k: v for k, v in (raw | own | {"title": title}).items() if v is not None})
        return setup.forgetting(self.forget)

    def _alone(self) -> dict[str, Any]:
        """Return what there is without a benchmark."""
        for option, value in (("--model", self.model), ("--forget", self.forget)):
            if value is None:
                raise UserError(
                    f"{option} is not given.",
                    "Say what the models are (model, dataset) and what is to be forgotten (forget),"
                    " or name a benchmark that does: benchmark='NAME' (--benchmark NAME).",
                )
        data = {"name": self.dataset or "folder"}
        return {"name": "", "data": data, "forget": {"fractions": [1.0]}}

    def request(self, setup: Setup, results: str | Path, **more: Any) -> Request:
        """Put together what is asked for; more: as `Request` has it.

        What failed, or was made by code that has changed since, is made again without being asked
        for: there are few runs, and one model to hand out or one verdict, which an old run is not.
        """
        more |= {"retry_failed": True, "retry_stale": True}
        plugins = [Path(file) for file in self.plugins]
        where = Path(self.data), Path(results)
        return Request(setup, *where, assignments=self.assignments, plugins=plugins, **more)
