"""Interventions of a run, computed again one image at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from models.classifier.classifier import Classifier, load_classifier
from models.interventions import exchange_background, predict, remove_background, remove_object
from models.moves import MOVES
from models.network.capture import capture
from models.network.features import pool as pool_cells
from models.network.features import project
from tasks import schema
from tasks.attribution.job import read_shard, reader_of
from tasks.interventions.donors import DonorPool, read_donors
from tasks.interventions.intervene import Interventions, Subjects, draw_moves
from tasks.interventions.pool_files import donor_digest
from tasks.interventions.settings import InterventionSettings
from tasks.pictures.rows import Row, rows_of
from tasks.pictures.samples import Sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run


@pytest.fixture(scope="module")
def classifier(finished_run: RunFolder) -> Classifier:
    model = finished_run.read_state().model
    assert model is not None
    return load_classifier(model)


def test_every_column_is_what_its_name_says(
    finished_run: RunFolder, classifier: Classifier
) -> None:
    read = reader_of(finished_run.read_state().identity, ForegroundSettings())
    pool = read_donors(finished_run, (64, 64), "mean", donor_digest(finished_run))
    part = {
        row["row_id"]: row
        for row in pq.read_table(finished_run.part("interventions", 0)).to_pylist()
    }
    predicted = {
        row["row_id"]: row for row in pq.read_table(finished_run.part("predictions", 0)).to_pylist()
    }
    for row in rows_of(read_shard(finished_run, 0))[:6]:
        sample, kept = read(row), part[row.row_id]
        assert isinstance(sample, Sample)
        assert sample.mask_HW is not None
        image_1CHW = classifier.preprocessing.normalise(sample.picture_CHW[None])
        mask_1HW = sample.mask_HW[None] / 255
        target = classifier.classes.index(predicted[row.row_id]["prediction"])
        changes = [remove_object(image_1CHW, mask_1HW), remove_background(image_1CHW, mask_1HW)]
        own_1CHW = changes[0]
        for way in kept["moved_ways"]:
            changes.append(exchange_background(image_1CHW, mask_1HW, MOVES[way].apply(own_1CHW)))
        for name in kept["donors"]:
            background_CHW = pool.background_NCHW[pool.row_ids.index(name)]
            other_1CHW = classifier.preprocessing.normalise(background_CHW[None])
            changes.append(exchange_background(image_1CHW, mask_1HW, other_1CHW))
        outcomes = [predict(classifier.network, image_1CHW)[0] for image_1CHW in changes]
        probabilities = [float(probability_K[target]) for probability_K in outcomes]
        classes = [classifier.classes[int(probability_K.argmax())] for probability_K in outcomes]
        removed, alone, *pasted = probabilities
        seen = capture(classifier.network, classifier.grid, own_1CHW)
        features_1F = project(pool_cells(seen.activation_BDhw))
        assert kept["object_removed_features"] == pytest.approx(features_1F[0].tolist(), abs=2e-3)
        removals = [kept["object_removed"], kept["background_removed"]]
        found = [*removals, *kept["moved"], *kept["exchanged"]]
        assert found == pytest.approx(probabilities, abs=1e-4)
        assert [
            kept["object_removed_prediction"],
            kept["background_removed_prediction"],
            *kept["moved_predictions"],
            *kept["exchanged_predictions"],
        ] == classes
        moves = InterventionSettings().moves
        assert len(set(kept["moved_ways"])) == len(kept["moved"]) == moves
        on_own, on_donors = pasted[:moves], pasted[moves:]
        assert kept["reliance_removal"] == pytest.approx(removed - alone, abs=1e-4)
        others = [p for p, same in zip(on_donors, kept["same_class"], strict=True) if not same]
        reliance = predicted[row.row_id]["confidence"] - np.mean(others)
        assert kept["reliance_exchange"] == pytest.approx(reliance, abs=1e-4)
        flips = [
            name != predicted[row.row_id]["prediction"]
            for name, same in zip(classes[2 + moves :], kept["same_class"], strict=True)
            if not same
        ]
        assert kept["flips"] == pytest.approx(np.mean(flips))
        lost = predicted[row.row_id]["confidence"] - np.mean(on_own)
        assert kept["reliance_own"] == pytest.approx(lost, abs=1e-4)
        changed = [name != predicted[row.row_id]["prediction"] for name in classes[2 : 2 + moves]]
        assert kept["flips_own"] == pytest.approx(np.mean(changed))
        assert kept["same_class"] == [
            pool.labels[pool.row_ids.index(name)] == row.label for name in kept["donors"]
        ]


def subjects(*masks: torch.Tensor) -> Subjects:
    samples = [
        Sample(Row(str(number), "", None), str(number), torch.zeros(3, 8, 8), None)
        for number in range(len(masks))
    ]
    image_BCHW = torch.randn(len(masks), 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits_BK = torch.tensor([[1.0, 0.0]]).repeat(len(masks), 1)
    return Subjects(samples, image_BCHW, torch.stack(masks), logits_BK)


def test_ways_to_move_are_drawn_by_seed_and_key_alone() -> None:
    """Distinct ones for each image, all of them in turn, and the first of more are the same."""
    settings = InterventionSettings()
    drawn = [draw_moves(str(number), settings) for number in range(300)]
    assert drawn == [draw_moves(str(number), settings) for number in range(300)]
    assert all(len(set(ways)) == 2 for ways in drawn)
    counts = Counter(way for ways in drawn for way in ways)
    assert counts.keys() == MOVES.keys()
    assert min(counts.values()) > 60
    more = [draw_moves(str(number), InterventionSettings(moves=6)) for number in range(300)]
    assert [ways[:2] for ways in more] == drawn
    assert all(set(ways) == MOVES.keys() for ways in more)
    others = [draw_moves(str(number), InterventionSettings(donor_seed=1)) for number in range(300)]
    assert others != drawn


def test_these_moves_are_frozen() -> None:
    """So that models are compared on the same pictures, also across versions of the code."""
    assert draw_moves("a picture.jpg", InterventionSettings()) == (
        "a third right, mirrored",
        "half a side down",
    )


def test_no_more_moves_are_asked_for_than_there_are() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 6"):
        InterventionSettings(moves=len(MOVES) + 1)
    assert InterventionSettings(moves=len(MOVES)).moves == 6


def test_moves_are_part_of_the_identity() -> None:
    identities = [InterventionSettings(moves=moves).identity for moves in (0, 1, 2)]
    assert len({str(identity) for identity in identities}) == 3


def test_only_foregrounds_that_leave_something_are_changed() -> None:
    half_HW = torch.zeros(8, 8)
    half_HW[:4] = 1
    decidable = subjects(
        half_HW, torch.zeros(8, 8), torch.ones(8, 8), torch.full((8, 8), torch.nan)
    ).decidable()
    assert [sample.row.row_id for sample in decidable.samples] == ["0"]
    assert len(decidable.image_BCHW) == 1


def test_what_is_filled_in_around_an_estimate_must_leave_something_too() -> None:
    """Of a picture without any background left, nothing could be filled in."""
    most_HW = torch.zeros(100, 100)
    most_HW[:90] = 1
    both = subjects(most_HW, most_HW)
    guessed = replace(both.samples[1], estimated=True)
    decidable = replace(both, samples=[both.samples[0], guessed]).decidable()
    assert [sample.row.row_id for sample in decidable.samples] == ["0"]


def test_logits_that_are_not_finite_are_failures(classifier: Classifier) -> None:
    """Not a probability of NaN that a table would keep."""
    none_NCHW = torch.zeros(0, 3, 64, 64, dtype=torch.uint8)
    empty = DonorPool((), (), (), none_NCHW, none_NCHW, none_NCHW[:, 0])
    half_HW = torch.zeros(64, 64)
    half_HW[:32] = 1
    sample = Sample(Row("a", "", None), "a", torch.zeros(3, 64, 64), None)
    image_BCHW = torch.full((1, 3, 64, 64), torch.inf)
    subject = Subjects([sample], image_BCHW, half_HW[None], torch.zeros(1, 4))
    rows, failures = Interventions(InterventionSettings(), empty).apply(classifier, subject)
    assert rows.num_rows == 0
    assert [(failure.row_id, failure.stage) for failure in failures] == [("a", "interventions")]


def test_without_donors_the_object_and_the_background_are_still_removed(
    classifier: Classifier,
) -> None:
    none_NCHW = torch.zeros(0, 3, 64, 64, dtype=torch.uint8)
    empty = DonorPool((), (), (), none_NCHW, none_NCHW, none_NCHW[:, 0])
    half_HW = torch.zeros(64, 64)
    half_HW[:32] = 1
    sample = Sample(Row("a", "", "fish"), "a", torch.zeros(3, 64, 64), None)
    subject = Subjects([sample], torch.randn(1, 3, 64, 64), half_HW[None], torch.zeros(1, 4))
    rows, failures = Interventions(InterventionSettings(), empty).apply(classifier, subject)
    assert failures == []
    assert rows.schema == schema.INTERVENTIONS
    (row,) = rows.to_pylist()
    assert (row["donors"], row["reliance_exchange"], row["flips"]) == ([], None, None)
    assert len(row["moved"]) == 2  # which needs no donor
    assert row["flips_own"] is not None
    assert 0 <= row["object_removed"] <= 1


def test_dataset_figures_are_those_of_the_rows(finished_run: RunFolder) -> None:
    """Computed again with loops."""
    run = open_run(finished_run.path)
    evidence = run.summary().evidence
    assert evidence is not None
    across, within, clean, alone = [], [], [], []
    rows = [
        (prediction, change)
        for shard in run.shards
        for prediction, change in match_rows(run, shard)
    ]
    for prediction, change in rows:
        correct = [name == prediction["label"] for name in change["exchanged_predictions"]]
        pairs = list(zip(correct, change["same_class"], strict=True))
        across.append(np.mean([is_correct for is_correct, same in pairs if not same]))
        within.append(np.mean([is_correct for is_correct, same in pairs if same]))
        clean.append(prediction["correct"])
        alone.append(change["object_removed_prediction"] == prediction["label"])
    assert evidence.images == len(rows) == 64
    for figure, values in (
        (evidence.accuracy_across, across),
        (evidence.accuracy_within, within),
        (evidence.accuracy, clean),
        (evidence.accuracy_background_alone, alone),
        (evidence.class_gap, np.subtract(within, across)),
        (evidence.reliance_removal, [change["reliance_removal"] for _, change in rows]),
        (run.summary().figures["flips_own"], [change["flips_own"] for _, change in rows]),
        (run.summary().figures["reliance_own"], [change["reliance_own"] for _, change in rows]),
    ):
        assert figure is not None
        assert figure.value == pytest.approx(np.mean(values), abs=1e-5)
        assert figure.low <= figure.value <= figure.high
        half = 1.96 * np.std(values) / 8
        assert figure.high - figure.low == pytest.approx(2 * half, rel=0.15)


def match_rows(run: Run, shard: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    predicted, changed = (run.part(stage, shard) for stage in ("predictions", "interventions"))
    assert predicted is not None
    assert changed is not None
    predictions = {row["row_id"]: row for row in predicted.to_pylist()}
    return [(predictions[change["row_id"]], change) for change in changed.to_pylist()]
