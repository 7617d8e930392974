"""Pictures that are made again are those that the run's network saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pyarrow import csv

from models.classifier.classifier import load_classifier
from models.classifier.settings import ModelSettings
from models.interventions import predict
from tasks.attribution.settings import AuditRequest
from tasks.attribution.shown_images import ShownImages
from tasks.catalog.settings import DataSettings
from tasks.pictures.settings import ForegroundSettings
from tasks.runs import open_run
from tasks.runs.folder import RunFolder
from tasks.runs.stages import INTERVENTIONS, PREDICTIONS
from tests.support.audits import run_audit


def redrawn(images: ShownImages) -> Iterator[tuple[np.ndarray, str, float]]:
    """Every changed picture, the class predicted without the change, and its probability now."""
    pool, redraw = images.donors(), images.redraw
    assert pool is not None
    predictions = images.part_rows(PREDICTIONS)
    for row_id, row in images.part_rows(INTERVENTIONS).items():
        sample = images.sample(row_id)
        assert sample is not None
        prediction = predictions[row_id]["prediction"]
        yield redraw.without_object(sample), prediction, row["object_removed"]
        yield redraw.without_background(sample), prediction, row["background_removed"]
        for way, probability in zip(row["moved_ways"], row["moved"], strict=True):
            yield redraw.moved(sample, way), prediction, probability
        for donor, probability in zip(row["donors"], row["exchanged"], strict=True):
            yield redraw.exchanged(sample, pool, donor), prediction, probability


def test_the_network_says_of_each_what_the_run_wrote_down(
    finished_run: RunFolder, bundle: Path
) -> None:
    check_redrawn(finished_run, bundle)


def test_it_does_so_of_estimated_foregrounds(
    tmp_path: Path, benchmark_folder: Path, bundle: Path
) -> None:
    """Around which more is filled in, of an image and of its donors."""
    marked = csv.read_csv(str(benchmark_folder / "metadata.csv"))
    csv.write_csv(marked.drop_columns(["mask"]), str(tmp_path / "unmarked.csv"))
    images = {"images": str(benchmark_folder), "split": "test"}
    data = DataSettings(path=str(tmp_path / "unmarked.csv"), **images)
    asked = AuditRequest(data, foreground=ForegroundSettings(source="estimate"))
    run = run_audit(tmp_path / "run", data, ModelSettings(address=str(bundle)), asked=asked)
    check_redrawn(run, bundle)


def check_redrawn(run: RunFolder, bundle: Path) -> None:
    classifier = load_classifier(ModelSettings(address=str(bundle)))
    pictures, names, told = zip(*redrawn(ShownImages(open_run(run.path))), strict=True)
    picture_SCHW = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    found_SK = predict(classifier.network, classifier.preprocessing.normalise(picture_SCHW))
    index_S = [classifier.classes.index(name) for name in names]
    found_S = found_SK[torch.arange(len(told)), index_S].numpy()
    assert len(told) > 64 * 5
    # uint8 pictures are rounded, and the network is sharp: within some points
    np.testing.assert_allclose(found_S, told, atol=0.05)
    assert np.corrcoef(found_S, told)[0, 1] > 0.999
