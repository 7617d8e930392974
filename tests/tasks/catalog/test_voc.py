"""A Pascal VOC folder is recognised, with its splits, palette masks and objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.classifier.preprocessing import Preprocessing
from models.errors import NothingToAudit, UserError
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample
from tests.support.voc_dataset import write_voc

CLASSES = ("bird", "cat")


def test_masks_labels_and_splits_come_from_their_folders(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2012")
    data = DataSettings(path=str(root), split="val")
    catalog = make_catalog(data, CLASSES)
    assert catalog["label"].to_pylist() == ["cat", None]
    assert catalog["masks"].to_pylist() == [
        [str(root / "SegmentationClass" / f"2007_{number}.png")] for number in (1, 2)
    ]
    assert catalog["mask_values"].to_pylist() == [[8], list(range(1, 21))]
    assert check_catalog(catalog, data) == []
    assert len(make_catalog(DataSettings(path=str(root)), CLASSES)) == 3


def test_the_mask_is_of_the_labels_class_without_the_void(tmp_path: Path) -> None:
    data = DataSettings(path=str(write_voc(tmp_path)))
    preprocessing = Preprocessing(resize=(8, 8), crop=(8, 8))
    marked = []
    for row in rows_of(make_catalog(data, CLASSES)):
        sample = read_sample(row, preprocessing, MaskReading("foreground", "upright"))
        assert isinstance(sample, Sample)
        assert sample.mask_HW is not None
        marked.append(np.flatnonzero(sample.mask_HW.numpy().any(1)).tolist())
    assert marked == [[1, 2], [1, 2, 5, 6], [5, 6]]


def test_own_values_override_the_datasets(tmp_path: Path) -> None:
    data = DataSettings(path=str(write_voc(tmp_path)), mask_values="nonzero")
    assert make_catalog(data, CLASSES)["mask_values"].null_count == 3


def test_without_objects_there_are_no_labels(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    for file in (root / "Annotations").iterdir():
        file.unlink()
    assert make_catalog(DataSettings(path=str(root)), CLASSES)["label"].null_count == 3
    (root / "Annotations").rmdir()
    assert make_catalog(DataSettings(path=str(root)), CLASSES)["label"].null_count == 3


def test_errors_are_one_line(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    with pytest.raises(UserError, match=r"no split 'vall' \(did you mean 'val'\?\)"):
        make_catalog(DataSettings(path=str(root), split="vall"), CLASSES)
    with pytest.raises(NothingToAudit, match="holds no images of train"):
        make_catalog(DataSettings(path=str(root), split="train"), CLASSES)
    (root / "Annotations/2007_1.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"2007_1.xml is not XML at line 1, column 12"):
        make_catalog(DataSettings(path=str(root)), CLASSES)
