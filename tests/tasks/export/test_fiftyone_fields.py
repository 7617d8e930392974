"""The documents of a FiftyOne dataset. FiftyOne itself opens one in test_real_tools.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.export.fiftyone_fields import TAKEN, name_fields
from tasks.query.columns import Column
from tasks.query.database import image_table
from tasks.runs.reader import Run
from tests.tasks.export.conftest import Export


def test_names_of_fields_are_plain_distinct_and_nobody_elses() -> None:
    theirs = ["a.b", "a_b", "a b", "save", "_cls", "$x", "1st", "ground_truth", "map", "flag", "雪"]
    columns = [Column(name, "text", "", own=True) for name in ("row_id", "label", "flag")]
    columns += [Column(name, "text", "", own=False) for name in theirs if name != "flag"]
    columns += [Column("catalog.flag", "text", "", own=False)]
    fields = name_fields(columns)
    assert (fields["label"], fields["flag"]) == ("ground_truth", "flag")
    assert len(set(fields.values())) == len(columns)
    for field in fields.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", field)
        assert field not in TAKEN | {"map", "foreground_mask"}


def test_a_sample_has_labels_files_and_every_value(export: Export, hostile_run: Run) -> None:
    folder = export("fiftyone")
    samples = json.loads((folder / "samples.json").read_text("utf-8"))["samples"]
    rows = image_table(hostile_run).to_pylist()
    fields = _fields(folder)
    for sample, row in zip(samples, rows, strict=True):
        assert sample["filepath"] == row["image"]
        assert sample["ground_truth"]["label"] == row["label"]
        assert sample["prediction"]["label"] == row["prediction"]
        assert sample["prediction"]["confidence"] == row["confidence"]
        assert sample["a_b_c"] == row["a.b$c"]
        assert sample["save_2"] == row["save"]
        mask = np.asarray(Image.open(folder / sample["foreground_mask"]["mask_path"]))
        assert ((mask == 255) == (np.asarray(Image.open(row["mask"])) > 0)).all()
        assert set(sample) - {"_id", "_media_type", "_rand"} <= fields.keys()


def test_a_heatmap_is_the_map_where_the_model_looked(export: Export, hostile_run: Run) -> None:
    """The benchmark's model sees pictures whole, so that enlarging the map is enough."""
    folder = export("fiftyone")
    samples = json.loads((folder / "samples.json").read_text("utf-8"))["samples"][:8]
    method = hostile_run.summary().rule.method
    row_ids = [sample["row_id"] for sample in samples]
    maps = hostile_run.maps(row_ids, method, (64, 64))
    for sample in samples:
        heat_HW = np.asarray(Image.open(folder / sample["map"]["map_path"])) / 255
        map_HW = abs(maps[sample["row_id"]])
        largest = abs(hostile_run.maps([sample["row_id"]], method)[sample["row_id"]]).max()
        np.testing.assert_allclose(heat_HW, map_HW / largest, atol=0.02)


def test_the_same_image_keeps_its_id(export: Export, tmp_path: Path) -> None:
    first = (export("fiftyone") / "samples.json").read_text("utf-8")
    (tmp_path / "fiftyone").rename(tmp_path / "before")
    assert (export("fiftyone") / "samples.json").read_text("utf-8") == first


def _fields(folder: Path) -> dict[str, str]:
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    return {field["name"]: field["ftype"] for field in metadata["sample_fields"]}
