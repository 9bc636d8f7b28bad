"""The tables of a benchmark file: what is forgotten, how often, and within which limits."""

from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from unlearnbench.audits.attacks import HEADLINE
from unlearnbench.audits.parts import audit_title
from unlearnbench.data.splits import Split, SplitKind
from unlearnbench.recipe import Strict

FORGOTTEN = {
    "random": "",
    "class": "of a class ",
    "subclass": "of a subclass ",
    "most-memorised": "(of the most memorised) ",
    "least-memorised": "(of the least memorised) ",
}
WHOLE_SETS = ("class", "subclass", "list")
"""Kinds of forget sets that may be forgotten whole."""
BEFORE = "Its margin is of a file of 0.1.0, which asked for no reason."
"""What is said of how the margin was set in files of then."""
T = TypeVar("T")
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What NumPy's generators take, the older ones too."""


def once(values: list[T]) -> list[T]:
    """Return each value once, in order."""
    return list(dict.fromkeys(values))


class Forget(Strict):
    """Say what is forgotten."""

    kind: SplitKind = Field(
        default="random",
        description="where its samples are drawn from: everywhere, one class, or what models"
        " memorise most or least, by a proxy",
    )
    fractions: Annotated[list[float], AfterValidator(once)] = Field(
        min_length=1, description="of the training set (or of the class) that is forgotten"
    )
    target: int | None = Field(
        default=None,
        ge=0,
        description="first class (or subclass) forgotten; by the forget seed if absent",
    )
    requests: int = Field(default=1, ge=1, description="how many forget sets are sent in a row")
    list: str | None = Field(
        default=None,
        description="file that names the samples: .csv, .txt or .npy of numbers or of file names",
    )
    listed: str | None = Field(default=None, description="digest of that list, as it was when read")

    @property
    def named(self) -> bool:
        """Whether it names all that is forgotten: a list, or the whole of a class."""
        of_class = self.kind in ("class", "subclass") and self.target is not None
        return self.list is not None or (of_class and self.fractions == [1])

    def said(self, fraction: float) -> str:
        """Say for people what is forgotten where that is a share of it."""
        if self.list is not None:
            return f"Samples in {PurePath(self.list).name} forgotten"
        return f"{100 * fraction:g} % {FORGOTTEN[self.kind]}forgotten"

    def split(self, fraction: float, seed: int, request: int, *, swap: bool = False) -> Split:
        """Describe one of its sets."""
        shared = self.model_dump(exclude={"fractions", "list"})
        return Split(**shared, fraction=fraction, seed=seed, request=request, swap=swap)

    def world(self, fraction: float, ulira: "ULira", world: int) -> Split:
        """Describe the forget set of one of U-LiRA's worlds, from 1."""
        return Split(
            kind="shadow",
            audited=self.kind,
            target=self.target,
            fraction=fraction,
            seed=ulira.seed,
            requests=ulira.shadows,
            request=world,
        )

    @model_validator(mode="before")
    @classmethod
    def _of_list(cls, forget: object) -> object:
        """Forget all of a list: whatever a base file has of fractions is not of it."""
        if isinstance(forget, dict) and forget.get("list") is not None:
            return forget | {"kind": "list", "fractions": [1.0], "requests": 1}
        return forget

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if self.kind == "list" and self.list is None:
            raise ValueError('kind = "list" needs list = "FILE" beside it')
        for fraction in self.fractions:
            if not (0 < fraction < 1 or (fraction == 1 and self.kind in WHOLE_SETS)):
                raise ValueError(f"fraction {fraction:g} is outside (0, 1)")
            total = fraction * self.requests
            if self.kind.endswith("-memorised") and total >= 0.5:
                raise ValueError(
                    f"{self.requests} x {fraction:g} is drawn from twice as many samples, which is"
                    f" all of them: not {self.kind}; take less than 0.5"
                )
        return self


class Seeds(Strict):
    """Say how often everything is repeated."""

    originals: list[Seed] = Field(min_length=1, description="one is trained for each seed")
    forget: list[Seed] = Field(min_length=1, description="a set is drawn for each seed")
    runs: list[Seed] = Field(min_length=1, description="seeds of what methods draw")
    pairing: Literal["zip", "product"] = Field(
        default="zip",
        description="zip: repetition i takes the i-th original, forget set and run; product: every"
        " combination",
    )
    retrains: int = Field(
        default=1,
        ge=1,
        description="models retrained for each forget set; of three or more, the last is held out"
        " of the yardstick and judged apart: no correction for the number of methods",
    )

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        lengths = {len(self.originals), len(self.forget), len(self.runs)}
        if self.pairing == "zip" and len(lengths) > 1:
            raise ValueError("originals, forget and runs must be equally long to be zipped")
        return self


class References(Strict):
    """Size the bank of reference models for membership attacks."""

    count: int = Field(
        default=16,
        ge=0,
        multiple_of=2,
        description="how many are trained; an even number, or 0 for attacks that need none",
    )
    seed: Seed = Field(default=0, description="seed of their draws and of their training")


class ULira(Strict):
    """Size U-LiRA: shadow models passed through the very methods that are compared."""

    shadows: int = Field(
        default=0,
        ge=0,
        multiple_of=4,
        description="worlds, each with an original and a run a method; a multiple of four",
    )
    seed: Seed = Field(default=0, description="seed of the worlds' draws")
    methods: list[str] = Field(default_factory=list, description="rows audited; all if empty")


class AuditRow(Strict):
    """Say how much one audit of models looks at.

    In a file it is one table: `sets`, and the audit's settings beside it.
    """

    model_config = ConfigDict(extra="allow")

    sets: int = Field(
        default=3, ge=1, description="audit the runs on the first so many forget seeds"
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The audit's own settings."""
        return dict(self.model_extra or {})


class Limits(Strict):
    """Say what a difference from retrain must not exceed, and how that was set."""

    share: float = Field(
        default=1 / 3,
        gt=0,
        lt=1,
        description="share of the original's own gap under an audit that a row may leave and be"
        " called equivalent",
    )
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="margins by audit, in points, in place of that share"
    )
    because: str = Field(
        default="",
        description="how the margins were set, for the reader; compulsory with `margins`",
    )
    utility: float = Field(
        default=5.0, gt=0, description="points of test accuracy that a ranked method may lose"
    )

    @property
    def said(self) -> str:
        """Say for people how large a gap may be and be called equivalent."""
        declared = [f"{m:g} points of {audit_title(audit)}" for audit, m in self.margins.items()]
        each = "every other" if declared else "each"
        share = f"{100 * self.share:.0f} % of the original's own gap under {each} audit"
        return "; ".join([*declared, share])

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, limits: object) -> object:
        """Read the one margin that 0.1.0 had, of FT AUC."""
        if isinstance(limits, dict) and "equivalence" in limits:
            rest = {name: value for name, value in limits.items() if name != "equivalence"}
            return {"because": BEFORE, "margins": {HEADLINE: limits["equivalence"]}} | rest
        return limits

    @model_validator(mode="after")
    def _with_reason(self) -> Self:
        if self.margins and not self.because:
            raise ValueError(
                "margins needs because beside it: a sentence on how these points were set, and"
                " whether results had been seen by then"
            )
        return self
