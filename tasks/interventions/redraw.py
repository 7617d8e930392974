"""The changed pictures of one image, made again as intervene.py made them, to be looked at.

Shapes: C=3 colours, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.fills import Fill
from models.interventions import exchange_background, remove_background, remove_object
from models.moves import MOVES
from tasks.interventions.donors import DonorPool
from tasks.interventions.filled_areas import filled_areas
from tasks.pictures.samples import Sample


@dataclass(frozen=True)
class Redrawing:
    """How a run changed its pictures. Each method gives a picture: uint8 (H, W, 3)."""

    fill: Fill
    preprocessing: Preprocessing

    def without_object(self, sample: Sample) -> np.ndarray:
        return self._as_picture(self._own_background(sample))

    def without_background(self, sample: Sample) -> np.ndarray:
        return self._as_picture(remove_background(self._image(sample), _mask(sample)))

    def moved(self, sample: Sample, way: str) -> np.ndarray:
        """On its own background, moved in one of the ways of models/moves.py."""
        moved_1CHW = MOVES[way].apply(self._own_background(sample))
        return self._on(sample, moved_1CHW)

    def exchanged(self, sample: Sample, pool: DonorPool, donor: str) -> np.ndarray:
        """On the background of a donor, by its row_id."""
        background_CHW = pool.background_NCHW[pool.row_ids.index(donor)]
        return self._on(sample, self.preprocessing.normalise(background_CHW[None]))

    def _on(self, sample: Sample, other_1CHW: Tensor) -> np.ndarray:
        image_1CHW = exchange_background(self._image(sample), _mask(sample), other_1CHW)
        return self._as_picture(image_1CHW)

    def _own_background(self, sample: Sample) -> Tensor:
        filled_1HW = filled_areas(_mask(sample), [sample.estimated])
        return remove_object(self._image(sample), filled_1HW, self.fill)

    def _image(self, sample: Sample) -> Tensor:
        return self.preprocessing.normalise(sample.picture_CHW[None])

    def _as_picture(self, image_1CHW: Tensor) -> np.ndarray:
        picture_CHW = self.preprocessing.denormalise(image_1CHW)[0]
        picture_HW3: np.ndarray = picture_CHW.permute(1, 2, 0).numpy()
        return picture_HW3


def _mask(sample: Sample) -> Tensor:
    """(1, H, W), 0 to 1."""
    if sample.mask_HW is None:
        raise ValueError(f"{sample.row.row_id} has no foreground, so nothing of it was changed")
    return sample.mask_HW[None] / 255
