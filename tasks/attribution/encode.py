"""Tensors of one batch as Arrow rows. Shapes: B images, K classes, D features, h w cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.network import features
from tasks import schema
from tasks.pictures.properties import measure_pictures
from tasks.pictures.samples import Failure, Sample

HALF = 128  # of 255: from here on, a mask's pixel is foreground


def encode_predictions(
    samples: Sequence[Sample], logits_BK: Tensor, classes: tuple[str, ...]
) -> pa.RecordBatch:
    """Prediction, confidence and correctness; columns of schema.PREDICTIONS."""
    confidence_B, prediction_B = logits_BK.softmax(1).max(1)
    predicted = prediction_B.tolist()
    labels = [sample.row.label for sample in samples]
    correct = [
        None if label is None else classes[index] == label
        for label, index in zip(labels, predicted, strict=True)
    ]
    indices = [None if label is None else classes.index(label) for label in labels]
    return pa.record_batch(
        [
            pa.array([sample.row.row_id for sample in samples], pa.string()),
            pa.array([sample.content_id for sample in samples], pa.string()),
            pa.array([sample.foreground_id for sample in samples], pa.string()),
            names(indices, classes),
            names(predicted, classes),
            pa.array(confidence_B.cpu().numpy()),
            pa.array(correct, pa.bool_()),
        ],
        schema=schema.PREDICTIONS,
    )


def encode_maps(row_ids: list[str], targets: pa.Array, map_Bhw: Tensor) -> pa.RecordBatch:
    """Maps divided by their largest magnitude, as float16, and that magnitude."""
    scale_B = map_Bhw.abs().amax((1, 2))
    divisor_B = torch.where(scale_B > 0, scale_B, 1)
    unit_Bhw = (map_Bhw / divisor_B[:, None, None]).half().cpu().numpy()
    return pa.record_batch(
        [
            pa.array(row_ids, pa.string()),
            targets,
            _tensors(unit_Bhw),
            pa.array(scale_B.cpu().numpy()),
        ],
        schema=schema.maps_schema(map_Bhw.shape[1], map_Bhw.shape[2]),
    )


def encode_features(
    row_ids: list[str], activation_BDhw: Tensor, mask_Bhw: Tensor
) -> pa.RecordBatch:
    """Pooled activations; those of object and background are null without a mask (NaN)."""
    pooled = (
        features.pool(activation_BDhw),
        features.pool(activation_BDhw, mask_Bhw),
        features.pool(activation_BDhw, 1 - mask_Bhw),
    )
    vectors = [encode_vectors(features.project(value_BD)) for value_BD in pooled]
    return pa.record_batch([pa.array(row_ids, pa.string()), *vectors], schema=schema.FEATURES)


def encode_foregrounds(samples: Sequence[Sample]) -> pa.RecordBatch:
    """How confident each estimate is, and its overlap with the annotation; schema.FOREGROUNDS."""
    rows = [
        {
            "row_id": sample.row.row_id,
            "confidence": sample.estimate.confidence,
            "iou": None if sample.estimated or sample.mask_HW is None else _iou(sample),
        }
        for sample in samples
        if sample.estimate is not None
    ]
    return pa.RecordBatch.from_pylist(rows, schema=schema.FOREGROUNDS)


def _iou(sample: Sample) -> float | None:
    """Intersection over union of estimate and annotation; None where both are empty."""
    assert sample.estimate is not None
    assert sample.mask_HW is not None
    estimated_HW, annotated_HW = sample.estimate.mask_HW >= HALF, sample.mask_HW >= HALF
    union = int((estimated_HW | annotated_HW).sum())
    return int((estimated_HW & annotated_HW).sum()) / union if union else None


def encode_failures(failures: Sequence[Failure]) -> pa.Table:
    rows = [vars(failure) for failure in failures]
    return pa.Table.from_pylist(rows, schema=schema.FAILURES)


def encode_properties(samples: Sequence[Sample], picture_BCHW: Tensor) -> pa.RecordBatch:
    """Of pictures whose file's properties were measured; schema.PICTURE_PROPERTIES."""
    columns: dict[str, pa.Array] = {
        "row_id": pa.array([sample.row.row_id for sample in samples], pa.string())
    }
    columns |= {name: nullable(v_B) for name, v_B in measure_pictures(picture_BCHW).items()}
    files = [sample.file for sample in samples if sample.file is not None]
    for name in ("width", "height", "blockiness", "jpeg_quality"):
        values = [getattr(file, name) for file in files]
        columns[name] = pa.array(values, pa.float32(), from_pandas=True)  # null where NaN
    arrays = [columns[name] for name in schema.PICTURE_PROPERTIES.names]
    return pa.record_batch(arrays, schema=schema.PICTURE_PROPERTIES)


def encode_vectors(value_BF: Tensor) -> pa.Array:
    return pa.array(features.as_vectors(value_BF), pa.list_(pa.float16()))


def nullable(value_B: Tensor) -> pa.Array:
    """Null where a value is NaN."""
    values: np.ndarray = value_B.float().cpu().numpy()
    return pa.array(values, mask=np.isnan(values))


def names(indices: Sequence[int | None], classes: tuple[str, ...]) -> pa.Array:
    """Class names as a dictionary column: every part carries the same dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(classes))


def _tensors(value_Bhw: np.ndarray) -> pa.Array:
    """One fixed-shape tensor per image; pyarrow's own constructor refuses an empty batch."""
    rows, columns = value_Bhw.shape[1:]
    flat = pa.array(value_Bhw.reshape(-1))
    storage = pa.FixedSizeListArray.from_arrays(flat, rows * columns)
    kind = pa.fixed_shape_tensor(flat.type, (rows, columns))
    return pa.ExtensionArray.from_storage(kind, storage)
