"""What came out, as data frames, tables and figures: of a run just made or of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from unlearnbench import registry
from unlearnbench.api import arguments
from unlearnbench.api.arguments import Files
from unlearnbench.authoring import Method
from unlearnbench.entries import enter
from unlearnbench.errors import UserError, unknown
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.findings import Condition as Judged
from unlearnbench.evaluation.findings import Findings
from unlearnbench.evaluation.frames import RUN
from unlearnbench.evaluation.training import training
from unlearnbench.files import UnsoundError, opened, parsed, read_text, write_text
from unlearnbench.metrics.curves import abscissa
from unlearnbench.outline import known_by
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.registry import Own
from unlearnbench.reporting.caveats import warnings
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.tables.table import Table
from unlearnbench.storage import asked, sealed
from unlearnbench.storage.apart import apart, apart_said
from unlearnbench.storage.finding import results_folder
from unlearnbench.storage.plugins import known_audits, require_here
from unlearnbench.storage.samples import FILE
from unlearnbench.storage.store import Store
from unlearnbench.units import count

if TYPE_CHECKING:
    from torch import nn

    from unlearnbench.planning.benchmark import Benchmark
    from unlearnbench.reporting.figures import Drawing

AGAIN = "Fix that, then type the same command again. In Python, make the same call."


@dataclass(frozen=True, repr=False)
class Condition(Judged):
    """One condition of a benchmark, with its tables and figures; folder: the results folder's."""

    folder: str = ""

    def __repr__(self) -> str:
        return f"<Condition {self.benchmark.name}: {self.heading}>"

    def table(self, name: str = "main") -> Table:
        """Return a table by its name. Raises UserError for an unknown one, or one without rows."""
        if name not in TABLES:
            raise unknown("table", name, TABLES)
        table = TABLES[name](self)
        if table is None:
            raise UserError(f"There is nothing for the table '{name}' in: {self.heading}.")
        return replace(table, benchmark=self.folder or table.benchmark)

    @property
    def plot(self) -> Plots:
        """The figures, each drawn by a method of its name: `condition.plot.gaps(ax=ax)`."""
        from unlearnbench.reporting.figures import FIGURES, Drawing, distinct

        shown = distinct(self)
        drawn = {name: Drawing(figure, shown) for name, figure in FIGURES.items()}
        return Plots(**{name.replace("-", "_"): drawing for name, drawing in drawn.items()})


class Plots(SimpleNamespace):
    """Hold what draws a condition's figures, by name, `-` being written `_`."""

    def __repr__(self) -> str:
        return f"<Plots: {', '.join(vars(self))}>"

    def __getattr__(self, name: str) -> Drawing:
        """Say that there is no such figure."""
        raise AttributeError(str(unknown("figure", name, vars(self))))


@dataclass(frozen=True)
class Results:
    """Hold what is known of a benchmark's runs, all of it as data frames.

    folder: where it lies; None of the runs need to be there where only findings were kept.
    """

    findings: Findings
    folder: Path
    plugins: tuple[Own, ...] = ()
    """The user's, with which it was made or loaded: a model may be in one of them."""

    def __repr__(self) -> str:
        rows, conditions = self.runs["label"].nunique(), len(self.findings.conditions)
        held = f"{count(rows, 'row')}, {count(len(self.runs), 'run')}"
        return f"<Results {self.name}: {held}, {count(conditions, 'condition')}>"

    @property
    def name(self) -> str:
        """The name of its folder: the benchmark's, or benchmark@machine."""
        return self.folder.resolve().name

    @property
    def runs(self) -> pd.DataFrame:
        """One row a run: seeds, metrics, gaps to retrain, costs."""
        return self.findings.runs

    @property
    def summary(self) -> pd.DataFrame:
        """One row a label and metric: n, mean, std, 95 % interval, gap to retrain, noise band."""
        return self.findings.summary

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row a label and audit: gap with interval, p, verdict; audit "all": over all of them.

        Empty for findings of 0.1.0, which had no verdicts but those of single attacks.
        """
        return self.findings.verdicts

    @property
    def attacks(self) -> pd.DataFrame:
        """One row a label and attack: AUC and gap with intervals, p, its own verdict, rank, flags.

        The verdict is of that attack alone.
        """
        return self.findings.attacks

    @property
    def pairs(self) -> pd.DataFrame:
        """One row a pair of methods and attack: by how much nearer to retrain the first is."""
        return self.findings.pairs

    @property
    def cost(self) -> pd.DataFrame:
        """One row a run: seconds by part, multiple of retraining, gradients, memory in MB."""
        return self.findings.cost

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row a run, curve and point: ROC, densities, accuracy by class and by memorisation.

        x: log-odds at a density's left edge, FPR in percent, class, tenth, number of references.
        """
        frames = []
        for (_, run), curves in zip(self.runs.iterrows(), self.findings.curves, strict=True):
            for curve, values in curves.items():
                if values:
                    x = abscissa(curve, len(values), self.findings.references)
                    frames.append(run[RUN].to_dict() | {"curve": curve, "x": x, "value": values})
        frame = pd.DataFrame(frames).explode(["x", "value"], ignore_index=True)
        return frame.astype({"x": float, "value": float})

    @property
    def samples(self) -> pd.DataFrame:
        """One row a sample: position in all files, part, number in the data set, file, label.

        Noted where a list names them, where they are files, and where training samples are drawn
        from more; empty for others. Raises UserError where the file is a link.
        """
        try:
            with opened(self.folder / FILE, self.folder, sealed.MOST) as file:
                return pd.read_csv(file)
        except FileNotFoundError:
            return pd.DataFrame()
        except UnsoundError as error:
            raise UserError(f"{self.folder / FILE} {error}.") from error

    @cached_property
    def training(self) -> pd.DataFrame:
        """One row a run and epoch: loss, and accuracies if the benchmark asked for `curves`.

        Of every run in the folder: originals, reference models and retrains too. Raises UserError
        where there are only findings, without the runs.
        """
        store = Store(self.folder)
        if not store.runs():
            raise UserError(
                f"'{self.name}' holds findings only; its runs have the training curves.",
                f"Make them: unlearnbench run {self.findings.benchmark.name}, in Python ub.run.",
            )
        return training(store, dict(zip(self.runs["run"], self.runs["label"], strict=True)))

    def write_training(self, form: Literal["csv", "tensorboard"], folder: str | Path) -> Path:
        """Write the training curves below a report's folder; return the file or the folder.

        csv: tables/training.csv; tensorboard: tensorboard/, a folder a run, for which TensorBoard
        must be installed. Raises UserError where it is not, or there are no runs.
        """
        from unlearnbench.reporting import escape
        from unlearnbench.reporting.tensorboard import write_events

        if form == "tensorboard":
            path = Path(folder, "tensorboard")
            write_events(self.training, path)
        else:
            path = Path(folder, "tables", "training.csv")
            write_text(path, escape.csv_text(self.training))
        return path

    @cached_property
    def conditions(self) -> list[Condition]:
        """The conditions that have runs: access x fraction x request."""
        return [Condition(self.findings, *one.key, self.name) for one in self.findings.conditions]

    def condition(
        self,
        *,
        access: str | None = None,
        fraction: float | None = None,
        request: int | None = None,
    ) -> Condition:
        """Return the one condition that is meant. Raises UserError where it is none, or several."""
        meant = self.conditions
        for name, value in {"access": access, "fraction": fraction, "request": request}.items():
            meant = [one for one in meant if value is None or getattr(one, name) == value]
        if len(meant) != 1:
            there = "; ".join(
                f"access={one.access!r}, fraction={one.fraction:g}, request={one.request}"
                for one in self.conditions
            )
            raise UserError(
                f"{len(meant)} conditions of '{self.name}' match.", f"There are: {there}."
            )
        return meant[0]

    @property
    def warnings(self) -> list[str]:
        """What is missing, failed, stale, or not to be used, a line each."""
        return warnings(self.findings)

    def report(self, folder: str | Path | None = None, *, refresh: int = 0) -> Path:
        """Write page, tables and figures; return the page.

        folder: reports/NAME if None; refresh: seconds until an open page is read again, 0: never.
        """
        from unlearnbench.reporting.write import write_report

        return write_report(self.findings, Path(folder or Path("reports", self.name)), refresh)

    def model(
        self,
        label: str,
        *,
        seed: int = 1,
        access: str | None = None,
        fraction: float | None = None,
        request: int | None = None,
        data: str | Path = "data",
        plugins: Own | Iterable[Own] = (),
    ) -> nn.Module:
        """Return a model that was kept, on the CPU and in eval mode.

        seed: of the run, or of an original's own training; the others choose the condition where
        there are several. Weights of unlearned models are kept with `keep_weights=True`. plugins:
        the file of your own model, where the results were loaded without it. Raises UserError
        where there is no such run, its weights were not kept, or its model is not here.
        """
        from unlearnbench.execution.kept import stored_model

        runs = self.condition(access=access, fraction=fraction, request=request).every_run
        own = runs[runs["label"] == label]
        if own.empty:
            raise unknown("row", label, set(runs["label"]))
        ids = own.loc[own["run_seed"] == seed, "run"].tolist()
        if not ids:
            there = ", ".join(map(str, sorted(set(own["run_seed"]))))
            raise UserError(f"{label} has no run of seed {seed}.", f"There are: {there}.")
        store = Store(self.folder)
        if not store.has_weights(ids[0]):
            raise UserError(
                f"The weights of {label}, seed {seed}, were not kept.",
                "Run it again with keep_weights=True (--keep-weights).",
            )
        given = [*arguments.several(plugins), *self.plugins]
        require_here(store, self.findings.benchmark, given)
        return stored_model(store, ids[0], Path(data), given)

    def _repr_html_(self) -> str:
        """Show the main table of each condition in a notebook."""
        return "".join(condition.table()._repr_html_() for condition in self.conditions)


def load(
    folder: str | Path, *, methods: type[Method] | Iterable[type[Method]] = (), plugins: Files = ()
) -> Results:
    """Read a results folder: its runs, or the findings where it holds those alone.

    folder: its path, or its name below results/; methods, plugins: classes and files of what is not
    shipped. Raises UserError if there is nothing.
    """
    own = tuple[Own, ...]([*arguments.plugins(plugins), *arguments.several(methods)])
    path = results_folder(folder, Path("results"))
    store = Store(path)
    alone = path / "findings.json"
    if not store.runs() and alone.is_file():
        return Results(_found(alone), path)
    mended = asked.mend(store)
    planned = planned_of(store, own)
    if planned is None:
        raise asked.nothing_asked(store)
    beside = apart_said(apart(store, planned.benchmark, planned.plan.nodes))
    findings = replace(collect(planned, store), apart=[*mended, *beside])
    return whole(Results(findings, path, own))


def _found(path: Path) -> Findings:
    """Read findings, whoever wrote them. Raises UserError, naming the file, where they are none."""
    try:
        text = read_text(path, path.parent, sealed.MOST)
        parsed(text)
        return Findings.from_json(text)
    except UnsoundError as error:
        raise UserError(f"{path} {error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(f"{path} holds no findings ({what}).") from error


def whole(results: Results) -> Results:
    """Return results that have runs. Raises UserError where none has finished."""
    if results.runs.empty:
        failed = [*map(failed_said, results.findings.failures[:1])]
        if results.findings.benchmark.given:  # which no benchmark file can make again
            problem = " ".join(failed) or f"Nothing in '{results.name}' is finished yet."
            raise UserError(problem, AGAIN)
        hint = f"Go on: ub.run({results.name!r}) (unlearnbench run {results.name})."
        if results.findings.broken:
            why = results.findings.broken[0]
            raise UserError(f"No run of '{results.name}' can be shown: {why}")
        raise UserError(f"No run of '{results.name}' has finished yet.", " ".join([*failed, hint]))
    return results


def failed_said(failed: Mapping[str, Any]) -> str:
    """Say in a sentence what failed, and of what."""
    return f"{failed['label']} failed: {failed['error'].removesuffix('.')}."


def planned_of(store: Store, added: Iterable[Own] = ()) -> Planned | None:
    """Expand the benchmark of a store's tables; None if there is none.

    added: the user's plugins, of which metrics and attacks are entered. Of methods that are neither
    shipped nor installed nor added, it is enough what the store knows: no file that it names is
    loaded.
    """
    own = list(added)
    enter(own)
    try:
        asked.require_whole(store)
        benchmark = asked.in_view(store)
        if benchmark is None:
            return None
        files = [str(one) for one in own if isinstance(one, (str, Path))]
        benchmark = benchmark.model_copy(update={"plugins": files})
        audits = known_audits(store, files)
        return stored_plan(benchmark, store, methods_of(store, own), audits)
    except UserError as error:
        if "Unknown" not in str(error):
            raise
        hint = "If it is in a file of yours, name that: plugins=FILE (--plugin). No file is loaded"
        raise UserError(f"{store.folder.name}: {error}", f"{hint} as a folder names it.") from error


def stored_plan(
    benchmark: Benchmark,
    store: Store,
    methods: dict[str, registry.Plugin],
    audits: dict[str, registry.Plugin],
) -> Planned:
    """Expand a benchmark as a store has it: with the references of version 0.1 where it has those.

    Their halves depended on how many there were, so that they have other ids.
    """
    planned = expand(benchmark, methods, audits=audits)
    plan, count = planned.plan, benchmark.references.count
    nodes = [plan.nodes[run] for run in plan.references]
    before = [replace(node, spec=node.spec.model_copy(update={"bank": count})) for node in nodes]
    made = bool(before) and all(store.exists(node.spec.id) for node in before)
    if made and not any(map(store.exists, plan.references)):
        for run in plan.references:
            del plan.nodes[run]
        plan.references = [plan.add(node) for node in before]
    return planned


def methods_of(store: Store, added: Iterable[Own] = ()) -> dict[str, registry.Plugin]:
    """Return the methods that a store's runs may have been made with, by name."""
    known = {name: known_by(name, told) for name, told in asked.known_methods(store).items()}
    return known | registry.find("methods", added)
