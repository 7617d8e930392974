"""The model's prediction for each donor picture, and for its background alone.

From these and a few exchanged backgrounds, the effect of all others is predicted
(tasks/flags/background_score.py). Shapes: N donors, n some of them, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from upath import UPath

from models.addresses import is_file
from models.classifier.classifier import Classifier
from models.errors import lacks_memory
from models.interventions import predict_each
from tasks.attribution.fingerprints import donor_predictions_mark
from tasks.attribution.job import Job
from tasks.interventions.donors import read_donors
from tasks.runs.folder import RunFolder, is_finished, write_part
from tasks.runs.stages import DONOR_PREDICTIONS
from tasks.storage.files import read_stamps
from tasks.storage.parquet import read_table

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
    prediction_N: np.ndarray
    probability_NK: np.ndarray  # NaN where the network could not predict the picture

    @property
    def is_known_N(self) -> np.ndarray:
        known_N: np.ndarray = np.isfinite(self.probability_NK).all(1)
        return known_N


def write_donor_predictions(job: Job, classifier: Classifier) -> None:
    """Predict every donor's picture and its background alone, unless that is done already."""
    mark = donor_predictions_mark(job)
    if mark is None or job.interventions is None or has_donor_predictions(job):
        return
    pool = read_donors(job.run, classifier.preprocessing.size, job.interventions.fill)
    prediction_N = _probabilities(classifier, pool.picture_NCHW, job.batch_size).argmax(1)
    probability_NK = _probabilities(classifier, pool.background_NCHW, job.batch_size)
    rows = (
        pool.row_ids,
        pool.content_ids,
        prediction_N.int().numpy(),
        list(probability_NK.numpy()),
    )
    columns = [pa.array(row, field.type) for row, field in zip(rows, COLUMNS, strict=True)]
    write_part(job.run.part(DONOR_PREDICTIONS, 0), pa.table(columns, schema=COLUMNS), mark)


def has_donor_predictions(job: Job) -> bool:
    """Are they written, or not needed?"""
    mark = donor_predictions_mark(job)
    return mark is None or is_finished(job.run.part(DONOR_PREDICTIONS, 0), mark)


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


def _probabilities(classifier: Classifier, picture_NCHW: Tensor, batch_size: int) -> Tensor:
    """Of all pictures; batches are halved where memory runs out."""
    device = classifier.device
    try:
        probabilities = [
            predict_each(
                classifier.network,
                classifier.preprocessing.normalise(picture_nCHW.to(device)),
                len(classifier.classes),
            )
            for picture_nCHW in torch.split(picture_NCHW, batch_size)
        ]
    except (RuntimeError, MemoryError) as error:
        if batch_size == 1 or not lacks_memory(error):
            raise
        return _probabilities(classifier, picture_NCHW, batch_size // 2)
    if not probabilities:
        return torch.zeros(0, len(classifier.classes))
    return torch.cat(probabilities).cpu()
