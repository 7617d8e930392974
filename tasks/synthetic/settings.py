"""The settings of the generated benchmark, and the version of its pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import list_names, suggest
from tasks.synthetic.families import LOOKS, Look, LookName

VERSION = 1  # of the pixels, fixed by a golden test; figures of two versions do not compare

ObjectSize = Literal["small", "default", "large"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class BenchmarkSettings(BaseModel):
    """Training and validation pictures carry the shortcut, the test split is balanced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = Field(0.95, ge=0, le=1)  # share of pictures on the background of their class
    object_size: ObjectSize = "default"  # about 8, 15 or 26% of the area
    look: LookName = "first"
    tag: str | None = None  # the class whose training pictures carry a coloured tag
    seed: int = Field(0, ge=0)
    image_size: int = Field(64, ge=64, le=128)
    train: int = Field(4000, ge=0)
    validation: int = Field(800, ge=0)
    test: int = Field(1280, ge=0)  # a multiple of 16 (third look: 1,000) fills every group alike

    @model_validator(mode="after")
    def _check_tag(self) -> BenchmarkSettings:
        if self.tag is not None and self.tag not in self.classes:
            raise ValueError(
                f"tag {self.tag!r} is not a class of the {self.look} look, which has "
                f"{list_names(self.classes)}{suggest(self.tag, self.classes)}"
            )
        return self

    @property
    def drawing(self) -> Look:
        return LOOKS[self.look]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.drawing.classes

    @property
    def backgrounds(self) -> tuple[str, ...]:
        return self.drawing.backgrounds

    def size_of(self, split: Split) -> int:
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]
