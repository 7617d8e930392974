"""One batch: one pass, and the rows of every part that it gives.

Shapes: B images, C=3 channels, H W pixels, K classes, D features, h w cells of the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from torch import Tensor

from models.errors import ForwardError, lacks_memory
from models.map_quality.localisation import to_cells
from models.methods.maps import capture_for, network_methods, pass_methods, reads_image
from models.methods.registry import Method
from models.network.capture import Capture, as_found
from tasks.attribution import encode
from tasks.attribution.attended_background import attended_background
from tasks.attribution.faithfulness_rows import ExplainedImages, faithfulness_rows
from tasks.attribution.map_scores import score_maps
from tasks.attribution.plan import Plan
from tasks.attribution.sanity_rows import sanity_rows
from tasks.interventions.intervene import Subjects
from tasks.pictures.rows import Row
from tasks.pictures.samples import Failure, Sample
from tasks.runs.stages import (
    ATTENDED_BACKGROUND,
    FAITHFULNESS,
    FEATURES,
    FOREGROUNDS,
    INTERVENTIONS,
    MAPS,
    PICTURE_PROPERTIES,
    PREDICT,
    PREDICTIONS,
    SCORES,
    Stage,
)

Rows = dict[Stage, pa.RecordBatch]


@dataclass(frozen=True)
class _Batch:
    """Images with finite logits, what the pass captured of them, and their masks (NaN for none)."""

    samples: Sequence[Sample]
    image_BCHW: Tensor
    seen: Capture
    mask_BHW: Tensor
    maps: Mapping[str, Tensor]  # by method, each (B, h, w); NaN where none could be made


def explain_batch(plan: Plan, samples: Sequence[Sample]) -> tuple[Rows, list[Failure]]:
    """Rows by stage, and the failures of masks, logits and maps."""
    failures = [sample.failure for sample in samples if sample.failure is not None]
    image_BCHW = _stack_images(plan, samples)
    seen = _capture(plan, samples, image_BCHW)
    finite_B = seen.logits_BK.isfinite().all(1)
    failures += _fail_not_finite(samples, finite_B, PREDICT, "the model's logits are not finite")
    if not finite_B.any():
        return {}, failures
    samples, seen = _select(samples, finite_B), seen.select(finite_B)
    image_BCHW = image_BCHW[finite_B]
    maps = _make_maps(plan, image_BCHW, seen)
    batch = _Batch(samples, image_BCHW, seen, _stack_masks(plan, samples), maps)
    rows = _rows_of_pass(plan, batch)
    for more, failed in (_intervene(plan, batch), *_rows_of_methods(plan, batch)):
        rows |= more
        failures += failed
    rows |= _rows_of_patterns(plan, batch)
    if plan.judges_estimates:
        rows |= _rows_of_estimates(plan, batch)
    if plan.wants(FAITHFULNESS):
        images = ExplainedImages(row_ids(samples), image_BCHW, seen.target_B, batch.mask_BHW)
        rows |= faithfulness_rows(plan, images, maps)
        rows |= sanity_rows(plan, images, maps)
    return {stage: row for stage, row in rows.items() if stage in plan.stages}, failures


def _intervene(plan: Plan, batch: _Batch) -> tuple[Rows, list[Failure]]:
    """Rows of the interventions on a batch."""
    if plan.interventions is None or not plan.intervenes:
        return {}, []
    subjects = Subjects(batch.samples, batch.image_BCHW, batch.mask_BHW, batch.seen.logits_BK)
    rows, failures = plan.interventions.apply(plan.classifier, subjects)
    return {INTERVENTIONS: rows}, failures


def _rows_of_methods(plan: Plan, batch: _Batch) -> Iterator[tuple[Rows, list[Failure]]]:
    return (_rows_of_method(plan, batch, method) for method in plan.methods)


def _rows_of_estimates(plan: Plan, batch: _Batch) -> Rows:
    """The confidence of estimates and, of annotated images, the rows that they give as masks."""
    has_both = [s.estimate is not None and not s.estimated for s in batch.samples]
    kept_B = torch.tensor(has_both, dtype=torch.bool)
    annotated_B = kept_B.to(plan.device) & ~batch.mask_BHW[:, 0, 0].isnan()
    samples = [
        replace(sample, mask_HW=sample.estimate.mask_HW, estimated=True)
        for sample in _select(batch.samples, annotated_B)
        if sample.estimate is not None
    ]
    estimated = _Batch(
        samples,
        batch.image_BCHW[annotated_B],
        batch.seen.select(annotated_B),
        _stack_masks(plan, samples),
        {name: map_Bhw[annotated_B] for name, map_Bhw in batch.maps.items()},
    )
    results = (_intervene(plan, estimated), *_rows_of_methods(plan, estimated))
    evaluated = {
        stage.from_estimates(): record
        for rows, _ in results
        for stage, record in rows.items()
        if not stage.is_one_of(MAPS)
    }
    return evaluated | {FOREGROUNDS: encode.encode_foregrounds(batch.samples)}


def explain_within_memory(
    plan: Plan, samples: Sequence[Sample]
) -> Iterator[tuple[Rows, list[Failure]]]:
    """Halve a batch that does not fit into memory, or for which the user's network raises; an image
    that never fits, or for which it always raises, is a failure."""
    if not samples:
        return
    if reads_image(plan.methods) and len(samples) > plan.room:  # would not fit
        yield from explain_within_memory(plan, samples[: plan.room])
        yield from explain_within_memory(plan, samples[plan.room :])
        return
    try:
        explained = explain_batch(plan, samples)
    except (RuntimeError, MemoryError, ForwardError) as error:
        if not (lacks_memory(error) or isinstance(error, ForwardError)):
            raise
        failure = _failure_of(samples[0].row, plan, error)
    else:
        yield explained
        return
    if len(samples) == 1:
        yield {}, [failure]
        return
    half = len(samples) // 2
    yield from explain_within_memory(plan, samples[:half])
    yield from explain_within_memory(plan, samples[half:])


def _failure_of(row: Row, plan: Plan, error: Exception) -> Failure:
    """Of an image that was explained alone."""
    if isinstance(error, ForwardError):
        message, _, remedy = str(error).rpartition(": ")
        return Failure(row.row_id, PREDICT, "permanent", message, remedy)
    message = f"image {row.image} does not fit into the memory of {plan.device}, even alone"
    remedy = "free memory on that device, then run again"
    return Failure(row.row_id, "read", "transient", message, remedy)


def row_ids(samples: Sequence[Sample]) -> list[str]:
    return [sample.row.row_id for sample in samples]


def _stack_images(plan: Plan, samples: Sequence[Sample]) -> Tensor:
    picture_BCHW = torch.stack([sample.picture_CHW for sample in samples]).to(plan.device)
    image_BCHW = plan.classifier.preprocessing.normalise(picture_BCHW)
    if plan.attribution.memory_format == "channels_last":
        image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
    return image_BCHW


def _capture(plan: Plan, samples: Sequence[Sample], image_BCHW: Tensor) -> Capture:
    classifier = plan.classifier
    if plan.interventions is not None:  # some networks scale their input in place
        image_BCHW = image_BCHW.clone()
    target_B = None
    if plan.attribution.target == "label":
        labels = [sample.row.label for sample in samples]
        indices = [classifier.classes.index(label) for label in labels if label is not None]
        target_B = torch.tensor(indices, device=plan.device)
    network, grid = classifier.network, classifier.grid
    return capture_for(plan.methods, network, grid, image_BCHW, target_B)


def _make_maps(plan: Plan, image_BCHW: Tensor, seen: Capture) -> dict[str, Tensor]:
    """By method: from the pass that was captured, or from passes of the method's own."""
    maps = {method.name: method.map_Bhw(seen) for method in pass_methods(plan.methods)}
    with as_found(plan.classifier.network):
        for method in network_methods(plan.methods):
            maps[method.name] = method.map_Bhw(
                plan.explain_request(method, image_BCHW, seen.target_B)
            )
    return maps


def _stack_masks(plan: Plan, samples: Sequence[Sample]) -> Tensor:
    """The foreground's share of each pixel, 0 to 1; NaN for images without a mask."""
    height, width = plan.classifier.preprocessing.size
    mask_BHW = torch.full((len(samples), height, width), torch.nan)
    for mask_HW, sample in zip(mask_BHW, samples, strict=True):
        if sample.mask_HW is not None:
            mask_HW.copy_(sample.mask_HW).div_(255)
    return mask_BHW.to(plan.device)


def _rows_of_pass(plan: Plan, batch: _Batch) -> Rows:
    """Predictions and features, which need no method."""
    classifier, seen = plan.classifier, batch.seen
    predictions = encode.encode_predictions(batch.samples, seen.logits_BK, classifier.classes)
    if classifier.grid is None:
        return {PREDICTIONS: predictions}
    cells_Bhw = to_cells(batch.mask_BHW, (classifier.grid.rows, classifier.grid.columns))
    features = encode.encode_features(row_ids(batch.samples), seen.activation_BDhw, cells_Bhw)
    return {PREDICTIONS: predictions, FEATURES: features}


def _rows_of_method(plan: Plan, batch: _Batch, method: Method) -> tuple[Rows, list[Failure]]:
    """Maps where they are finite, and scores where there is a foreground too."""
    map_Bhw = batch.maps[method.name]
    finite_B = map_Bhw.isfinite().all(2).all(1)
    scored_B = finite_B & ~batch.mask_BHW[:, 0, 0].isnan()
    mapped = row_ids(_select(batch.samples, finite_B))
    scored = row_ids(_select(batch.samples, scored_B))
    targets = encode.names(batch.seen.target_B[finite_B].tolist(), plan.classifier.classes)
    other_Mhw = plan.other_masks((map_Bhw.shape[1], map_Bhw.shape[2]))
    rows = {
        MAPS.of(method.name): encode.encode_maps(mapped, targets, map_Bhw[finite_B]),
        SCORES.of(method.name): score_maps(
            scored, map_Bhw[scored_B], batch.mask_BHW[scored_B], other_Mhw
        ),
    }
    message = f"the {method.name} map is not finite"
    return rows, _fail_not_finite(batch.samples, finite_B, method.name, message)


def _rows_of_patterns(plan: Plan, batch: _Batch) -> Rows:
    """What patterns are found by: what a method attends to beside objects, plain properties."""
    rows = {}
    for stage in plan.stages:
        if stage.is_one_of(ATTENDED_BACKGROUND):
            map_Bhw = batch.maps[stage.method]
            finite_B = map_Bhw.isfinite().all(2).all(1)
            rows[stage] = attended_background(
                row_ids(_select(batch.samples, finite_B)),
                map_Bhw[finite_B],
                batch.mask_BHW[finite_B],
                batch.seen.activation_BDhw[finite_B],
            )
    measured = [sample for sample in batch.samples if sample.file is not None]
    if plan.wants(PICTURE_PROPERTIES) and measured:
        picture_BCHW = torch.stack([sample.picture_CHW for sample in measured]).to(plan.device)
        rows[PICTURE_PROPERTIES] = encode.encode_properties(measured, picture_BCHW)
    return rows


def _fail_not_finite(
    samples: Sequence[Sample], finite_B: Tensor, stage: str, message: str
) -> list[Failure]:
    """Missing rows with their reason: never a zero map or a made-up prediction."""
    remedy = "look at the picture and at the model's weights"
    return [
        Failure(sample.row.row_id, stage, "permanent", message, remedy)
        for sample in _select(samples, ~finite_B)
    ]


def _select(samples: Sequence[Sample], kept_B: Tensor) -> list[Sample]:
    return [sample for sample, kept in zip(samples, kept_B.tolist(), strict=True) if kept]
