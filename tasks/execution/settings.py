"""Where an audit is computed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.limits import MOST_IMAGES, MOST_IN_MEMORY


class ComputeSettings(BaseModel):
    """Where the work is done. Does not change any number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="Processes of the local Dask cluster, 0 for none but the command's own; "
        "default: 0 for work of a few seconds, else one per GPU, else one per core.",
    )
    dask: str | None = Field(None, description="Address of an existing Dask scheduler.")
    batch_size: int = Field(16, ge=1, le=MOST_IN_MEMORY, description="Images per forward pass.")
    max_failures: int | None = Field(
        None,
        ge=0,
        le=MOST_IMAGES,
        description="Stop after more failures than this, keeping everything computed so far.",
    )
