"""Where an audit is computed."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    tls_ca_file: str | None = Field(
        None,
        description="Certificate of the authority that signed those of the cluster (tls://); "
        "default: what Dask's own settings name.",
    )
    tls_cert: str | None = Field(None, description="Certificate to show to the cluster.")
    tls_key: str | None = Field(
        None, description="Its key; default: it stands in the certificate's file."
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=MOST_IN_MEMORY,
        description="Images per forward pass; default: 16 on a CPU, on a GPU as many as fit, at "
        "most 64.",
    )
    max_failures: int | None = Field(
        None,
        ge=0,
        le=MOST_IMAGES,
        description="Stop after more failures than this, keeping everything computed so far.",
    )

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if (self.tls_ca_file is None) != (self.tls_cert is None):
            raise ValueError("--tls-ca-file and --tls-cert belong together: give both")
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("--tls-key belongs to --tls-ca-file and --tls-cert: give all three")
        if self.tls_cert is not None and not (self.dask or "").startswith("tls://"):
            raise ValueError("certificates are for a cluster with TLS: give --dask tls://HOST:PORT")
        return self
