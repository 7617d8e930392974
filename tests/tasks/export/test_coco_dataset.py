"""COCO's JSON, opened with pycocotools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tasks.query.database import image_table
from tasks.runs.reader import Run
from tests.tasks.export.conftest import Export


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_pycocotools_reads_images_classes_and_foregrounds(
    export: Export, hostile_run: Run, benchmark_folder: Path
) -> None:
    dataset = COCO(str(export("coco") / "annotations.json"))
    table = image_table(hostile_run)
    assert [image["sightline"] for image in dataset.dataset["images"]] == table.to_pylist()
    assert len(dataset.anns) == 64
    for annotation in dataset.anns.values():
        image = dataset.imgs[annotation["image_id"]]
        row = image["sightline"]
        assert dataset.cats[annotation["category_id"]]["name"] == row["label"]
        mask = np.asarray(Image.open(row["mask"])) > 0
        assert (image["height"], image["width"]) == mask.shape
        assert (dataset.annToMask(annotation) == mask).all()
        assert annotation["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns.min(), rows.min())
        assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_predictions_are_results_of_the_whole_picture(export: Export, hostile_run: Run) -> None:
    folder = export("coco")
    dataset = COCO(str(folder / "annotations.json"))
    results = dataset.loadRes(str(folder / "predictions.json"))
    table = image_table(hostile_run)
    said = [dataset.cats[it["category_id"]]["name"] for it in results.anns.values()]
    assert said == table["prediction"].to_pylist()
    scores = [it["score"] for it in results.anns.values()]
    assert scores == table["confidence"].to_pylist()
    assert all(it["area"] == 64 * 64 for it in results.anns.values())


def test_copied_pictures_are_the_originals(export: Export, hostile_run: Run) -> None:
    folder = export("coco", copy_images=True)
    images = COCO(str(folder / "annotations.json")).imgs.values()
    assert len(list((folder / "images").rglob("*.png"))) == 64
    for image in images:
        original = Path(image["sightline"]["image"])
        assert (folder / image["file_name"]).read_bytes() == original.read_bytes()
