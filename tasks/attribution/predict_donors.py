"""Predicting the donor pool: each picture, and its background alone.

Shapes: N donors, n some of them, K classes.
"""

from __future__ import annotations

import pyarrow as pa
import torch
from torch import Tensor

from models.classifier.classifier import Classifier
from models.errors import lacks_memory
from models.interventions import predict_each
from tasks.attribution.donor_predictions import COLUMNS, UNKNOWN
from tasks.attribution.fingerprints import donor_predictions_mark
from tasks.attribution.job import Job
from tasks.attribution.memory import batch_size_of
from tasks.interventions.donors import read_donors
from tasks.runs.folder import is_finished, write_part
from tasks.runs.stages import DONOR_PREDICTIONS


def write_donor_predictions(job: Job, classifier: Classifier) -> None:
    """Predict every donor's picture and its background alone, unless that is done already."""
    mark = donor_predictions_mark(job)
    if mark is None or job.interventions is None or has_donor_predictions(job):
        return
    size_HW, fill = classifier.preprocessing.size, job.interventions.fill
    pool = read_donors(job.run, size_HW, fill, job.donors)
    size = batch_size_of(job.batch_size, classifier)
    prediction_N = _classes(_probabilities(classifier, pool.picture_NCHW, size))
    probability_NK = _probabilities(classifier, pool.background_NCHW, size)
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


def _classes(probability_NK: Tensor) -> Tensor:
    is_known_N = probability_NK.isfinite().all(1)
    return torch.where(is_known_N, probability_NK.argmax(1), UNKNOWN)


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
