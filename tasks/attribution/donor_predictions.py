"""The model's prediction for each donor picture, and for its background alone.

From these and a few exchanged backgrounds, the effect of all others is predicted
(tasks/flags/background_score.py). Shapes: N donors, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from upath import UPath

from models.addresses import is_file
from tasks.runs.folder import RunFolder
from tasks.runs.stages import DONOR_PREDICTIONS
from tasks.storage.files import read_stamps
from tasks.storage.parquet import read_table

UNKNOWN = -1  # class of a picture
COLUMNS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("prediction", pa.int32(), nullable=False),  # the model's class of the picture
        pa.field("probabilities", pa.list_(pa.float32()), nullable=False),  # of the background
    ]
)


@dataclass(frozen=True)
class DonorPredictions:
    """One model's predictions of the donor pool."""

    index: dict[str, int]  # row_id to number
    content_N: np.ndarray
    prediction_N: np.ndarray  # UNKNOWN where the network could not predict the picture
    probability_NK: np.ndarray  # NaN where the network could not predict the background

    @property
    def is_known_N(self) -> np.ndarray:
        has_class_N = self.prediction_N != UNKNOWN
        known_N: np.ndarray = has_class_N & np.isfinite(self.probability_NK).all(1)
        return known_N


def read_donor_predictions(run: RunFolder) -> DonorPredictions | None:
    """Those of a run, or None where it has no donors."""
    path = run.part(DONOR_PREDICTIONS, 0)
    return _read(path, *read_stamps([str(path)])) if is_file(path) else None


@lru_cache(maxsize=1)
def _read(path: UPath, _: str) -> DonorPredictions:
    table = read_table(path, expected=COLUMNS)
    index = {row_id: number for number, row_id in enumerate(table["row_id"].to_pylist())}
    rows = table["probabilities"].combine_chunks()
    probability_NK = rows.flatten().to_numpy().reshape(len(table), -1 if len(table) else 0)
    content_N = np.array(table["content_id"].to_pylist(), object)
    return DonorPredictions(index, content_N, table["prediction"].to_numpy(), probability_NK)
