"""What interventions say of a whole dataset, with bootstrap intervals over images.

Shapes: B images of a shard, F figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions, read_donor_predictions
from tasks.compare.paired_images import drop_unsure
from tasks.intervals.bootstrap import bootstrap_means
from tasks.intervals.worst_group import interval_of_worst
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS
from tasks.schema import ENOUGH, GroupSummary, Interval, WorstGroup

COLUMNS = ("label", "prediction", "confidence")
FIGURES = (
    *("flips_across", "flips_within", "reliance_removal", "reliance_across", "reliance_within"),
    *("accuracy", "accuracy_within", "accuracy_across", "class_gap"),
    *("accuracy_background_alone", "accuracy_object_alone"),
)


def measure_interventions(run: Run, least: float) -> tuple[int, dict[str, Interval | None]]:
    """The number of images that were intervened on, and every figure over them; estimates of the
    foreground that are less sure than `least` are left out."""
    votes = read_donor_predictions(run.folder)
    index_of = {name: index for index, name in enumerate(run.state.classes)}
    shards = (
        []
        if votes is None
        else [_figures_of_shard(table, votes, index_of) for table in _read_tables(run, least)]
    )
    value_NF = np.concatenate([*shards, np.zeros((0, len(FIGURES)), np.float32)])
    return len(value_NF), dict(zip(FIGURES, bootstrap_means(value_NF), strict=True))


def worst_group(groups: Sequence[GroupSummary]) -> WorstGroup | None:
    """The lowest accuracy among groups of enough labelled images, as a rule of the gate has it."""
    rates = {group.name: group.accuracy for group in groups if group.accuracy.of >= ENOUGH}
    if not rates:
        return None
    worst = min(rates, key=lambda name: rates[name].count / rates[name].of)
    right_n = np.concatenate([np.arange(rate.of) < rate.count for rate in rates.values()])
    group_n = np.repeat(np.arange(len(rates)), [rate.of for rate in rates.values()])
    low, high = interval_of_worst(right_n.astype(float), group_n, 0.95)
    lowest = rates[worst].count / rates[worst].of
    accuracy = Interval(value=lowest, low=low, high=high, of=rates[worst].of)
    return WorstGroup(name=worst, accuracy=accuracy, groups=len(rates))


def _read_tables(run: Run, least: float) -> Iterator[pa.Table]:
    """Interventions with label and prediction, shard by shard."""
    for shard in run.shards:
        predictions = run.part(PREDICTIONS, shard, ["row_id", *COLUMNS])
        interventions = run.part(INTERVENTIONS, shard)
        if predictions is not None and interventions is not None:
            known = drop_unsure(interventions, run.part(FOREGROUNDS, shard), least)
            yield join(known, predictions)


def _figures_of_shard(
    table: pa.Table, votes: DonorPredictions, index_of: Mapping[str, int]
) -> np.ndarray:
    """(B, F) in the order of FIGURES; NaN where an image has no such figure.

    Accuracy is within and across labels; what the model does, by its prediction of the donor: that
    parts backgrounds also where every label has every background, and without labels.
    """
    label, prediction = (
        np.array(table[name].to_pylist(), object) for name in ("label", "prediction")
    )
    known = np.array([name is not None for name in label])
    exchanges = _Exchanges.of(table)
    same, other = exchanges.same_E, ~exchanges.same_E
    alike = exchanges.are_alike(votes, [index_of[name] for name in prediction])
    lost_E = table["confidence"].to_numpy()[exchanges.image_E] - exchanges.held_E
    flipped = exchanges.predicted_E != prediction[exchanges.image_E]
    right = exchanges.predicted_E == label[exchanges.image_E]
    within_B = np.where(known, exchanges.mean(right, same), np.nan)
    across_B = np.where(known, exchanges.mean(right, other), np.nan)
    columns = [
        exchanges.mean(flipped, ~alike),
        exchanges.mean(flipped, alike),
        _floats(table["reliance_removal"]),
        exchanges.mean(lost_E, ~alike),
        exchanges.mean(lost_E, alike),
        np.where(known, prediction == label, np.nan),
        within_B,
        across_B,
        within_B - across_B,
        *(
            np.where(known, np.array(table[f"{name}_prediction"].to_pylist()) == label, np.nan)
            for name in ("object_removed", "background_removed")
        ),
    ]
    return np.stack(columns, 1).astype(np.float32)


@dataclass(frozen=True)
class _Exchanges:
    """All exchanges of a shard in one row."""

    images: int
    image_E: np.ndarray
    same_E: np.ndarray
    predicted_E: np.ndarray
    held_E: np.ndarray  # probability of the class that was predicted without a change
    donors: list[str]

    @classmethod
    def of(cls, table: pa.Table) -> _Exchanges:
        predicted = table["exchanged_predictions"].combine_chunks()
        count_B = pc.list_value_length(predicted).to_numpy()
        same = table["same_class"].combine_chunks().flatten()
        return cls(
            len(table),
            np.repeat(np.arange(len(table)), count_B),
            same.to_numpy(zero_copy_only=False).astype(bool),
            np.array(predicted.flatten().to_pylist(), object),
            table["exchanged"].combine_chunks().flatten().to_numpy().astype(np.float64),
            table["donors"].combine_chunks().flatten().to_pylist(),
        )

    def are_alike(self, votes: DonorPredictions, index_B: Sequence[int]) -> np.ndarray:
        """Does the model predict the donor's picture as the image?"""
        donor_E = np.array([votes.places[name] for name in self.donors], np.int64)
        alike_E: np.ndarray = votes.prediction_N[donor_E] == np.asarray(index_B)[self.image_E]
        return alike_E

    def mean(self, value_E: np.ndarray, chosen_E: np.ndarray) -> np.ndarray:
        """By image, over the chosen exchanges; NaN without one."""
        image_e = self.image_E[chosen_E]
        count_B = np.bincount(image_e, minlength=self.images)
        total_B = np.bincount(image_e, value_E[chosen_E].astype(float), self.images)
        return np.where(count_B > 0, total_B / np.maximum(count_B, 1), np.nan)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.to_numpy().astype(np.float64)
    return floats
