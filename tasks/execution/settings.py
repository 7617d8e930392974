"""Where an audit is computed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ComputeSettings(BaseModel):
    """Where the work is done. Changes no number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        None, ge=1, description="Processes of the local Dask cluster; one a GPU, else one a core."
    )
    dask: str | None = Field(None, description="Address of an existing Dask scheduler.")
    batch_size: int = Field(16, ge=1, description="Images a forward pass.")
    max_failures: int | None = Field(
        None, ge=0, description="Stop, with everything so far kept, after more failures than this."
    )
