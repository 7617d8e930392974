"""What the interventions show over a whole dataset, with bootstrap intervals over images.

Shapes: B images of a shard, F figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.attribution.donor_predictions import DonorPredictions, read_donor_predictions
from tasks.flags.exchanges import Exchanges
from tasks.flags.sure_estimates import sure_rows
from tasks.intervals.bootstrap import bootstrap_means
from tasks.runs.reader import Run, join
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS
from tasks.schema import ENOUGH, Interval

COLUMNS = ("label", "prediction", "confidence")
FIGURES = (
    *("flips_effect", "flips_across", "flips_within"),
    *("reliance_removal", "reliance_effect", "reliance_across", "reliance_within"),
    *("accuracy", "accuracy_within", "accuracy_across", "class_gap"),
    *("accuracy_background_alone", "accuracy_object_alone"),
)
OF_ENOUGH = ("flips_within", "reliance_within")  # with many classes hardly any donor is alike


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
    figures = dict(zip(FIGURES, bootstrap_means(value_NF), strict=True))
    for name in OF_ENOUGH:
        figure = figures[name]
        figures[name] = figure if figure is not None and figure.of >= ENOUGH else None
    return len(value_NF), figures


def _read_tables(run: Run, least: float) -> Iterator[pa.Table]:
    """Interventions with label and prediction, shard by shard."""
    for shard in run.shards:
        predictions = run.part(PREDICTIONS, shard, ["row_id", *COLUMNS])
        interventions = run.part(INTERVENTIONS, shard)
        if predictions is not None and interventions is not None:
            interventions = sure_rows(run, shard, interventions, least)
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
    class_B = np.array([index_of[name] for name in prediction], np.int64)
    exchanges = Exchanges.of(table, class_B, donors)
    same_E = np.array(pc.list_flatten(table["same_class"].combine_chunks()), bool)
    predicted_E = np.array(
        table["exchanged_predictions"].combine_chunks().flatten().to_pylist(), object
    )
    alike, other = exchanges.alike_E, exchanges.other_E
    lost_E = _floats(table["confidence"])[exchanges.image_E] - exchanges.probability_E
    flipped = predicted_E != prediction[exchanges.image_E]
    right = predicted_E == label[exchanges.image_E]
    within_B = np.where(labelled, exchanges.mean(right, same_E), np.nan)
    across_B = np.where(labelled, exchanges.mean(right, ~same_E), np.nan)
    columns = [
        exchanges.mean(flipped, other) - _floats(table["flips_own"]),
        exchanges.mean(flipped, ~alike),
        exchanges.mean(flipped, alike),
        _floats(table["reliance_removal"]),
        exchanges.mean(lost_E, other) - _floats(table["reliance_own"]),
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


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    floats: np.ndarray = column.to_numpy().astype(np.float64)
    return floats
