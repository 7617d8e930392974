"""The gallery shows the strongest flags, or, without flags, the least confident predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from models.interventions import predict
from tasks import schema
from tasks.catalog.settings import DataSettings
from tasks.runs.folder import RunFolder
from tasks.summary.examples import SHOWN, examples_of
from tests.support.audits import run_audit


@pytest.fixture(scope="module")
def examples(finished_run: RunFolder) -> list[schema.Example]:
    return examples_of(finished_run, "grad_cam_pp")


def test_the_strongest_flags_come_first(
    finished_run: RunFolder, examples: list[schema.Example]
) -> None:
    flags = pq.read_table(finished_run.flags).to_pandas()
    flagged = flags[flags["flag"] == "rests_on_background"].sort_values("score", ascending=False)
    assert len(examples) == min(SHOWN, len(flagged)) > 0
    assert [example.score for example in examples] == list(flagged["score"][:SHOWN])
    for example in examples:
        assert example.picture_HW3.shape == (64, 64, 3)
        assert example.map_HW.shape == (64, 64)
        assert example.mask_HW is not None
        assert 0.05 < example.mask_HW.mean() < 0.4
        assert example.foreground == "annotated"


def test_changed_pictures_are_those_that_were_predicted(
    finished_run: RunFolder, bundle: Path, examples: list[schema.Example]
) -> None:
    """The network says of each redrawn picture what the run has written down."""
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    for example in examples:
        index = classifier.classes.index(example.prediction)
        pictures_SHW3 = np.stack([change.picture_HW3 for change in example.changes])
        picture_SCHW = torch.from_numpy(pictures_SHW3).permute(0, 3, 1, 2)
        found_SK = predict(classifier.network, classifier.preprocessing.normalise(picture_SCHW))
        told_S = [change.probability for change in example.changes]
        # uint8 pictures are rounded, and the network is sharp: within some points
        np.testing.assert_allclose(found_SK[:, index], told_S, atol=0.05)
        sure_S = found_SK.topk(2).values.diff(dim=1).abs()[:, 0] > 0.1
        for change, found, sure in zip(example.changes, found_SK.argmax(1), sure_S, strict=True):
            assert change.prediction == classifier.classes[found] or not sure


def test_changes_are_in_order_with_the_donors_they_are_from(
    finished_run: RunFolder, examples: list[schema.Example]
) -> None:
    rows = pq.read_table(finished_run.path / "interventions").to_pylist()
    by_row = {row["row_id"]: row for row in rows}
    donors = pq.read_table(finished_run.donors, columns=["row_id", "label"]).to_pylist()
    labels = {donor["row_id"]: donor["label"] for donor in donors}
    for example in examples:
        row, (removed, alone, *exchanges) = by_row[example.row_id], example.changes
        assert (removed.change, alone.change) == ("object_removed", "background_removed")
        assert [change.donor for change in exchanges] == row["donors"]
        assert [change.probability for change in exchanges] == row["exchanged"]
        for change in exchanges:
            assert change.change == "exchanged"
            assert change.donor_label == labels[change.donor]
            assert change.same_class == (change.donor_label == example.label)


def test_the_object_stays_and_the_background_goes(examples: list[schema.Example]) -> None:
    example = examples[0]
    removed, alone, exchanged, *_ = example.changes
    assert example.mask_HW is not None
    inside, outside = example.mask_HW, ~example.mask_HW
    for change in (alone, exchanged):
        assert abs(change.picture_HW3[inside].astype(int) - example.picture_HW3[inside]).max() <= 1
    assert abs(removed.picture_HW3[outside].astype(int) - example.picture_HW3[outside]).max() <= 1
    assert len(np.unique(removed.picture_HW3[inside].reshape(-1, 3), axis=0)) == 1  # one colour
    assert len(np.unique(alone.picture_HW3[outside].reshape(-1, 3), axis=0)) == 1


def test_a_run_without_interventions_shows_none(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    run.donors.unlink()
    examples = examples_of(run, "grad_cam_pp")
    assert examples
    assert not any(example.changes for example in examples)


def test_without_flags_the_least_confident_are_shown(
    benchmark_folder: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(benchmark_folder / "images/test", tmp_path / "flat")
    run = run_audit(
        tmp_path / "run",
        DataSettings(path=str(tmp_path / "flat")),
        ModelSettings(address=str(bundle)),
    )
    examples = examples_of(run, "grad_cam")
    assert len(examples) == SHOWN
    confidences = [example.confidence for example in examples]
    everyone = pq.read_table(run.path / "predictions")["confidence"].to_numpy()
    np.testing.assert_allclose(confidences, np.sort(everyone)[:SHOWN])
    assert all(example.mask_HW is None for example in examples)
    assert not any(example.changes for example in examples)


def test_a_picture_that_went_away_is_left_out(finished_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "run")))
    gone = examples_of(run, "grad_cam_pp")[0].row_id
    catalog = pq.read_table(run.catalog)
    images = [
        "nowhere.png" if row_id == gone else image
        for row_id, image in zip(
            *(catalog[n].to_pylist() for n in ("row_id", "image")), strict=True
        )
    ]
    column = catalog.column_names.index("image")
    pq.write_table(catalog.set_column(column, "image", [images]), run.catalog, row_group_size=40)
    assert gone not in [example.row_id for example in examples_of(run, "grad_cam_pp")]
