"""Tables as other tools write them: WILDS, Hugging Face, pandas, spreadsheets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.addresses import as_path
from models.errors import UserError
from tasks.catalog.formats import list_images
from tasks.catalog.listing import Columns
from tasks.catalog.tables import list_table

WATERBIRDS = (
    "img_id,img_filename,y,split,place,place_filename\n"
    "1,001.Albatross/1.jpg,0,0,1,/o/ocean/1.jpg\n"
    "2,001.Albatross/2.jpg,1,1,0,/b/bamboo/2.jpg\n"
    "3,002.Tern/3.jpg,1,2,1,/o/ocean/3.jpg\n"
)


@pytest.mark.parametrize(
    ("split", "image"),
    [
        ("train", "001.Albatross/1.jpg"),
        ("validation", "001.Albatross/2.jpg"),
        ("val", "001.Albatross/2.jpg"),
        ("test", "002.Tern/3.jpg"),
        ("2", "002.Tern/3.jpg"),
    ],
)
def test_waterbirds_is_read_unchanged(tmp_path: Path, split: str, image: str) -> None:
    (tmp_path / "metadata.csv").write_text(WATERBIRDS)
    listing = list_images(tmp_path, Columns(), split)
    assert listing.image.to_pylist() == [image]
    assert listing.label.type == pa.int64()
    assert listing.extra.column_names == ["img_id", "split", "place", "place_filename"]


def test_an_unknown_split_of_numbers_shows_them(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(WATERBIRDS)
    with pytest.raises(UserError, match=r"has no split 'tset'; it has '0', '1', '2'"):
        list_images(tmp_path, Columns(), "tset")


def test_a_split_has_its_usual_other_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,split\na.jpg,train\nb.jpg,validation\n")
    assert list_images(path, Columns(), "val").image.to_pylist() == ["b.jpg"]


@pytest.mark.parametrize("name", ["file_name", "image", "img_filename", "path"])
def test_usual_image_columns_are_known(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{name},label\na.jpg,cat\n")
    assert list_images(path, Columns()).image.to_pylist() == ["a.jpg"]


def test_spaces_around_a_columns_name_are_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name, label , place\na.jpg,cat,reef\n")
    listing = list_images(path, Columns())
    assert listing.label.to_pylist() == ["cat"]
    assert listing.extra.column_names == ["place"]
    assert list_images(path, Columns(label="place")).label.to_pylist() == ["reef"]
    path.write_text("file_name,label, label\na.jpg,cat,dog\n")
    with pytest.raises(UserError, match=r"has several columns 'label': rename them"):
        list_images(path, Columns())


def test_a_label_stays_a_label_beside_y(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path,label,y\na.jpg,cat,3\n")
    listing = list_images(path, Columns())
    assert listing.label.to_pylist() == ["cat"]
    assert listing.extra.column_names == ["y"]


@pytest.mark.parametrize("name", ["mask", "masks", "mask_file_name"])
def test_several_masks_of_an_image(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"file_name,{name}\na.jpg,1.png|2.png\nb.jpg,\nc.jpg,3.png\n")
    expected = [["1.png", "2.png"], None, ["3.png"]]
    assert list_images(tmp_path / "t.csv", Columns()).masks.to_pylist() == expected
    masks = [["1.png", "2.png"], [], ["3.png"]]
    rows = [
        json.dumps({"file_name": image, name: mask})
        for image, mask in zip(("a.jpg", "b.jpg", "c.jpg"), masks, strict=True)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    assert list_images(tmp_path / "t.jsonl", Columns()).masks.to_pylist() == expected
    table = pa.table({"file_name": ["a.jpg", "b.jpg", "c.jpg"], name: masks})
    pq.write_table(table, tmp_path / "t.parquet")
    assert list_images(tmp_path / "t.parquet", Columns()).masks.to_pylist() == expected


def test_missing_masks_in_a_list_are_left_out(tmp_path: Path) -> None:
    masks = [[None, "1.png", ""], [None], None]
    table = pa.table({"file_name": ["a.jpg", "b.jpg", "c.jpg"], "mask": masks})
    pq.write_table(table, tmp_path / "t.parquet")
    listing = list_images(tmp_path / "t.parquet", Columns())
    assert listing.masks.to_pylist() == [["1.png"], None, None]


def test_lists_that_arrow_misreads_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"file_name": "a.jpg", "mask": [null, "1.png"]}\n')
    with pytest.raises(UserError, match="lists that begin with null"):
        list_images(tmp_path / "t.jsonl", Columns())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("mask", [1, 2], "masks of type list"),
        ("row_id", {"a": 1}, "in column 'row_id': texts or numbers are needed"),
        ("split", ["test"], "in column 'split': texts or numbers are needed"),
    ],
)
def test_nested_values_where_plain_ones_belong_are_refused(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    pq.write_table(pa.table({"file_name": ["a.jpg"], column: [value]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=message):
        list_images(tmp_path / "t.parquet", Columns(), "test" if column == "split" else None)


def test_a_bar_in_a_jsonl_address_is_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"file_name": "a.jpg", "mask": "1|2.png"}\n')
    assert list_images(tmp_path / "t.jsonl", Columns()).masks.to_pylist() == [["1|2.png"]]


def test_pandas_tables_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "file_name": ["a.jpg", "b.jpg"],
            "label": pd.Categorical(["cat", None]),
            "mask": ["a.png", None],
            "score": [0.5, 1.0],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for suffix in ("parquet", "csv", "jsonl"):
        listing = list_images(tmp_path / f"t.{suffix}", Columns())
        assert listing.label.to_pylist() == ["cat", None], suffix
        assert listing.masks.to_pylist() == [["a.png"], None], suffix
        assert listing.extra.to_pydict() == {"score": [0.5, 1.0]}, suffix


def test_integers_that_pandas_wrote_as_fractions_are_indices(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file_name": ["a.jpg", "b.jpg"], "label": [1, None]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for suffix in ("csv", "parquet"):
        label = list_images(tmp_path / f"t.{suffix}", Columns()).label
        assert label.type == pa.int64()
        assert label.to_pylist() == [1, None]


def test_spreadsheets_bytes_and_quotes_are_understood(tmp_path: Path) -> None:
    names = [
        "plain.jpg",
        "with space.jpg",
        'a "quote".jpg',
        "a,comma.jpg",
        "two\nlines.jpg",
        "é#%?.jpg",
    ]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["file_name"], *([name] for name in names)])
    assert list_images(tmp_path / "t.csv", Columns()).image.to_pylist() == names


def test_pictures_inside_a_table_are_refused(tmp_path: Path) -> None:
    embedded = [{"bytes": b"\x89PNG", "path": "a.png"}]
    pq.write_table(pa.table({"image": embedded, "label": [0]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="not file names: write the pictures to files"):
        list_images(tmp_path / "t.parquet", Columns())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,label,label\na.jpg,cat,owl\n", "several columns 'label': rename them"),
        ("file_name,label\na.jpg,cat\n,owl\n", "has 1 rows without 'file_name'"),
        ("file_name,mask\na.jpg,1\n", "masks of type int64: an address or a list"),
        ("", "t.csv is empty: write it again"),
        ("file_name\n\xff\xfe\n", "is not UTF-8 text: save it as CSV in UTF-8"),
        ("file_name,label\na.jpg,cat,1\n", "has 3 values in row 2, but 2 columns: a.jpg,cat,1"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as caught:
        list_images(tmp_path / "t.csv", Columns())
    assert "\n" not in str(caught.value)


def test_names_are_relative_to_another_folder_where_given(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "t.csv").write_text("file_name\na.jpg\n")
    listing = list_images(tmp_path / "t.csv", Columns(), images=str(tmp_path / "pictures"))
    assert listing.root == tmp_path / "pictures"


def test_nested_brackets_are_counted(tmp_path: Path) -> None:
    """Many boxes side by side, and brackets in texts, are not deep nesting."""
    boxes = ", ".join(["[1, 2, 3, 4]"] * 300)
    line = f'{{"file_name": "a.png", "note": "{"[" * 300}\\"{"[" * 300}", "boxes": [{boxes}]}}'
    (tmp_path / "a.jsonl").write_text(line + "\n")
    assert (
        len(list_table(as_path(tmp_path / "a.jsonl"), Columns(), None, as_path(tmp_path)).key) == 1
    )
    (tmp_path / "b.jsonl").write_text('{"file_name": ' + "[" * 65 + "]" * 65 + "}\n")
    with pytest.raises(UserError, match="more than 64 deep in line 1"):
        list_table(as_path(tmp_path / "b.jsonl"), Columns(), None, as_path(tmp_path))
