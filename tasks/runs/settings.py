"""Where a run is written."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.addresses import Address


class OutputSettings(BaseModel):
    """Where the run folder goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Address | None = Field(None, description="Run folder to write.")
    series: Address | None = Field(
        None, description="Folder of a series: each run gets its own folder in it."
    )
    replace: bool = Field(False, description="Delete another run in this folder.")
    reuse: Address | None = Field(
        None, description="Previous run: its rows are reused where nothing changed."
    )

    @model_validator(mode="after")
    def _is_one_folder(self) -> OutputSettings:
        if (self.run is None) == (self.series is None):
            raise ValueError("one folder is needed: give --out FOLDER or --series FOLDER")
        return self

    @property
    def folder(self) -> str:
        """The run folder; of a series, settle_folder chooses it (tasks/runs/series.py)."""
        assert self.run is not None
        return self.run
