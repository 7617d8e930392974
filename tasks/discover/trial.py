"""A trial: images are put on the backgrounds of a pattern's members and of controls, or get the
region of these pictures, and are predicted again.

Shapes: M backgrounds, R images put on each (recipients), B pictures at a time, C=3, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.classifier.classifier import Classifier
from models.fills import Fill
from models.interventions import predict_each
from models.masks import grow_masks
from tasks.attribution.job import Job, read_shard
from tasks.attribution.memory import batch_size_of
from tasks.discover.exchange import Exchange, object_mask
from tasks.discover.property_change import Property, PropertyChange
from tasks.pictures.map_region import Region
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Sample
from tasks.schema.patterns import PATTERN_TRIALS

FIRST = 8  # recipients after which a trial without any effect ends
NO_EFFECT = 0.02  # more predicted as the class on the pattern than on controls
GROWN = 0.05  # of the shorter side: how far the second check's masks reach beyond the first's
CLOSEST = 1e-4  # probabilities closer to 0 or 1 are clipped to this
MAIN, CHECK = "main", "other fill, grown mask"

RowKey = tuple[int, str]  # the shard and the key of a row
Put = Callable[[Tensor, Tensor], Tensor]  # of images and their masks


@dataclass(frozen=True)
class Trial:
    """What a worker needs to know."""

    pulls_to: int  # class
    region: Region | None  # where a region is exchanged
    given: Property | None  # where a property is given; else whole backgrounds are exchanged
    exemplars: tuple[RowKey, ...]
    controls: tuple[RowKey, ...]
    recipients: tuple[RowKey, ...]
    fill: Fill

    @property
    def row_keys(self) -> tuple[RowKey, ...]:
        return self.exemplars + self.controls + self.recipients

    @cached_property
    def exchange(self) -> Exchange:
        return Exchange(self.region, self.fill)

    @cached_property
    def needs_masks(self) -> bool:
        return self.region is None and self.given is None


@dataclass(frozen=True)
class _Pictures:
    """Normalised pictures and their masks; zeros where there is none."""

    keys: tuple[str, ...]
    image_NCHW: Tensor
    mask_NHW: Tensor
    level_N: tuple[float, ...]  # of the property, where one is given

    def select(self, keys: Sequence[str]) -> _Pictures:
        """Those of these keys that could be read."""
        index = {key: number for number, key in enumerate(self.keys)}
        kept = [key for key in keys if key in index]
        rows = [index[key] for key in kept]
        levels = tuple(self.level_N[row] for row in rows)
        return _Pictures(tuple(kept), self.image_NCHW[rows], self.mask_NHW[rows], levels)

    def with_grown_masks(self) -> _Pictures:
        reach = max(1, round(GROWN * min(self.mask_NHW.shape[1:])))
        return replace(self, mask_NHW=grow_masks(self.mask_NHW, reach))


def run_trial(job: Job, trial: Trial, classifier: Classifier) -> pa.Table:
    """A row of PATTERN_TRIALS for each picture that was made. Where the first recipients show no
    effect, these are all; where they show one, the others follow, and the check."""
    pictures = _read_pictures(job, trial, classifier)
    backgrounds = pictures.select(_keys((*trial.exemplars, *trial.controls)))
    recipients = pictures.select(_keys(trial.recipients))
    first, rest = recipients.select(recipients.keys[:FIRST]), recipients.keys[FIRST:]
    main = _Check(trial, classifier, batch_size_of(job.batch_size, classifier), MAIN)
    made = main.make(backgrounds, first)
    if _surplus(made, classifier.classes[trial.pulls_to]) <= NO_EFFECT:
        return made
    made = pa.concat_tables([made, main.make(backgrounds, recipients.select(rest))])
    if trial.given is not None:
        return made
    # What objects leave behind must not be the cause: with another fill there is none of it.
    other: Fill = "inpaint" if trial.fill != "inpaint" else "mean"
    check = replace(main, trial=replace(trial, fill=other), check=CHECK)
    grown = backgrounds.with_grown_masks(), first.with_grown_masks()
    return pa.concat_tables([made, check.make(*grown)])


@dataclass(frozen=True)
class _Check:
    """One way to put images on others' backgrounds, and to predict them."""

    trial: Trial
    classifier: Classifier
    batch_size: int
    check: str

    def make(self, backgrounds: _Pictures, recipients: _Pictures) -> pa.Table:
        """Every recipient on every background."""
        of_pattern = set(_keys(self.trial.exemplars))
        tables = [
            self._rows(key, key in of_pattern, recipients, put)
            for key, put in zip(backgrounds.keys, self._ways(backgrounds), strict=True)
        ]
        return pa.concat_tables([PATTERN_TRIALS.empty_table(), *tables])

    def _ways(self, backgrounds: _Pictures) -> Iterator[Put]:
        """For each background, how images and their masks become other images."""
        if self.trial.given is not None:
            change = PropertyChange(self.trial.given, self.classifier.preprocessing)
            yield from (partial(change.put, level=level) for level in backgrounds.level_N)
            return
        exchange = self.trial.exchange
        for source_CHW in exchange.sources(backgrounds.image_NCHW, backgrounds.mask_NHW):
            yield partial(exchange.put, source_CHW=source_CHW)

    def _rows(self, background: str, of_pattern: bool, recipients: _Pictures, put: Put) -> pa.Table:
        classes, count = self.classifier.classes, len(recipients.keys)
        log_odds, predicted = [], []
        for image_BCHW, mask_BHW in _batches(recipients, self.batch_size):
            p_BK = predict_each(self.classifier.network, put(image_BCHW, mask_BHW), len(classes))
            p_B = p_BK[:, self.trial.pulls_to].clamp(CLOSEST, 1 - CLOSEST)
            log_odds += torch.logit(p_B).tolist()
            predicted += [classes[index] for index in p_BK.argmax(1).tolist()]
        columns = {
            "background": [background] * count,
            "of_pattern": [of_pattern] * count,
            "recipient": list(recipients.keys),
            "check": [self.check] * count,
            "log_odds": log_odds,
            "prediction": predicted,
        }
        return pa.table(columns, schema=PATTERN_TRIALS)


def _batches(pictures: _Pictures, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(
        torch.split(pictures.image_NCHW, batch_size),
        torch.split(pictures.mask_NHW, batch_size),
        strict=True,
    )


def _surplus(made: pa.Table, class_name: str) -> float:
    """How much more often the class is predicted on the pattern than on controls."""
    kind = made["of_pattern"].to_numpy(zero_copy_only=False)
    if not kind.any() or kind.all():
        return 0.0
    predicted = np.array(made["prediction"].to_pylist()) == class_name
    return float(predicted[kind].mean() - predicted[~kind].mean())


def _read_pictures(job: Job, trial: Trial, classifier: Classifier) -> _Pictures:
    """All pictures of a trial; those that cannot be read any more are left out."""
    samples = [
        sample
        for sample in job.reader.read_rows(_rows(job, trial.row_keys), job.decode_threads)
        if isinstance(sample, Sample) and not (trial.needs_masks and sample.mask_HW is None)
    ]
    size = classifier.preprocessing.size
    picture_NCHW = torch.stack([it.picture_CHW for it in samples] or [torch.zeros(3, *size)])
    mask_NHW = torch.stack([object_mask(it) for it in samples] or [torch.zeros(size)])
    device, count = classifier.device, len(samples)
    image_NCHW = classifier.preprocessing.normalise(picture_NCHW[:count].to(device))
    keys = tuple(sample.row.row_id for sample in samples)
    levels = tuple(_levels(trial, classifier, samples))
    return _Pictures(keys, image_NCHW, mask_NHW[:count].to(device), levels)


def _levels(trial: Trial, classifier: Classifier, samples: Sequence[Sample]) -> Iterator[float]:
    for sample in samples:
        if trial.given is None:
            yield math.nan
        else:
            yield PropertyChange(trial.given, classifier.preprocessing).level(sample)


def _rows(job: Job, row_keys: Sequence[RowKey]) -> list[Row]:
    rows: list[Row] = []
    for shard in sorted({shard for shard, _ in row_keys}):
        keys = {key for number, key in row_keys if number == shard}
        rows += [row for row in rows_of(read_shard(job.run, shard)) if row.row_id in keys]
    return rows


def _keys(row_keys: Sequence[RowKey]) -> list[str]:
    return [key for _, key in row_keys]
