"""What the interventions show over a whole dataset, with bootstrap intervals over images.

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
from tasks.runs.reader import Run, join
from tasks.runs.stages import FOREGROUNDS, INTERVENTIONS, PREDICTIONS
from tasks.schema import Interval

COLUMNS = ("label", "prediction", "confidence")
FIGURES = (
    *("flips_across", "flips_within", "reliance_removal", "reliance_across", "reliance_within"),
    *("accuracy", "accuracy_within", "accuracy_across", "class_gap"),
    *("accuracy_background_alone", "accuracy_object_alone"),
)


def measure_interventions(run: Run, least: float) -> tuple[int, dict[str, Interval | None]]:
    """The number of images with interventions, and every figure over them, without images whose
    estimated foreground is less sure than `least`."""
    donors = read_donor_predictions(run.folder)
    index_of = {name: index for index, name in enumerate(run.state.classes)}
    shards = (
        []
        if donors is None
        else [_figures_of_shard(table, donors, index_of) for table in _read_tables(run, least)]
    )
    value_NF = np.concatenate([*shards, np.zeros((0, len(FIGURES)), np.float32)])
    return len(value_NF), dict(zip(FIGURES, bootstrap_means(value_NF), strict=True))


def _read_tables(run: Run, least: float) -> Iterator[pa.Table]:
    """Interventions with label and prediction, shard by shard."""
    for shard in run.shards:
        predictions = run.part(PREDICTIONS, shard, ["row_id", *COLUMNS])
        interventions = run.part(INTERVENTIONS, shard)
        if predictions is not None and interventions is not None:
            interventions = drop_unsure(interventions, run.part(FOREGROUNDS, shard), least)
            yield join(interventions, predictions)


def _figures_of_shard(
    table: pa.Table, donors: DonorPredictions, index_of: Mapping[str, int]
) -> np.ndarray:
    """(B, F) in the order of FIGURES; NaN where an image has no such figure.

    Accuracy is within and across labels. Flips and reliance go by the model's prediction of the
    donor, which tells backgrounds apart even without labels, or where every label has them all.
    """
    label, prediction = (
        np.array(table[name].to_pylist(), object) for name in ("label", "prediction")
    )
    labelled = np.array([name is not None for name in label])
    exchanges = _Exchanges.of(table)
    same, other = exchanges.same_E, ~exchanges.same_E
    alike = exchanges.are_alike(donors, [index_of[name] for name in prediction])
    lost_E = table["confidence"].to_numpy()[exchanges.image_E] - exchanges.probability_E
    flipped = exchanges.predicted_E != prediction[exchanges.image_E]
    right = exchanges.predicted_E == label[exchanges.image_E]
    within_B = np.where(labelled, exchanges.mean(right, same), np.nan)
    across_B = np.where(labelled, exchanges.mean(right, other), np.nan)
    columns = [
        exchanges.mean(flipped, ~alike),
        exchanges.mean(flipped, alike),
        _floats(table["reliance_removal"]),
        exchanges.mean(lost_E, ~alike),
        exchanges.mean(lost_E, alike),
        np.where(labelled, prediction == label, np.nan),
        within_B,
        across_B,
        within_B - across_B,
        *(
            np.where(labelled, np.array(table[f"{name}_prediction"].to_pylist()) == label, np.nan)
            for name in ("object_removed", "background_removed")
        ),
    ]
    return np.stack(columns, 1).astype(np.float32)


@dataclass(frozen=True)
class _Exchanges:
    """All exchanges of a shard, one after the other."""

    images: int
    image_E: np.ndarray
    same_E: np.ndarray
    predicted_E: np.ndarray
    probability_E: np.ndarray  # of the class that was predicted without a change
    donor_rows: list[str]

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

    def are_alike(self, donors: DonorPredictions, class_B: Sequence[int]) -> np.ndarray:
        """Whether the model predicts the same class for the donor's picture as for the image."""
        donor_E = np.array([donors.index[name] for name in self.donor_rows], np.int64)
        alike_E: np.ndarray = donors.prediction_N[donor_E] == np.asarray(class_B)[self.image_E]
        return alike_E

    def mean(self, value_E: np.ndarray, chosen_E: np.ndarray) -> np.ndarray:
        """(B,): over the chosen exchanges of each image; NaN without one."""
        image_e = self.image_E[chosen_E]
        count_B = np.bincount(image_e, minlength=self.images)
        total_B = np.bincount(image_e, value_E[chosen_E].astype(float), self.images)
        return np.where(count_B > 0, total_B / np.maximum(count_B, 1), np.nan)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.to_numpy().astype(np.float64)
    return floats
