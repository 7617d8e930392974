"""Settings for the foreground of images without annotations."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.addresses import Address
from models.classifier.object_network_files import NETWORK
from models.errors import UserError, suggest

ANNOTATED, ESTIMATE = "annotated", "estimate"
# Confidence that an estimate needs where too few images are annotated to tell. Of those with as
# much, most are right on photographs, too (benchmarks/audit/photograph_foregrounds.py).
DEFAULT_CONFIDENCE = 0.6
BY_GRAPH_CUTS = 0.8  # the same, by graph cuts alone, of which more fail on photographs


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

    @field_validator("source")
    @classmethod
    def _is_known(cls, source: str) -> str:
        if source not in (ANNOTATED, ESTIMATE, NETWORK) and ":" not in source:
            meant = suggest(source, (ANNOTATED, ESTIMATE, NETWORK))
            raise UserError(
                f"unknown source {source!r}{meant}; known are annotated, estimate, network, "
                "torchvision:NAME, onnx:FILE, rembg:NAME and path/to/file.py:function"
            )
        return source

    @property
    def default_confidence(self) -> float:
        """What an estimate of this source needs where nothing tells how good they are."""
        return BY_GRAPH_CUTS if self.source == ESTIMATE else DEFAULT_CONFIDENCE

    @property
    def donor_confidence(self) -> float:
        """What the estimate of a donor needs: one that misses its object would put that object
        behind others. To ask more of the images that are judged does not change the donors."""
        needed = self.default_confidence
        return needed if self.confidence is None else min(needed, self.confidence)

    @property
    def runs_code(self) -> bool:
        """May loading the segmenter run code that these settings name?"""
        return ".py:" in self.source or self.pickle
