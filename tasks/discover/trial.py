"""A trial: images are put on the backgrounds of a pattern's members and of controls, or get the
region of these pictures, and are predicted again.

Shapes: M backgrounds, R images put on each (recipients), B pictures at a time, C=3, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from models.classifier.classifier import Classifier
from models.fills import Fill
from models.interventions import exchange_background, predict_each, remove_object
from tasks.attribution.job import Job, read_shard
from tasks.discover.regions import Region
from tasks.pictures.samples import Row, Sample, rows_of
from tasks.schema.patterns import PATTERN_TRIALS

FIRST = 8  # recipients after which a trial without any effect ends
NO_EFFECT = 0.02  # more predicted as the class on the pattern than on controls
GROWN = 0.05  # of the shorter side: how far the second check's masks reach beyond the first's
CLOSEST = 1e-4  # probabilities closer to 0 or 1 are clipped to this
MAIN, CHECK = "main", "other fill, grown mask"

Place = tuple[int, str]  # the shard and the key of a row


@dataclass(frozen=True)
class Trial:
    """What a worker needs to know."""

    pulls_to: int  # class
    region: Region | None  # None: whole backgrounds are exchanged
    exemplars: tuple[Place, ...]
    controls: tuple[Place, ...]
    recipients: tuple[Place, ...]
    fill: Fill

    @property
    def places(self) -> tuple[Place, ...]:
        return self.exemplars + self.controls + self.recipients


@dataclass(frozen=True)
class _Pictures:
    """Normalised pictures and their masks; zeros where there is none."""

    keys: tuple[str, ...]
    image_NCHW: Tensor
    mask_NHW: Tensor

    def select(self, keys: Sequence[str]) -> _Pictures:
        """Those of these keys that could be read."""
        index = {key: number for number, key in enumerate(self.keys)}
        kept = [key for key in keys if key in index]
        rows = [index[key] for key in kept]
        return _Pictures(tuple(kept), self.image_NCHW[rows], self.mask_NHW[rows])

    def with_grown_masks(self) -> _Pictures:
        reach = max(1, round(GROWN * min(self.mask_NHW.shape[1:])))
        grown_N1HW = functional.max_pool2d(self.mask_NHW[:, None], 2 * reach + 1, 1, reach)
        return replace(self, mask_NHW=grown_N1HW[:, 0])


def run_trial(job: Job, trial: Trial, classifier: Classifier) -> pa.Table:
    """A row of PATTERN_TRIALS for each picture that was made. Where the first recipients show no
    effect, these are all; where all show one, the check follows."""
    pictures = _read_pictures(job, trial, classifier)
    of_kind = _keys(trial.exemplars)
    backgrounds = pictures.select([*of_kind, *_keys(trial.controls)])
    recipients = pictures.select(_keys(trial.recipients))
    rounds = [
        _exchange(trial, classifier, backgrounds, _slice(recipients, 0, FIRST), job.batch_size)
    ]
    if _surplus(rounds[0], trial, classifier) > NO_EFFECT:
        rest = _slice(recipients, FIRST, None)
        rounds.append(_exchange(trial, classifier, backgrounds, rest, job.batch_size))
        rounds.append(_check(trial, classifier, backgrounds, _slice(recipients, 0, FIRST), job))
    return pa.concat_tables(rounds)


def _check(
    trial: Trial, classifier: Classifier, backgrounds: _Pictures, recipients: _Pictures, job: Job
) -> pa.Table:
    """Again with grown masks and another fill: what objects leave behind must not be the cause."""
    other: Fill = "inpaint" if trial.fill != "inpaint" else "mean"
    made = _exchange(
        replace(trial, fill=other),
        classifier,
        backgrounds.with_grown_masks(),
        recipients.with_grown_masks(),
        job.batch_size,
    )
    return made.set_column(
        made.column_names.index("check"), "check", pa.array([CHECK] * len(made), pa.string())
    )


def _exchange(
    trial: Trial,
    classifier: Classifier,
    backgrounds: _Pictures,
    recipients: _Pictures,
    batch_size: int,
) -> pa.Table:
    """Every recipient on every background."""
    other_MCHW = _without_objects(trial, backgrounds)
    of_kind = set(_keys(trial.exemplars))
    region_HW = None if trial.region is None else trial.region.mask(_size(backgrounds.image_NCHW))
    columns: dict[str, list[object]] = {name: [] for name in PATTERN_TRIALS.names}
    for key, other_CHW in zip(backgrounds.keys, other_MCHW, strict=True):
        log_odds, predictions = [], []
        for image_BCHW, mask_BHW in _batches(recipients, batch_size):
            kept_BHW = mask_BHW if region_HW is None else (1 - region_HW).expand_as(mask_BHW)
            mixed_BCHW = exchange_background(
                image_BCHW, kept_BHW.to(image_BCHW.device), other_CHW[None]
            )
            p_BK = predict_each(classifier.network, mixed_BCHW, len(classifier.classes))
            p_B = p_BK[:, trial.pulls_to].clamp(CLOSEST, 1 - CLOSEST)
            log_odds += torch.logit(p_B).tolist()
            predictions += [classifier.classes[index] for index in p_BK.argmax(1).tolist()]
        columns["background"] += [key] * len(recipients.keys)
        columns["of_pattern"] += [key in of_kind] * len(recipients.keys)
        columns["recipient"] += recipients.keys
        columns["check"] += [MAIN] * len(recipients.keys)
        columns["log_odds"] += log_odds
        columns["prediction"] += predictions
    return pa.table(columns, schema=PATTERN_TRIALS)


def _without_objects(trial: Trial, backgrounds: _Pictures) -> Tensor:
    """As they are where they have no object, or where only a region is taken from them."""
    if trial.region is not None or not len(backgrounds.keys):
        return backgrounds.image_NCHW
    return remove_object(backgrounds.image_NCHW, backgrounds.mask_NHW, trial.fill)


def _batches(pictures: _Pictures, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(
        torch.split(pictures.image_NCHW, batch_size),
        torch.split(pictures.mask_NHW, batch_size),
        strict=True,
    )


def _surplus(made: pa.Table, trial: Trial, classifier: Classifier) -> float:
    """How much oftener the class is predicted on the pattern than on controls."""
    kind = made["of_pattern"].to_numpy(zero_copy_only=False)
    predicted = np.array(made["prediction"].to_pylist()) == classifier.classes[trial.pulls_to]
    if not kind.any() or kind.all():
        return 0.0
    return float(predicted[kind].mean() - predicted[~kind].mean())


def _read_pictures(job: Job, trial: Trial, classifier: Classifier) -> _Pictures:
    """All pictures of a trial; those that cannot be read any more are left out."""
    samples = [
        sample
        for sample in job.reader.read_rows(_rows(job, trial.places), job.decode_threads)
        if isinstance(sample, Sample) and (trial.region is not None or sample.mask_HW is not None)
    ]
    size = classifier.preprocessing.size
    picture_NCHW = torch.stack([it.picture_CHW for it in samples] or [torch.zeros(3, *size)])
    mask_NHW = torch.stack(
        [torch.zeros(size) if it.mask_HW is None else it.mask_HW / 255 for it in samples]
        or [torch.zeros(size)]
    )
    device, count = classifier.device, len(samples)
    image_NCHW = classifier.preprocessing.normalise(picture_NCHW[:count].to(device))
    keys = tuple(sample.row.row_id for sample in samples)
    return _Pictures(keys, image_NCHW, mask_NHW[:count].to(device))


def _rows(job: Job, places: Sequence[Place]) -> list[Row]:
    rows: list[Row] = []
    for shard in sorted({shard for shard, _ in places}):
        keys = {key for number, key in places if number == shard}
        rows += [row for row in rows_of(read_shard(job.run, shard)) if row.row_id in keys]
    return rows


def _keys(places: Sequence[Place]) -> list[str]:
    return [key for _, key in places]


def _slice(pictures: _Pictures, start: int, end: int | None) -> _Pictures:
    return pictures.select(pictures.keys[start:end])


def _size(image_NCHW: Tensor) -> tuple[int, int]:
    return image_NCHW.shape[2], image_NCHW.shape[3]
