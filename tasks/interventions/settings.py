"""How pictures are changed before they are predicted again."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.fills import Fill


class InterventionSettings(BaseModel):
    """What is done to each picture before it is predicted again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Literal["default", "none"] = Field(
        "default",
        description="Object removed, background removed, background exchanged; or none of it.",
    )
    others: int = Field(
        3, ge=0, le=32, description="Backgrounds of other classes that each object is put on."
    )
    same: int = Field(
        1, ge=0, le=32, description="Backgrounds of its own class that each object is put on."
    )
    donors: str | None = Field(
        None, description="Run whose donor pool is used; by default --reuse's, else a new one."
    )
    pool: int = Field(256, ge=1, le=512, description="Backgrounds in the donor pool.")
    fill: Fill = Field(
        "mean",
        description="What a removed object becomes: its background's mean colour, a blur of the "
        "background, or the data's mean.",
    )
    donor_seed: int = Field(0, description="Seed of the donor pool and of each image's donors.")

    @property
    def done(self) -> list[object]:
        """What changes a picture's outcome, given the pool."""
        return [self.others, self.same, self.fill, self.donor_seed]
