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
from models.interventions import predict_each
from tasks.attribution.job import Job, read_shard
from tasks.discover.exchange import Exchange
from tasks.pictures.map_region import Region
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

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.region, self.fill)


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
    effect, these are all; where they show one, the others follow, and the check."""
    pictures = _read_pictures(job, trial, classifier)
    backgrounds = pictures.select(_keys((*trial.exemplars, *trial.controls)))
    recipients = pictures.select(_keys(trial.recipients))
    first, rest = recipients.select(recipients.keys[:FIRST]), recipients.keys[FIRST:]
    main = _Check(trial, classifier, job.batch_size, MAIN)
    made = main.make(backgrounds, first)
    if _surplus(made, classifier.classes[trial.pulls_to]) <= NO_EFFECT:
        return made
    # What objects leave behind must not be the cause: with another fill there is none of it.
    other: Fill = "inpaint" if trial.fill != "inpaint" else "mean"
    check = replace(main, trial=replace(trial, fill=other), check=CHECK)
    return pa.concat_tables(
        [
            made,
            main.make(backgrounds, recipients.select(rest)),
            check.make(backgrounds.with_grown_masks(), first.with_grown_masks()),
        ]
    )


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
        source_MCHW = self.trial.exchange.sources(backgrounds.image_NCHW, backgrounds.mask_NHW)
        tables = [
            self._rows(key, key in of_pattern, recipients, source_CHW)
            for key, source_CHW in zip(backgrounds.keys, source_MCHW, strict=True)
        ]
        return pa.concat_tables([PATTERN_TRIALS.empty_table(), *tables])

    def _rows(
        self, background: str, of_pattern: bool, recipients: _Pictures, source_CHW: Tensor
    ) -> pa.Table:
        classes, count = self.classifier.classes, len(recipients.keys)
        log_odds, predicted = [], []
        for image_BCHW, mask_BHW in _batches(recipients, self.batch_size):
            mixed_BCHW = self.trial.exchange.put(image_BCHW, mask_BHW, source_CHW)
            p_BK = predict_each(self.classifier.network, mixed_BCHW, len(classes))
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
    """How much oftener the class is predicted on the pattern than on controls."""
    kind = made["of_pattern"].to_numpy(zero_copy_only=False)
    if not kind.any() or kind.all():
        return 0.0
    predicted = np.array(made["prediction"].to_pylist()) == class_name
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
