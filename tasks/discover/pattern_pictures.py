"""The pictures of the patterns that a page shows, made again as their trials made them.

They are the first of each trial, whose order was settled before anything was predicted: none is
chosen by its outcome. Shapes: C=3 colours, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import isfinite

import numpy as np
import pyarrow.compute as pc
import torch

from tasks.attribution.shown_images import Rows, ShownImages, mask_of, picture_of
from tasks.discover.exchange import Exchange, object_mask
from tasks.discover.property_change import CHANGED, PropertyChange
from tasks.discover.trial import MAIN
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.map_region import Region
from tasks.pictures.samples import Sample
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run
from tasks.runs.stages import PATTERN_TRIALS, PREDICTIONS
from tasks.schema import Pattern, PatternExemplar, PatternPictures, PatternRecipient, PutPicture

EXEMPLARS, RECIPIENTS = 8, 3  # of one pattern
HELD = 0.5  # of the energy beside the object, where the outline is drawn


def pictures_of_patterns(run_folder: RunFolder) -> list[PatternPictures]:
    """Of the patterns that the page of a summarised run shows; none where none was looked for."""
    run = open_run(run_folder.path)
    summary = run.summary()
    shown = () if summary.patterns is None else summary.patterns.shown
    if not shown:
        return []
    shown_patterns = _ShownPatterns(run, shown, summary.rule.method)
    return [shown_patterns.pictures(pattern) for pattern in shown]


@dataclass(frozen=True)
class _ShownPatterns:
    """A run's images and maps, of the patterns that are shown."""

    run: Run
    patterns: tuple[Pattern, ...]
    method: str

    def pictures(self, pattern: Pattern) -> PatternPictures:
        return PatternPictures(
            pattern.id,
            tuple(islice(self._exemplars(pattern), EXEMPLARS)),
            tuple(islice(self._recipients(pattern), RECIPIENTS)),
        )

    def _exemplars(self, pattern: Pattern) -> Iterator[PatternExemplar]:
        for row_id in pattern.exemplars:
            sample = self._images.sample(row_id)
            if sample is not None:
                row, map_HW = self._predictions[row_id], self._maps.get(row_id)
                yield PatternExemplar(
                    row_id,
                    row["label"],
                    row["prediction"],
                    picture_of(sample),
                    None if map_HW is None else attended(map_HW, mask_of(sample)),
                )

    def _recipients(self, pattern: Pattern) -> Iterator[PatternRecipient]:
        """Each with an exemplar, and with the control that is like it."""
        predictions = self._trial(pattern)
        for recipient, exemplar, control in zip(
            pattern.recipients, pattern.exemplars, pattern.controls, strict=False
        ):
            sample = self._images.sample(recipient)
            on_pattern, on_control = (
                self._put(pattern, predictions, sample, background)
                for background in (exemplar, control)
            )
            if sample is not None and on_pattern is not None and on_control is not None:
                row = self._predictions[recipient]
                yield PatternRecipient(
                    recipient,
                    row["label"],
                    row["prediction"],
                    picture_of(sample),
                    on_pattern,
                    on_control,
                )

    def _put(
        self,
        pattern: Pattern,
        predictions: Mapping[tuple[str, str], str],
        sample: Sample | None,
        background: str,
    ) -> PutPicture | None:
        """None where a picture can no longer be read, or could not be predicted."""
        other = self._images.sample(background)
        if sample is None or other is None:
            return None
        prediction = predictions.get((background, sample.row.row_id))
        if prediction is None:
            return None
        preprocessing = self._images.read.preprocessing
        image_2CHW = preprocessing.normalise(torch.stack([sample.picture_CHW, other.picture_CHW]))
        mask_2HW = torch.stack([object_mask(sample), object_mask(other)])
        if pattern.exchanged == "property":
            change = PropertyChange(CHANGED[pattern.space], preprocessing)
            put_1CHW = change.put(image_2CHW[:1], mask_2HW[:1], change.level(other))
        else:
            exchange = self._exchange(pattern)
            source_1CHW = exchange.sources(image_2CHW[1:], mask_2HW[1:])
            put_1CHW = exchange.put(image_2CHW[:1], mask_2HW[:1], source_1CHW[0])
        picture_HW3 = preprocessing.denormalise(put_1CHW)[0].permute(1, 2, 0).numpy()
        return PutPicture(prediction, picture_HW3, background)

    def _exchange(self, pattern: Pattern) -> Exchange:
        region = Region(pattern.region, pattern.grid) if pattern.region else None
        settings = self.run.state.section("interventions", InterventionSettings)
        return Exchange(region, settings.fill)

    def _trial(self, pattern: Pattern) -> Mapping[tuple[str, str], str]:
        """What was predicted for each background and recipient."""
        assert pattern.trial is not None
        table = self.run.part(PATTERN_TRIALS, pattern.trial)
        if table is None:
            return {}
        rows = table.filter(pc.equal(table["check"], MAIN)).to_pylist()
        return {
            (row["background"], row["recipient"]): row["prediction"]
            for row in rows
            if isfinite(row["log_odds"])
        }

    @cached_property
    def _images(self) -> ShownImages:
        row_ids = {
            row_id
            for it in self.patterns
            for row_id in (*it.exemplars, *it.controls, *it.recipients)
        }
        return ShownImages(self.run, row_ids=sorted(row_ids), measures=True)

    @cached_property
    def _predictions(self) -> Rows:
        return self._images.part_rows(PREDICTIONS)

    @cached_property
    def _maps(self) -> dict[str, np.ndarray]:
        return self._images.maps(self.method)


def attended(map_HW: np.ndarray, mask_HW: np.ndarray | None) -> np.ndarray | None:
    """(H, W) of booleans: the smallest area with half of the map's positive energy outside the
    mask; None where there is no energy."""
    energy_HW = np.nan_to_num(map_HW).clip(0)
    if mask_HW is not None:
        energy_HW = np.where(mask_HW, 0, energy_HW)
    descending = np.sort(energy_HW, axis=None)[::-1]
    sums = np.cumsum(descending, dtype=np.float64)
    if not sums[-1] > 0:
        return None
    least = descending[np.searchsorted(sums, HELD * sums[-1])]
    attended_HW: np.ndarray = energy_HW >= least
    return attended_HW
