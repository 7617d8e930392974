"""Which images are audited, and what their labels and masks mean."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.addresses import STORAGE, WEB, Address
from models.arguments import split_names
from models.limits import LARGEST_SEED, MOST_IMAGES

BY_NAME, BY_INDEX = "name", "index"

PLACE = re.compile(rf"({'|'.join((*STORAGE, *WEB))})://[^/\s]+")  # a bucket or a server

BoxFormat = Literal["xywh", "xyxy"]


class DataSettings(BaseModel):
    """Which images, and what their labels and masks mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Address = Field(
        description="Folder of images, a CSV, JSONL or Parquet table of them, COCO's annotations "
        "(JSON), or torchvision:NAME."
    )
    images: Address | None = Field(
        None,
        description="Folder that the names in a table or in COCO's annotations are relative to, "
        "or that torchvision's dataset lies in.",
    )
    annotations: Address | None = Field(
        None, description="COCO's annotations (JSON) of the images: polygons, run lengths, boxes."
    )
    masks: Address | None = Field(
        None, description="Folder with a mask, or a folder of masks, for each image's stem."
    )
    mask_values: Address | None = Field(
        None,
        description="Foreground values of masks: nonzero, a list (1,3 or #ff0000), voc, or a file "
        "of values by label; by default those of the dataset, else nonzero.",
    )
    allow_addresses: tuple[str, ...] | None = Field(
        None,
        description="Buckets and servers that a table may name besides that of the data, separated "
        "by commas: s3://bucket,https://server.",
    )
    polarity: Literal["foreground", "background"] = Field(
        "foreground", description="What masks and regions mark."
    )
    orientation: Literal["upright", "stored"] = Field(
        "upright", description="Turn pictures as their EXIF says, or leave them as stored."
    )
    labels: Address = Field(
        BY_NAME, description="How labels name the model's classes: name, index, or a mapping file."
    )
    image_column: str | None = Field(None, description="Column with the images' addresses.")
    label_column: str | None = Field(None, description="Column with the labels.")
    mask_column: str | None = Field(None, description="Column with the masks' addresses.")
    box_columns: tuple[str, ...] | None = Field(
        None, description="Four columns that make a box, or one that holds boxes."
    )
    box_format: BoxFormat = Field(
        "xywh", description="A box's numbers: x, y, width, height, or the corners x, y, x, y."
    )
    key_column: str | None = Field(None, description="Column with a unique key for each row.")
    group_column: str | None = Field(
        None,
        description="Column that names each image's group, among which the worst is found; by "
        "default group, or the labels where there is none.",
    )
    class_groups: Address | None = Field(
        None,
        description="File of groups of the model's classes: the group by class (CSV, JSON, YAML), "
        "or a tree of classes (nested JSON or YAML).",
    )
    split: str | None = Field(
        None, description="Take only this split: of the column of splits, split folders or dataset."
    )
    split_column: str | None = Field(
        None, description="Column with the splits; by default split, where --split is given."
    )
    sample: int | None = Field(
        None, ge=1, le=MOST_IMAGES, description="This many images, stratified by label."
    )
    limit: int | None = Field(
        None, ge=1, le=MOST_IMAGES, description="The first images, at most this many."
    )
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="Seed of the sample.")

    @field_validator("allow_addresses")
    @classmethod
    def _check_allowed(cls, places: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for place in places or ():
            if PLACE.fullmatch(place) is None:
                raise ValueError(
                    "give a bucket or a server, without a path: s3://bucket, gs://bucket, "
                    "abfs://container@account or https://server"
                )
        return places

    _split_lists = field_validator(
        "box_columns",
        "allow_addresses",
        mode="before",
        json_schema_input_type=str | list[str] | None,
    )(split_names)

    @field_validator("box_columns")
    @classmethod
    def _check_box_columns(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len(names) not in (1, 4):
            raise ValueError("give four columns that make a box, or one that holds boxes")
        return names
