"""Boxes reach the catalog from every form of column, as x, y, width, height."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import UserError
from tasks.catalog.catalog import foreground_source, make_catalog
from tasks.catalog.settings import DataSettings

CLASSES = ("cat", "owl")


def regions(path: Path, **more: Any) -> list[Any]:
    catalog = make_catalog(DataSettings(path=str(path), **more), CLASSES)
    texts = catalog["regions"].to_pylist()
    return [None if text is None else json.loads(text) for text in texts]


def box(*numbers: float) -> dict[str, list[float]]:
    return {"box": list(numbers)}


@pytest.mark.parametrize(
    ("form", "expected"),
    [("xywh", [box(1, 2, 5, 9)]), ("xyxy", [box(1, 2, 4, 7)])],
)
def test_four_columns_are_a_box_in_either_format(
    tmp_path: Path, form: Any, expected: list[Any]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,x,y,width,height\na.jpg,1,2,5,9\nb.jpg,,,,\n")
    columns = ("x", "y", "width", "height")
    assert regions(path, box_columns=columns, box_format=form) == [expected, None]


def test_a_coordinate_is_not_a_label(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,x,y,w,h\na.jpg,1,2,5,9\n")
    assert make_catalog(DataSettings(path=str(path)), CLASSES)["label"].null_count == 1


def test_one_row_per_box_becomes_one_row_per_image(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "file_name,label,x,y,w,h,site\n"
        "a.jpg,cat,1,1,2,2,north\nb.jpg,owl,2,2,3,3,south\na.jpg,cat,5,5,6,6,east\n"
        "c.jpg,cat,7,7,8,8,west\nc.jpg,owl,9,9,1,1,west\nd.jpg,owl,,,,,sea\n"
    )
    data = DataSettings(path=str(path), box_columns=("x", "y", "w", "h"))
    catalog = make_catalog(data, CLASSES)
    assert catalog["row_id"].to_pylist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert catalog["label"].to_pylist() == ["cat", "owl", None, "owl"]
    assert catalog["site"].to_pylist() == ["north", "south", "west", "sea"]
    assert regions(path, box_columns=("x", "y", "w", "h")) == [
        [box(1, 1, 2, 2), box(5, 5, 6, 6)],
        [box(2, 2, 3, 3)],
        [box(7, 7, 8, 8), box(9, 9, 1, 1)],
        None,
    ]
    assert foreground_source(catalog) == "box"


@pytest.mark.parametrize("text", ["[1, 2, 3, 4]", "1 2 3 4", "1,2,3,4", "[[1, 2, 3, 4]]"])
def test_one_column_holds_four_numbers_as_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'file_name,bbox\na.jpg,"{text}"\nb.jpg,\n')
    assert regions(path, box_columns=("bbox",)) == [[box(1, 2, 3, 4)], None]


def test_one_column_may_have_one_row_per_box_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,bbox\na.jpg,1 2 3 4\nb.jpg,\na.jpg,5 6 7 8\n")
    expected = [[box(1, 2, 3, 4), box(5, 6, 7, 8)], None]
    assert regions(path, box_columns=("bbox",)) == expected


def test_one_column_holds_a_box_or_a_list_of_boxes(tmp_path: Path) -> None:
    several = [[[1, 2, 3, 4], [5, 6, 7, 8]], [], None]
    names = ["a.jpg", "b.jpg", "c.jpg"]
    pq.write_table(pa.table({"file_name": names, "bbox": several}), tmp_path / "several.parquet")
    expected = [[box(1, 2, 3, 4), box(5, 6, 7, 8)], None, None]
    assert regions(tmp_path / "several.parquet", box_columns=("bbox",)) == expected
    one = tmp_path / "one.jsonl"
    one.write_text('{"file_name": "a.jpg", "bbox": [1, 2.5, 3, 4]}\n')
    assert regions(one, box_columns=("bbox",)) == [[box(1, 2.5, 3, 4)]]


def test_objects_of_hugging_face_are_boxes_of_the_label(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    rows = [
        ("a.jpg", "cat", {"bbox": [[1, 1, 2, 2], [3, 3, 4, 4]], "categories": ["cat", "tree"]}),
        ("b.jpg", None, {"bbox": [[1, 1, 2, 2], [3, 3, 4, 4]], "categories": ["cat", "tree"]}),
        ("c.jpg", "owl", {"bbox": [], "categories": []}),
    ]
    path.write_text(
        "".join(
            json.dumps({"file_name": name, "label": label, "objects": objects}) + "\n"
            for name, label, objects in rows
        )
    )
    both = [box(1, 1, 2, 2), box(3, 3, 4, 4)]
    assert regions(tmp_path) == [both[:1], both, None]
    listed = [[{"bbox": [1, 1, 2, 2], "category": 0}, {"bbox": [3, 3, 4, 4], "category": 1}]]
    listed[0].append({"bbox": [5, 5, 1, 1], "category": None})
    table = pa.table({"file_name": ["a.jpg"], "label": [1], "objects": listed})
    pq.write_table(table, tmp_path / "integers.parquet")
    assert regions(tmp_path / "integers.parquet") == [[box(3, 3, 4, 4), box(5, 5, 1, 1)]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("left", "x", "x", "x"), "no box column 'left'"),
        (("heigth", "x", "x", "x"), r"did you mean 'height'\?"),
        (("x", "x", "x", "height"), "string in box column 'height', such as 'tall'"),
        (("height",), "'tall' in box column 'height': four numbers or a list"),
    ],
)
def test_columns_without_boxes_are_refused(
    tmp_path: Path, columns: tuple[str, ...], message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,x,height\na.jpg,1,tall\n")
    with pytest.raises(UserError, match=message) as caught:
        regions(path, box_columns=columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"bbox": [[1, 2, 3]]}, r"\[\[1, 2, 3\]\] in box column 'objects': four numbers"),
        ({"bbox": [["a", "b", "c", "d"]]}, "in box column 'objects': four numbers"),
        ({"bbox": [[1, 2, 3, 4]], "category": ["cat", "owl"]}, "has 1 boxes for the categories"),
        ({"bbox": [[1, 2, 3, 4]], "category": "cat"}, "1 boxes for the categories 'cat'"),
    ],
)
def test_malformed_objects_are_refused(
    tmp_path: Path, objects: dict[str, Any], message: str
) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"file_name": "a.jpg", "objects": objects}))
    with pytest.raises(UserError, match=message) as caught:
        regions(tmp_path / "t.jsonl")
    assert "\n" not in str(caught.value)


def test_a_table_may_have_no_box_at_all(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,x,y,w,h\na.jpg,,,,\n")
    assert regions(path, box_columns=("x", "y", "w", "h")) == [None]
    assert regions(path, box_columns=("x",)) == [None]


def test_three_columns_make_no_box() -> None:
    with pytest.raises(ValueError, match="four columns that make a box"):
        DataSettings(path="t.csv", box_columns=("x", "y", "width"))
