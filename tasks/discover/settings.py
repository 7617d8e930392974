"""Whether an audit looks for patterns."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PatternSettings(BaseModel):
    """What is looked for: patterns are backgrounds and artefacts that many images share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choice: Literal["default", "none"] = Field(
        "default",
        description="Find the backgrounds and artefacts that predictions rest on, where pictures "
        "are changed (--interventions); or none of this.",
    )
