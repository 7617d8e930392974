"""Settings that name a classifier."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.classifier.preprocessing import Preprocessing, read_preprocessing


class ModelSettings(BaseModel):
    """Which classifier, and what its address alone does not specify."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(
        description="torchvision:NAME, timm:NAME, a bundle (model.json), path/to/file.py:function "
        "or mlflow:models:/NAME@ALIAS."
    )
    weights: str | None = Field(None, description="Weights file, or the name of torchvision's own.")
    classes: str | None = Field(
        None, description="File with one class name per line, in the order of the logits."
    )
    preprocessing: Preprocessing | None = Field(
        None, description="JSON file with resize, crop, mean and std."
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

    _read_preprocessing = field_validator(
        "preprocessing", mode="before", json_schema_input_type=str | Preprocessing | None
    )(read_preprocessing)
