"""How models of a benchmark are trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Strict(BaseModel):
    """Validate settings: unknown keys are errors, values never change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Trades(Strict):
    """Say how models are trained to keep their predictions nearby (TRADES, arXiv 1901.08573).

    The defaults are those of the AMUN authors' first commit.
    """

    weight: float = Field(
        default=6.0, gt=0, description="of the divergence nearby (the paper's beta)"
    )
    norm: Literal["l2", "linf"] = Field(default="l2", description="of which nearby is a ball")
    radius: float = Field(default=0.031, gt=0, description="of that ball")
    steps: int = Field(default=10, ge=1, description="of the search for the worst in it")
    step: float = Field(default=0.007, gt=0, description="length of each")


class Recipe(Strict):
    """Describe the training shared by originals, references and retrains.

    Fine-tuning follows it for batch size, momentum, weight decay, augmentation and precision;
    its learning rate, epochs, decay and loss belong to the unlearning method.
    """

    epochs: int = Field(default=30, ge=1, description="passes over the training set")
    lr: float = Field(default=0.1, gt=0, description="highest learning rate")
    schedule: Literal["step", "one-cycle"] = Field(
        default="one-cycle",
        description="step: x0.1 every decay_every epochs; one-cycle: linear up, then down",
    )
    decay_every: int | None = Field(
        default=None, ge=1, description="epochs between two decays (step)"
    )
    batch_size: int = Field(default=128, ge=1, description="samples a step")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(default=5e-4, ge=0, description="weight decay of SGD")
    crop: int = Field(
        default=0, ge=0, description="random shift by up to this many pixels, zeros outside"
    )
    flip: bool = Field(default=False, description="random horizontal flip")
    augment_training: bool = Field(
        default=True,
        description="shift and flip when originals, references and retrains are trained; if false,"
        " in fine-tuning only",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="bf16: autocast of training on a GPU"
    )
    trades: Trades | None = Field(
        default=None,
        description="Train to keep predictions nearby (TRADES); plainly if there is no such table.",
    )

    @field_validator("decay_every")
    @classmethod
    def _of_step_only(cls, value: int | None, info: ValidationInfo) -> int | None:
        return value if info.data.get("schedule") == "step" else None  # a base file may have set it
