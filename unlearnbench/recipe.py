"""How models of a benchmark are trained, and how such settings are declared."""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from unlearnbench.files import checksum


class Strict(BaseModel):
    """Validate settings: unknown keys are errors, values never change after checking."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
    later: ClassVar[dict[str, Any]] = {}
    """Settings that came after the first published results, and what their absence means there."""

    @cached_property
    def unused(self) -> set[str]:
        """Settings that came later and are not used: what was made before keeps its id."""
        return {name for name, absent in self.later.items() if getattr(self, name) == absent}

    @cached_property
    def undecisive(self) -> dict[str, Any]:
        """What ids leave out: settings that are not used, and where files are."""
        return dict.fromkeys(self.unused, True)


def param(
    default: Any,
    *,
    help: str,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    search: tuple[float, float] | None = None,
    source: str = "",
    names: Literal["method", "file"] | None = None,
) -> Any:
    """Declare a hyperparameter: default, help text, bounds and the range to search when tuning.

    A `search` range whose ends differ by a factor of ten or more is searched on a log scale. A
    default outside the range means "off": then only rows that set the hyperparameter search it.
    `source` says in a few words where the default is from: paper, authors' code, ourselves.
    `names`: the value is the name of a method, for `ub.method`, or the path of a file as seen from
    where the command is typed, or a list of them. They are looked for before anything runs, and
    runs that were made before one of them changed are stale.
    """
    extra: dict[str, Any] = {"search": list(search)} if search else {}
    extra |= {"source": source} if source else {}
    extra |= {"names": names} if names else {}
    return Field(
        default=default,
        description=help,
        gt=gt,
        ge=ge,
        lt=lt,
        le=le,
        json_schema_extra=extra or None,
    )


class Trades(Strict):
    """Say how models are trained to keep their predictions nearby (TRADES, arXiv 1901.08573).

    The defaults are those of the AMUN authors' first commit, as they act there: with l2 it ignores
    its own step of 0.007, as TRADES' authors' code does, and takes steps of 2 radius / steps.
    """

    weight: float = param(6.0, gt=0, help="weight of the divergence (the paper's beta)")
    norm: Literal["l2", "linf"] = param("l2", help="norm of the perturbation ball")
    radius: float = param(0.031, gt=0, help="radius of that ball")
    steps: int = param(10, ge=1, help="steps of the search for the worst perturbation")
    step: float = param(0.0062, gt=0, help="length of each step")


class Pretrained(Strict):
    """Name the weights that training begins with; `pretrained = "weights.pt"` names the file alone.

    What is in the file decides what is made, and where it is does not.
    """

    file: str = param(..., help="path of a .pt, .pth or .safetensors file, weights only")
    digest: str = param("", help="first 16 hex digits of its SHA-256; read off the file if absent")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        named = {"file": value} if isinstance(value, str) else value
        if not isinstance(named, dict) or named.get("digest"):
            return named
        if not isinstance(named.get("file"), str):  # which its type tells
            return named
        path = Path(named["file"]).resolve()
        if not path.is_file() or (found := checksum(path)) is None:
            raise ValueError(f"there is no file {path}")
        return named | {"file": str(path), "digest": found[:16]}


Optimizer = Literal["sgd", "adam", "adamw"]


class Recipe(Strict):
    """Describe the training shared by originals, references and retrains.

    Fine-tuning follows it for augmentation, precision and gradient clipping, and for optimiser,
    momentum, weight decay and batch size unless the method has its own. Learning rate with its
    warm-up and decay, epochs, and loss with its label smoothing belong to the unlearning method.
    """

    later: ClassVar[dict[str, Any]] = {
        "trades": None,
        "augment_training": True,
        "optimizer": "sgd",
        "warm_up": 0,
        "label_smoothing": 0.0,
        "clip_norm": None,
        "pretrained": None,
        "compiled": "auto",
    }

    epochs: int = param(
        30, ge=0, le=10**6, help="passes over the training set; 0 needs pretrained weights"
    )
    lr: float = param(0.1, gt=0, help="highest learning rate")
    schedule: Literal["step", "one-cycle", "cosine"] = param(
        "one-cycle",
        help="step: x0.1 every decay_every epochs; one-cycle: linear up, then down; cosine: down to"
        " 0 along half a cosine",
    )
    decay_every: int | None = param(None, ge=1, help="epochs between two decays (step)")
    warm_up: int = param(
        0,
        ge=0,
        help="epochs in which the rate first rises from 0 in a line; the schedule follows (step,"
        " cosine)",
    )
    batch_size: int = param(128, ge=1, help="samples a step")
    optimizer: Optimizer = param("sgd", help="sgd, adam or adamw, as in PyTorch")
    momentum: float = param(0.9, ge=0, lt=1, help="momentum of SGD; Adam's own is 0.9")
    weight_decay: float = param(
        5e-4, ge=0, help="weight decay, part of the gradient but with adamw"
    )
    clip_norm: float | None = param(
        None, gt=0, help="gradients whose norm is longer, all taken together, are shortened to it"
    )
    label_smoothing: float = param(
        0.0, ge=0, lt=1, help="share of each label that is spread evenly over all classes"
    )
    crop: int = param(
        0, ge=0, le=4096, help="random shift by up to this many pixels, zeros outside"
    )
    flip: bool = param(False, help="random horizontal flip")
    augment_training: bool = param(
        True,
        help="shift and flip when originals, references and retrains are trained; if false,"
        " in fine-tuning only",
    )
    precision: Literal["fp32", "bf16"] = param(
        "fp32", help="bf16: autocast of training, on a GPU or a CPU that has units for it"
    )
    compiled: Literal["auto", "never", "always"] = param(
        "auto",
        help="whether training steps are compiled; auto: those of long trainings, on a GPU; shorter"
        " ones are captured there as a graph of the same kernels; never: neither",
    )
    trades: Trades | None = param(
        None, help="Train to keep predictions nearby (TRADES); plainly if there is no such table."
    )

    pretrained: Pretrained | None = param(
        None,
        help="Weights that originals, references and retrains begin with; fresh ones if absent."
        " What they were trained on, forgotten samples may have been among.",
    )

    def but(self, **changes: Any) -> Self:
        """Return the same recipe with some settings changed; those that are None stay."""
        return self.model_copy(update={k: v for k, v in changes.items() if v is not None})

    @field_validator("decay_every")
    @classmethod
    def _of_step_only(cls, value: int | None, info: ValidationInfo) -> int | None:
        return value if info.data.get("schedule") == "step" else None  # a base file may have set it

    @field_validator("warm_up")
    @classmethod
    def _before_the_schedule(cls, value: int, info: ValidationInfo) -> int:
        if value and info.data.get("schedule") == "one-cycle":
            raise ValueError("one-cycle rises by itself: set schedule to cosine or step")
        if value and value >= info.data.get("epochs", value + 1):
            raise ValueError("it must be less than epochs")
        return value

    @model_validator(mode="after")
    def _trained(self) -> Self:
        if not self.epochs and self.pretrained is None:
            raise ValueError("epochs = 0 leaves weights as they were drawn: name pretrained ones")
        return self

    @cached_property
    def undecisive(self) -> dict[str, Any]:
        """What ids leave out: settings that are not used, and where files are."""
        return {"pretrained": {"file"}} | super().undecisive
