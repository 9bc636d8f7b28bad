"""What is known of plugins of other kinds than methods whose files are not here: checked data."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from unlearnbench.planning.facts import SettingFacts, require_names
from unlearnbench.recipe import Strict


class _EntryFacts(Strict):
    """Hold what is known of a metric or an attack: the name of its file, and its version."""

    title: str = Field(max_length=200)
    about: str = Field(max_length=2000)
    file: str = Field(max_length=200)
    version: str = Field(max_length=200)


class MetricFacts(_EntryFacts):
    """Hold what tables say of a metric, see `Metric`."""

    short: str = Field(max_length=60)
    unit: Literal["", "%", "points", "s", "MB", "gradients"]
    kind: Literal["level", "distance", "cost"]
    better: Literal["higher", "lower"] | None
    ideal: float | None


class AttackFacts(_EntryFacts):
    """Hold what tables say of an attack, see `Attack`."""

    references: bool
    of_class: bool
    online: bool


class AuditFacts(Strict):
    """Hold what plans and tables need of an audit of models, see `ModelAudit`."""

    file: str = Field(max_length=200)
    needs_retrain: bool
    compared: list[Literal["auc", "accuracy", "confidence"]]
    settings: dict[str, SettingFacts]

    @field_validator("settings")
    @classmethod
    def _named(cls, settings: dict[str, SettingFacts]) -> dict[str, SettingFacts]:
        return require_names(settings)


KnownWord = Annotated[str, Field(pattern=r"^\w[\w.+ -]*$", max_length=100)]
KnownColumn = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$", max_length=60)]
TAKEN = {
    *("label", "access", "fraction", "request", "original_seed", "forget_seed", "run_seed"),
    *("run", "no_op"),
}
"""Columns of runs that are no metrics."""


class PluginFacts(Strict):
    """Hold what reports need of plugins that are no methods, by kind and name.

    files: of models and data sets, of which no more is needed.
    """

    metrics: dict[KnownColumn, MetricFacts] = Field(default_factory=dict)
    attacks: dict[KnownWord, AttackFacts] = Field(default_factory=dict)
    model_audits: dict[KnownWord, AuditFacts] = Field(default_factory=dict)
    files: dict[Literal["models", "datasets"], dict[KnownWord, str]] = Field(default_factory=dict)

    @field_validator("metrics")
    @classmethod
    def _free(cls, metrics: dict[str, MetricFacts]) -> dict[str, MetricFacts]:
        if taken := TAKEN & metrics.keys():
            raise ValueError(f"no metric can be called {min(taken)}")
        return metrics

    def entries(
        self,
    ) -> Iterator[tuple[Literal["metric", "attack"], str, MetricFacts | AttackFacts]]:
        """Yield each metric and attack: its kind, its name, what is known of it."""
        for name, metric in self.metrics.items():
            yield "metric", name, metric
        for name, attack in self.attacks.items():
            yield "attack", name, attack

    def __or__(self, other: Self) -> Self:
        """Return both, of two of one name those of the other."""
        joined = {kind: getattr(self, kind) | getattr(other, kind) for kind in KINDS}
        files = {kind: self.files.get(kind, {}) | other.files.get(kind, {}) for kind in FILES}
        kept = {kind: named for kind, named in files.items() if named}
        return self.model_copy(update=joined | {"files": kept})


KINDS = ("metrics", "attacks", "model_audits")
FILES: tuple[Literal["models", "datasets"], ...] = ("models", "datasets")
