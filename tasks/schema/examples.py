"""What the report shows about single images. Shapes: H rows, W columns, 3 colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class ChangedPicture:
    """The picture of an example with its object or its background changed, predicted again."""

    change: Literal["object_removed", "background_removed", "exchanged", "moved"]
    probability: float  # of the class predicted for the unchanged picture
    prediction: str  # of the changed picture
    picture_HW3: np.ndarray  # uint8
    donor: str | None = None  # row_id of the picture with the new background
    donor_label: str | None = None
    same_class: bool = False  # has the donor the example's label?
    words: str = ""  # what was changed


@dataclass(frozen=True)
class Example:
    """One image of the report's gallery, in the geometry that the model saw."""

    row_id: str
    label: str | None
    prediction: str
    confidence: float
    correct: bool | None
    flag: str
    reason: str
    score: float | None  # of the flag
    lift: float | None
    foreground: str  # its source
    other_object: bool  # may it be another object than the predicted one? Of estimates alone
    picture_HW3: np.ndarray  # uint8
    map_HW: np.ndarray  # float, >= 0, enlarged to the picture's size
    mask_HW: np.ndarray | None  # bool
    changes: tuple[ChangedPicture, ...] = ()  # none where nothing could be changed
