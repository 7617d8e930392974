"""The exchanged backgrounds of some images, and which of them are other backgrounds.

Shapes: B images, E exchanges, e some of them, N donors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions


@dataclass(frozen=True)
class Exchanges:
    """All exchanges of some images, one after the other, in the images' order."""

    images: int
    image_E: np.ndarray
    donor_E: np.ndarray  # number of the donor
    probability_E: np.ndarray  # of the class that was predicted without a change
    alike_E: np.ndarray  # is the donor's picture predicted as the image is?
    other_E: np.ndarray  # is it predicted otherwise? Of images without such a donor, all count.

    @classmethod
    def of(cls, table: pa.Table, class_B: np.ndarray, donors: DonorPredictions) -> Exchanges:
        """Of rows of schema.INTERVENTIONS, and the indices of the images' predicted classes."""
        exchanged = table["exchanged"].combine_chunks()
        count_B = pc.list_value_length(exchanged).to_numpy()
        image_E = np.repeat(np.arange(len(count_B)), count_B)
        names = table["donors"].combine_chunks().flatten().to_pylist()
        donor_E = np.array([donors.index[name] for name in names], np.int64)
        known_E = donors.is_known_N[donor_E]
        alike_E = known_E & (donors.prediction_N[donor_E] == np.asarray(class_B)[image_E])
        unlike_E = known_E & ~alike_E
        has_unlike_B = np.bincount(image_E[unlike_E], minlength=len(table)) > 0
        return cls(
            len(table),
            image_E,
            donor_E,
            exchanged.flatten().to_numpy().astype(np.float64),
            alike_E,
            unlike_E | (known_E & ~has_unlike_B[image_E]),
        )

    @property
    def known_E(self) -> np.ndarray:
        """Could the donor's background be predicted?"""
        known_E: np.ndarray = self.alike_E | self.other_E
        return known_E

    def mean(self, value_E: np.ndarray, chosen_E: np.ndarray) -> np.ndarray:
        """(B,): over the chosen exchanges of each image; NaN without one."""
        return mean_by_image(value_E[chosen_E], self.image_E[chosen_E], self.images)

    def mean_of_first(
        self, value_E: np.ndarray, chosen_E: np.ndarray, most_B: np.ndarray
    ) -> np.ndarray:
        """(B,): the same over at most so many of an image's chosen exchanges, the first."""
        image_e = self.image_E[chosen_E]
        first_e = rank_in_image(image_e) < most_B[image_e]
        return mean_by_image(value_E[chosen_E][first_e], image_e[first_e], self.images)

    def counts(self, chosen_E: np.ndarray) -> np.ndarray:
        """(B,)"""
        return np.bincount(self.image_E[chosen_E], minlength=self.images)


def rank_in_image(image_e: np.ndarray) -> np.ndarray:
    """How many values of the same image come before each; values are in the images' order."""
    rank_e: np.ndarray = np.arange(len(image_e)) - np.searchsorted(image_e, image_e)
    return rank_e


def mean_by_image(value_e: np.ndarray, image_e: np.ndarray, images: int) -> np.ndarray:
    """(B,); NaN of images without a value."""
    count_B = np.bincount(image_e, minlength=images)
    total_B = np.bincount(image_e, value_e.astype(float), images)
    return np.where(count_B > 0, total_B / np.maximum(count_B, 1), np.nan)
