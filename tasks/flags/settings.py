"""How predictions that rest on the background are flagged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.methods.registry import find_method


class FlagSettings(BaseModel):
    """The method whose maps take part, and how often the rule may be wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field("grad_cam_pp", description="The one method whose maps take part.")
    false_alarm: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Share of the images that may be flagged although backgrounds do not matter.",
    )

    @field_validator("method")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return find_method(name).name
