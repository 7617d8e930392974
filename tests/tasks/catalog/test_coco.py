"""COCO's annotations: of a folder or a table, or as the dataset itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from models.classifier.preprocessing import Preprocessing
from models.errors import NothingToAudit, UserError
from tasks.catalog.catalog import check_catalog, foreground_source, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.pictures.rows import rows_of
from tasks.pictures.samples import MaskReading, Sample, read_sample

CLASSES = ("cat", "owl")
SQUARE = [2, 2, 6, 2, 6, 6, 2, 6]
CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 9, "name": "owl"}, {"id": 11, "name": "tree"}]


def thing(image: int, category: int, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "iscrowd": 0, **more}


def write(path: Path, names: list[str], annotations: list[dict[str, Any]]) -> Path:
    images = [{"id": 100 + at, "file_name": name} for at, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content))
    return path


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def regions(data: DataSettings) -> list[Any]:
    texts = make_catalog(data, CLASSES)["regions"].to_pylist()
    return [None if text is None else json.loads(text) for text in texts]


def test_the_foreground_is_the_union_of_the_labels_instances(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", "cat/1.png", "owl/2.png")
    marked = np.zeros((8, 8), np.uint8, order="F")
    marked[:, 4:] = 1
    runs = coco_mask.encode(marked)
    path = write(
        tmp_path / "instances.json",
        ["cat/1.png", "owl/2.png"],
        [
            thing(100, 7, segmentation=[SQUARE], bbox=[2, 2, 4, 4]),
            thing(100, 7, bbox=[0, 7, 8, 1]),
            thing(100, 11, bbox=[0, 0, 8, 8]),
            thing(100, 7, segmentation={"counts": [0, 8, 56], "size": [8, 8]}, iscrowd=1),
            thing(101, 9, segmentation={"counts": runs["counts"].decode(), "size": [8, 8]}),
        ],
    )
    data = DataSettings(path=str(folder), annotations=str(path))
    catalog = make_catalog(data, CLASSES)
    assert foreground_source(catalog) == "annotated"
    assert check_catalog(catalog, data) == []
    preprocessing = Preprocessing(resize=(8, 8), crop=(8, 8))
    samples = [
        read_sample(row, preprocessing, MaskReading("foreground", "upright"))
        for row in rows_of(catalog)
    ]
    expected = np.zeros((2, 8, 8), bool)
    expected[0, 2:6, 2:6] = expected[0, 7] = expected[0, :, 0] = True
    expected[1] = marked
    for sample, mask_HW in zip(samples, expected, strict=True):
        assert isinstance(sample, Sample)
        assert sample.mask_HW is not None
        assert np.array_equal(sample.mask_HW.numpy() > 0, mask_HW)


def test_an_image_without_instances_of_its_label_has_no_foreground(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", "cat/1.png", "cat/2.png", "cat/3.png")
    annotations = [thing(100, 9, bbox=[1, 1, 2, 2]), thing(101, 7, bbox=[1, 1, 2, 2])]
    path = write(tmp_path / "i.json", ["cat/1.png", "cat/2.png"], annotations)
    data = DataSettings(path=str(folder), annotations=str(path))
    assert regions(data) == [None, [{"box": [1, 1, 2, 2]}], None]
    assert foreground_source(make_catalog(data, CLASSES)) == "box"


def test_images_without_a_label_have_all_instances(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", "1.png")
    annotations = [thing(100, 9, bbox=[1, 1, 2, 2]), thing(100, 11, segmentation=[SQUARE])]
    path = write(tmp_path / "i.json", ["1.png"], annotations)
    assert regions(DataSettings(path=str(folder), annotations=str(path))) == [
        [{"box": [1, 1, 2, 2]}, {"polygons": [SQUARE]}]
    ]


def test_categories_become_classes_by_the_labels_file(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", "katze/1.png")
    path = write(tmp_path / "i.json", ["katze/1.png"], [thing(100, 11, bbox=[1, 1, 2, 2])])
    (tmp_path / "names.csv").write_text("katze,cat\ntree,0\n")
    names = str(tmp_path / "names.csv")
    data = DataSettings(path=str(folder), annotations=str(path), labels=names)
    assert regions(data) == [[{"box": [1, 1, 2, 2]}]]


@pytest.mark.parametrize(
    ("listed", "annotated"),
    [
        (["cat/1.png", "owl/2.png"], ["1.png", "2.png"]),
        (["1.png", "2.png"], ["val/1.png", "val/2.png"]),
        (["photos/val/1.png", "photos/train/1.png"], ["val/1.png", "train/1.png"]),
    ],
)
def test_names_are_matched_by_their_last_parts(
    tmp_path: Path, listed: list[str], annotated: list[str]
) -> None:
    (tmp_path / "t.csv").write_text("\n".join(["file_name", *listed]))
    annotations = [thing(100 + at, 7, bbox=[at, 1, 2, 2]) for at in range(2)]
    path = write(tmp_path / "i.json", annotated, annotations)
    data = DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path))
    assert regions(data) == [[{"box": [at, 1, 2, 2]}] for at in range(2)]


def test_names_that_could_be_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name\ncat/1.png\nowl/1.png\n")
    path = write(tmp_path / "i.json", ["1.png"], [])
    with pytest.raises(UserError, match=r"'1.png' may belong to 'cat/1.png' or to 'owl/1"):
        regions(DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path)))
    (tmp_path / "t.csv").write_text("file_name\n1.png\n")
    path = write(tmp_path / "i.json", ["a/1.png", "b/1.png"], [])
    with pytest.raises(UserError, match=r"'1.png' may mean 'a/1.png', 'b/1.png'"):
        regions(DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path)))


def test_the_file_itself_is_a_dataset(tmp_path: Path) -> None:
    pictures(tmp_path / "val", "1.png", "2.png", "3.png")
    annotations = [
        thing(100, 7, bbox=[1, 1, 2, 2]),
        thing(100, 7, bbox=[3, 3, 2, 2]),
        thing(101, 7, bbox=[1, 1, 2, 2]),
        thing(101, 9, bbox=[5, 5, 2, 2]),
    ]
    path = write(tmp_path / "instances.json", ["1.png", "2.png", "3.png"], annotations)
    data = DataSettings(path=str(path), images=str(tmp_path / "val"))
    catalog = make_catalog(data, CLASSES)
    assert catalog["label"].to_pylist() == ["cat", None, None]
    assert [len(row or ()) for row in regions(data)] == [2, 2, 0]
    assert check_catalog(catalog, data) == []


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png")
    path = write(tmp_path / "instances.json", ["0.png", "1.png"], [])
    data = DataSettings(path=str(path))
    first, _ = check_catalog(make_catalog(data, CLASSES), data)
    assert first == f"1 of 2 images do not exist; first: {tmp_path / '0.png'}"
    data = DataSettings(path=str(write(tmp_path / "none.json", ["8.png", "9.png"], [])))
    with pytest.raises(UserError, match=r"none of 2 images exists; first: .*8.png.*--images"):
        check_catalog(make_catalog(data, CLASSES), data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "are not COCO's: found no object"),
        ('{"shapes": [], "version": "5"}', "found an object with 'shapes', 'version'"),
        ("{", "are not JSON at line 1, column 2"),
        (
            '{"images": [{"id": 1, "file_name": 7}], "annotations": [], "categories": []}',
            "annotations have the file_name 7: a text is needed",
        ),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "are not COCO's: 'file_name' is missing",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "categories": [],'
            ' "annotations": [{"image_id": 1, "segments_info": []}]}',
            "'category_id' is missing",
        ),
    ],
)
def test_what_is_not_coco_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "i.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        regions(DataSettings(path=str(tmp_path / "i.json")))
    assert "\n" not in str(caught.value)


def test_no_images_are_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(NothingToAudit, match="hold no images"):
        regions(DataSettings(path=str(write(tmp_path / "i.json", [], []))))


def test_categories_of_no_class_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name,label\n1.png,cat\n")
    path = write(tmp_path / "i.json", ["1.png"], [thing(100, 11, bbox=[1, 1, 2, 2])])
    data = DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path))
    with pytest.raises(UserError, match="categories 'tree' is one of the model's classes"):
        regions(data)
    with pytest.raises(UserError, match="'tree' unknown"):
        regions(DataSettings(path=str(path)))


def test_annotations_of_other_images_show_both_sides(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name\n1.png\n")
    path = write(tmp_path / "i.json", ["9.png"], [])
    with pytest.raises(UserError, match=r"images are '1.png', annotated are '9.png'"):
        regions(DataSettings(path=str(tmp_path / "t.csv"), annotations=str(path)))


def test_splits_and_images_are_refused_where_meaningless(tmp_path: Path) -> None:
    path = write(tmp_path / "i.json", ["1.png"], [])
    with pytest.raises(UserError, match="have no splits: drop --split"):
        regions(DataSettings(path=str(path), split="test"))
    with pytest.raises(UserError, match=r"images folder .*nowhere not found"):
        regions(DataSettings(path=str(path), images=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="drop --images"):
        regions(DataSettings(path=str(pictures(tmp_path / "p", "1.png")), images=str(tmp_path)))
