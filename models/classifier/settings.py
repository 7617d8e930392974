"""Settings that name a classifier."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from models.addresses import Address
from models.classifier.preprocessing import Preprocessing
from models.classifier.preprocessing_sources import read_preprocessing

BUNDLE = "model.json"  # a bundle's files
WEIGHTS = "model.safetensors"


class ModelSettings(BaseModel):
    """Which classifier, and what its address alone does not specify."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Address = Field(
        description="torchvision:NAME, timm:NAME, transformers:DIR, a bundle (model.json), "
        "path/to/file.py:function or mlflow:models:/NAME@ALIAS."
    )
    weights: Address | None = Field(
        None, description="Weights file, or the name of torchvision's own."
    )
    classes: Address | None = Field(
        None,
        description="File with one class name per line, or a JSON list of them, in the order of "
        "the logits.",
    )
    preprocessing: Preprocessing | None = Field(
        None,
        description="How pictures are prepared: imagenet, or a JSON file with resize, crop, mean "
        "and std, or a bundle's model.json; by default what the model says itself.",
    )
    size: tuple[PositiveInt, ...] | None = Field(
        None,
        min_length=1,
        max_length=2,
        description="Side of the pictures: the shorter one is resized to it, the middle cropped; "
        "or rows,columns of the whole picture.",
    )
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        None, description="Mean of the pictures' colours (0 to 1), which is subtracted."
    )
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = Field(
        None, description="Standard deviation of the colours, by which they are divided."
    )
    layer: str | None = Field(
        None, description="Layer that maps are taken from; default: the last with cells."
    )
    architecture: str | None = Field(
        None,
        description="Network of a model in MLflow that is not a bundle, written as for --model.",
    )
    weights_artifact: str | None = Field(
        None, description="Path of that model's weights among its files or its run's."
    )
    allow_pickle: bool = Field(False, description="Read weights whose file can run code.")
    allow_factory: bool = Field(False, description="Let a bundle run the code that it names.")

    @field_validator(
        "preprocessing", mode="wrap", json_schema_input_type=str | Preprocessing | None
    )
    @classmethod
    def _read_preprocessing(
        cls, value: Any, validate: ValidatorFunctionWrapHandler
    ) -> Preprocessing | None:
        found = read_preprocessing(value) if isinstance(value, str) else value
        preprocessing: Preprocessing | None = validate(found)
        missing = [key for key in ("mean", "std") if isinstance(found, dict) and key not in found]
        if missing:
            raise ValueError(
                f"the preprocessing has no {' and no '.join(missing)}, and none is guessed: "
                "give it too (a mean of 0 and a std of 1 leave values from 0 to 1)"
            )
        return preprocessing

    @field_validator(
        "size",
        "mean",
        "std",
        mode="before",
        json_schema_input_type=str | float | list[float] | None,
    )
    @classmethod
    def _as_numbers(cls, value: Any, field: ValidationInfo) -> Any:
        """One number, or several separated by commas; one mean holds for the three colours."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        numbers = [value] if isinstance(value, int | float) else value
        is_colour = field.field_name != "size" and isinstance(numbers, list | tuple)
        return [*numbers] * 3 if is_colour and len(numbers) == 1 else numbers
