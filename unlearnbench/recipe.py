"""How models of a benchmark are trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Strict(BaseModel):
    """Validate settings: unknown keys are errors, values never change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Recipe(Strict):
    """Describe the training shared by originals, references and retrains.

    Fine-tuning follows it for batch size, momentum, weight decay, augmentation and precision;
    its learning rate, epochs and decay belong to the unlearning method.
    """

    epochs: int = Field(30, ge=1, description="passes over the training set")
    lr: float = Field(0.1, gt=0, description="highest learning rate")
    schedule: Literal["step", "one-cycle"] = Field(
        "one-cycle",
        description="step: x0.1 every decay_every epochs; one-cycle: linear up, then down",
    )
    decay_every: int | None = Field(None, ge=1, description="epochs between two decays (step)")
    batch_size: int = Field(128, ge=1, description="samples a step")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay of SGD")
    crop: int = Field(0, ge=0, description="random shift by up to this many pixels, zeros outside")
    flip: bool = Field(False, description="random horizontal flip")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: autocast of training on a GPU"
    )

    @field_validator("decay_every")
    @classmethod
    def _of_step_only(cls, value: int | None, info: ValidationInfo) -> int | None:
        return value if info.data.get("schedule") == "step" else None  # a base file may have set it
