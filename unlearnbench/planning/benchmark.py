"""What a benchmark is: which methods are compared, on what, how often."""

import csv
import re
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    model_serializer,
    model_validator,
)

from unlearnbench.audits.attacks import ATTACKS, HEADLINE, HEADLINES, SHOWN
from unlearnbench.audits.parts import audit_names
from unlearnbench.data.prepare import DataSpec
from unlearnbench.errors import unknown
from unlearnbench.metrics.metric import METRICS
from unlearnbench.planning.given import Given
from unlearnbench.planning.plan import Access
from unlearnbench.planning.tables import (
    AuditRow,
    Forget,
    Limits,
    References,
    Seeds,
    ULira,
    once,
)
from unlearnbench.recipe import Recipe, Strict
from unlearnbench.registry import shipped

PAPERS = shipped("papers")
TERMS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "ft_auc")
"""The paper's four terms of the average gap."""


class End(Strict):
    """A value that was chosen near an end of its search range."""

    row: str
    setting: str
    value: float
    end: float

    def __str__(self) -> str:
        return f"{self.row}.{self.setting} = {self.value:g} (the range ends at {self.end:g})"


class Tuning(Strict):
    """Say how the settings were chosen: in any words, and under four keys that are understood."""

    model_config = ConfigDict(extra="allow")

    ends: list[End] = Field(
        default_factory=list,
        description="values near an end of their search range: row, setting, value and end of each",
    )
    borrowed: dict[str, list[str]] = Field(
        default_factory=dict,
        description="rows whose settings were chosen under another condition, under its name",
    )
    searched: list[str] = Field(
        default_factory=list,
        description="rows whose settings were searched for this benchmark; a row that is neither"
        " here nor in `borrowed`, and has all its defaults, is marked as not tuned",
    )
    ranges: dict[str, dict[str, tuple[float, float]]] = Field(
        default_factory=dict,
        description="by row and setting: where `tune` searches, in place of the method's own range",
    )

    @property
    def words(self) -> dict[str, Any]:
        """What is said under other keys."""
        return self.model_extra or {}


class Row(Strict):
    """Name the method of one row of the tables, and its settings.

    In a file it is one table: the settings, and `method` where that is not the row's label.
    """

    method: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_serializer
    def table(self) -> dict[str, Any]:
        """Return it as a file may have it, whatever the label."""
        return {"method": self.method} | self.settings

    def under(self, label: str) -> dict[str, Any]:
        """Return it as a file has it under a label, which may be the method's name."""
        return self.settings if label == self.method else self.table()


def _rows(tables: object) -> object:
    """Read rows as a file has them."""
    if not isinstance(tables, dict):
        return tables
    rows = dict(tables)
    for label, table in tables.items():
        if isinstance(table, dict):
            settings = {key: value for key, value in table.items() if key != "method"}
            rows[label] = Row(method=str(table.get("method", label)), settings=settings)
    return rows


class Published(Strict):
    """Hold one row of numbers that a paper printed: metric -> [mean, spread].

    on: data set and model that they are of, "" for those of the benchmark.
    """

    source: str
    on: str = ""
    method: str
    access: Access = "full"
    fraction: float
    values: dict[str, list[float]]


def looked_up(entries: object) -> object:
    """Put rows in place of each entry such as "amun: Table 1"; others are left as they are.

    The file is papers/amun.csv: its first line names the paper, then comes one line a number, with
    where it stands and what it is of. Raises ValueError for what is not there.
    """
    if not isinstance(entries, Iterable):
        return entries
    rows: list[object] = []
    for entry in entries:
        rows += _printed(*entry.partition(": ")[::2]) if isinstance(entry, str) else [entry]
    return rows


def _printed(paper: str, place: str) -> list[Published]:
    papers = {path.stem: path for path in PAPERS.glob("*.csv")}
    if paper not in papers:
        raise ValueError(str(unknown("paper", paper, papers)))
    title, *text = papers[paper].read_text(encoding="utf-8").splitlines()
    lines = list(csv.DictReader(text))
    source = f"{title.removeprefix('# ')}, {place}"
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in lines:
        if line["where"] == place:
            of = {key: line[key] for key in ("method", "fraction", "access")}
            of["on"] = f"{line['dataset']}, {line['model']}"
            row = rows.setdefault(tuple(of.values()), of | {"source": source, "values": {}})
            row["values"][line["metric"]] = [line[key] for key in ("mean", "std") if line[key]]
    if not rows:
        places = {line["where"] for line in lines}
        raise ValueError(str(unknown(f"table of {paper}", place, places)))
    return [Published.model_validate(row) for row in rows.values()]


NAME = re.compile(r"\w[\w.@+-]{0,99}")


def _of_folders(name: str) -> str:
    """Refuse a name that folders of results and reports cannot have, or that leads out of them."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name folders: take letters, digits and . _ - + @, the first a letter"
            " or digit, 100 at most"
        )
    return name


def _label(label: str) -> str:
    if label.strip() != label or not label:
        raise ValueError(
            f"{label!r} cannot be the label of a row: it is empty, or has space at an end"
        )
    return label


class Benchmark(Strict):
    """Say which methods are compared, on what, how often. One TOML file each."""

    name: Annotated[str, AfterValidator(_of_folders)] = Field(
        description="names the folders of its results and its report"
    )
    title: str = Field(min_length=1, description="what its report is called")
    data: DataSpec = Field(description="Which samples are used, and as what.")
    model: str = Field(
        description="a model of `unlearnbench models`, or of a library: torchvision:vit_b_16"
    )
    recipe: Recipe = Field(
        default=Recipe(),
        description="How originals, references and retrains are trained; fine-tuning follows it for"
        " optimiser, batch size, momentum, weight decay, clipping, augmentation and precision.",
    )
    access: Annotated[list[Access], AfterValidator(once)] = Field(
        default=["full"], min_length=1, description="whether methods are given the retain set"
    )
    forget: Forget = Field(description="What is forgotten.")
    seeds: Seeds = Field(description="How often everything is repeated.")
    references: References = Field(
        default=References(), description="Models that membership attacks compare with."
    )
    attacks: Annotated[list[str], AfterValidator(once)] = Field(
        default=SHOWN, min_length=1, description="shown in tables"
    )
    headline: str = Field(
        default=HEADLINE,
        description="attack behind FT, FR and RT AUC and ranks; without power in it nothing is"
        " called equivalent",
    )
    limits: Limits = Field(
        default=Limits(), description="What a difference from retrain must not exceed."
    )
    against: str | None = Field(
        default=None,
        description="row with which the others are compared, named before any run; none: the one"
        " that turns out nearest to retrain",
    )
    controls: bool = Field(
        default=True, description="run do-nothing, destroyed and planted-leak too"
    )
    curves: bool = Field(
        default=False, description="note accuracies after each epoch of unlearning"
    )
    given: Given | None = Field(
        default=None, description="Models made elsewhere, of which this is an audit."
    )
    swap: bool = Field(
        default=False, description="run all again with forget and test samples exchanged"
    )
    ulira: ULira = Field(
        default=ULira(), description="Shadow models passed through the methods that are compared."
    )
    model_audits: dict[str, AuditRow] = Field(
        default_factory=dict,
        description="audits that need the models themselves, relearning for one: settings by name",
    )
    gap_terms: Annotated[list[str], AfterValidator(once)] = Field(
        default=list(TERMS),
        min_length=1,
        description="metrics whose distances to retrain are averaged in avg_gap",
    )
    methods: Annotated[
        dict[Annotated[str, AfterValidator(_label)], Row], BeforeValidator(_rows)
    ] = Field(default_factory=dict, description="rows of the table: settings by label")
    others: bool = Field(default=True, description="run the methods that have no row here as well")
    on_request: list[str] = Field(
        default_factory=list,
        description="rows and methods that run only if they are named, or with --methods all",
    )
    plugins: list[str] = Field(
        default_factory=list,
        description="files of further methods, models, data sets, metrics, attacks and audits, as"
        " seen from this file",
    )
    tuning: Tuning = Field(
        default=Tuning(),
        description="How the settings were chosen, for the reader, under keys of the file's own;"
        " three are understood.",
    )
    published: Annotated[list[Published], BeforeValidator(looked_up)] = Field(
        default_factory=list, description='rows, or tables of a paper such as "amun: Table 1"'
    )

    @property
    def held_out(self) -> bool:
        """Whether the last retrain of each forget set is judged apart, and no yardstick.

        That of an audit needs three: their scatter is all that says what is chance.
        """
        return self.seeds.retrains >= (4 if self.given else 3)

    @property
    def outputs_only(self) -> bool:
        """Whether all that is known of the models is their outputs."""
        return self.given is not None and self.given.outputs

    @model_validator(mode="wrap")
    @classmethod
    def _one_set(cls, raw: Any, made: ModelWrapValidatorHandler[Self]) -> Self:
        """Give all repetitions one seed of forget sets where there is only one set.

        Else they would count as independent.
        """
        whole = made(raw)
        first, *others = whole.seeds.forget
        if not (others and whole.forget.named):
            return whole
        alike = whole.seeds.model_copy(update={"forget": [first] * (1 + len(others))})
        return whole.model_copy(update={"seeds": alike})

    @model_validator(mode="after")
    def _possible(self) -> Self:
        metrics = [*self.gap_terms, *(name for row in self.published for name in row.values)]
        attacks = [self.headline, *self.attacks]
        audits = audit_names(self.model_audits)
        for kind, names, known in (
            ("metric", metrics, METRICS),
            ("attack", attacks, ATTACKS),
            ("audit of limits.margins", self.limits.margins, audits),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(str(unknown(kind, name, known)))
        if self.headline not in HEADLINES:
            raise ValueError(
                f"headline = '{self.headline}' does not score all samples, so there is no FR AUC:"
                f" set it to another attack, such as {HEADLINE} or loss"
            )
        counted = self.references.count or (self.given and self.given.references)
        if not counted and ATTACKS[self.headline].references:
            alone = [name for name in HEADLINES if not ATTACKS[name].references]
            raise ValueError(
                f"headline = '{self.headline}' needs reference models: set references.count to 2 or"
                f" more, or headline to {' or '.join(alone)}"
            )
        if self.forget.requests > 1 and (self.swap or self.ulira.shadows):
            raise ValueError("swap and ulira need forget.requests = 1")
        if self.ulira.shadows and self.forget.list:
            raise ValueError("ulira draws forget sets of its own: it does not go with forget.list")
        if self.swap and self.forget.kind != "random":
            raise ValueError('swap needs forget.kind = "random"')
        return self
