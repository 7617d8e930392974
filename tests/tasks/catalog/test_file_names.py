"""Names of any characters, on disk and in fsspec's memory, in every form of dataset."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from PIL import Image

from models.addresses import as_path
from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample
from tasks.storage.files import join

CLASSES = ("cat", "owl")
STEMS = (
    *("plain", "with space", 'a "quote"', "a,comma", "two\nlines", "hash#tag", "per%20cent"),
    *("what?", "schön_写真", "semi;colon", "[brackets]", "star*", "a.dotted.name"),
)


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path)
        return
    folder = f"memory://inputs-{uuid4().hex}"
    yield folder
    fsspec.filesystem("memory").store.clear()


def put(address: str, content: bytes | str) -> None:
    system, path = fsspec.core.url_to_fs(address) if "://" in address else (None, address)
    if system is None:
        as_path(path).parent.mkdir(parents=True, exist_ok=True)
        as_path(path).write_bytes(content if isinstance(content, bytes) else content.encode())
    else:
        system.pipe_file(path, content if isinstance(content, bytes) else content.encode())


def png(value: int = 90, marked: bool = False) -> bytes:
    pixels_HW = np.full((8, 8), 0 if marked else value, np.uint8)
    if marked:
        pixels_HW[:4] = value
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG")
    return file.getvalue()


def check_all_read(data: DataSettings, images: int, area: float = 0.5) -> None:
    """Each row is a picture whose foreground covers this share."""
    catalog = make_catalog(data, CLASSES)
    assert len(catalog) == images
    assert check_catalog(catalog, data) == []
    preprocessing = Preprocessing(resize=(8, 8), crop=(8, 8))
    for row in rows_of(catalog):
        sample = read_sample(row, preprocessing, MaskReading("foreground", "upright"))
        assert isinstance(sample, Sample), sample
        assert sample.failure is None
        assert sample.mask_HW is not None, row
        assert float((sample.mask_HW > 0).float().mean()) == area


def test_any_name_survives_folders_and_pairing(root: str) -> None:
    for stem in STEMS:
        put(join(root, f"photos/cat/{stem}.png"), png())
        put(join(root, f"masks/cat/{stem}.png"), png(255, marked=True))
    data = DataSettings(path=join(root, "photos"), masks=join(root, "masks"))
    check_all_read(data, len(STEMS))


def test_any_name_survives_a_csv(root: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(
        [("file_name", "mask"), *((f"{stem}.png", f"masks/{stem}.png") for stem in STEMS)]
    )
    put(join(root, "t.csv"), text.getvalue())
    for stem in STEMS:
        put(join(root, f"{stem}.png"), png())
        put(join(root, f"masks/{stem}.png"), png(255, marked=True))
    check_all_read(DataSettings(path=join(root, "t.csv")), len(STEMS))


def test_any_name_survives_jsonl_and_coco(root: str) -> None:
    names = [f"{stem}.png" for stem in STEMS]
    for name in names:
        put(join(root, f"photos/{name}"), png())
    put(join(root, "t.jsonl"), "\n".join(json.dumps({"file_name": name}) for name in names))
    box = {"category_id": 1, "bbox": [0, 0, 8, 4]}
    content = {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(names)],
        "annotations": [{"image_id": at, **box} for at in range(len(names))],
        "categories": [{"id": 1, "name": "cat"}],
    }
    put(join(root, "instances.json"), json.dumps(content))
    photos, annotations = join(root, "photos"), join(root, "instances.json")
    check_all_read(DataSettings(path=annotations, images=photos), len(names))
    check_all_read(DataSettings(path=photos, annotations=annotations), len(names))
    table = join(root, "t.jsonl")
    check_all_read(DataSettings(path=table, images=photos, annotations=annotations), len(names))


def test_mapping_files_lie_anywhere(root: str) -> None:
    put(join(root, "photos/katze/1.png"), png())
    put(join(root, "masks/katze/1.png"), png(7, marked=True))
    put(join(root, "labels.csv"), "katze,cat\n")
    put(join(root, "values.json"), '{"katze": 7}')
    data = DataSettings(
        path=join(root, "photos"),
        masks=join(root, "masks"),
        labels=join(root, "labels.csv"),
        mask_values=join(root, "values.json"),
    )
    assert make_catalog(data, CLASSES)["mask_values"].to_pylist() == [[7]]
    check_all_read(data, 1)


def test_a_folder_of_masks_is_one_foreground(root: str) -> None:
    put(join(root, "photos/cat/1.png"), png())
    top_HW, left_HW = np.zeros((2, 8, 8), np.uint8)
    top_HW[:2], left_HW[:, :2] = 1, 1
    for name, mask_HW in (("masks/cat/1/top.png", top_HW), ("masks/cat/1/left.png", left_HW)):
        file = io.BytesIO()
        Image.fromarray(mask_HW).save(file, "PNG")
        put(join(root, name), file.getvalue())
    data = DataSettings(path=join(root, "photos"), masks=join(root, "masks"))
    assert [len(masks) for masks in make_catalog(data, CLASSES)["masks"].to_pylist()] == [2]
    check_all_read(data, 1, area=28 / 64)


def test_split_folders_tables_and_voc_lie_anywhere(root: str) -> None:
    put(join(root, "layout/train/1.png"), png())
    put(join(root, "layout/test/2.png"), png())
    put(join(root, "layout/test/metadata.csv"), "file_name,x,y,w,h\n2.png,0,0,8,4\n")
    columns = ("x", "y", "w", "h")
    check_all_read(DataSettings(path=join(root, "layout"), split="test", box_columns=columns), 1)
    put(join(root, "voc/JPEGImages/a.jpg"), png())
    put(join(root, "voc/SegmentationClass/a.png"), png(8, marked=True))
    put(join(root, "voc/ImageSets/Segmentation/val.txt"), "a\n")
    put(join(root, "voc/Annotations/a.xml"), "<a><object><name>cat</name></object></a>")
    check_all_read(DataSettings(path=join(root, "voc"), split="val"), 1)


def test_a_missing_dataset_is_refused(root: str) -> None:
    with pytest.raises(UserError, match="not found: give a folder of images"):
        make_catalog(DataSettings(path=join(root, "nowhere")), CLASSES)
