"""What the report shows of a pattern. Shapes: H rows, W columns, 3 colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PatternExemplar:
    """One of the images that a pattern was confirmed by."""

    row_id: str
    label: str | None
    prediction: str
    picture_HW3: np.ndarray  # uint8
    attended_HW: np.ndarray | None  # bool: where most of its map's energy beside the object lies


@dataclass(frozen=True)
class PutPicture:
    """A picture of a trial."""

    prediction: str
    picture_HW3: np.ndarray  # uint8
    background: str  # row_id of the picture that it was put on, or given the region of


@dataclass(frozen=True)
class PatternRecipient:
    """An image of another class, as it is, with the pattern and without."""

    row_id: str
    label: str | None
    prediction: str
    picture_HW3: np.ndarray  # uint8
    on_pattern: PutPicture
    on_control: PutPicture


@dataclass(frozen=True)
class PatternPictures:
    """Of one pattern; none of those that can no longer be read."""

    pattern: str  # its id
    exemplars: tuple[PatternExemplar, ...]
    recipients: tuple[PatternRecipient, ...]
