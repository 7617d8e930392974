"""Settings of the interventions and of the donor pool."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.addresses import Address
from models.fills import Fill
from models.limits import LARGEST_SEED


class InterventionSettings(BaseModel):
    """How each picture is changed before it is predicted again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Literal["default", "none"] = Field(
        "default",
        description="Remove the object, remove the background and exchange it; or none of these.",
    )
    others: int = Field(
        2, ge=0, le=32, description="Backgrounds of other classes that each object is put on."
    )
    same: int = Field(
        1, ge=0, le=32, description="Backgrounds of its own class that each object is put on."
    )
    moves: int = Field(
        2, ge=0, le=6, description="Ways to move each object's own background behind it: the null."
    )
    donors: Address | None = Field(
        None, description="Run whose donor pool is used; by default --reuse's, else a new one."
    )
    pool: int = Field(256, ge=1, le=512, description="Backgrounds in the donor pool.")
    fill: Fill = Field(
        "mean",
        description="What replaces a removed object, also in donors: its background's mean colour, "
        "a blur of the background, the data's mean, or what is around it, so that no outline is "
        "left (inpaint).",
    )
    donor_seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        description="Seed of the donor pool and of each image's donors and moves.",
    )

    @property
    def identity(self) -> list[object]:
        """The settings that determine an image's outcome, given the pool."""
        return [self.others, self.same, self.moves, self.fill, self.donor_seed]
