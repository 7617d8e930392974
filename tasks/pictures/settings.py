"""Settings for the foreground of images without annotations."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.addresses import Address

ANNOTATED, ESTIMATE = "annotated", "estimate"


class ForegroundSettings(BaseModel):
    """Where the foreground of images without masks and boxes comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        ANNOTATED,
        description="annotated (only masks and boxes), estimate (by graph cuts), network (by a "
        "pretrained one: for photographs), or a segmenter: torchvision:NAME, onnx:FILE, rembg:NAME "
        "or path/to/file.py:function.",
    )
    weights: Address | None = Field(
        None, description="Weights file of the segmenter, or the name of torchvision's own."
    )
    pickle: bool = Field(
        False, description="Read weights of the segmenter whose file can run code."
    )
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Estimates with less confidence leave images undecided; by default calibrated "
        "on the annotated images, where there are enough.",
    )

    @property
    def runs_code(self) -> bool:
        """May loading the segmenter run code that these settings name?"""
        return ".py:" in self.source or self.pickle
