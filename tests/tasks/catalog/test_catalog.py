"""The catalog: user columns untouched, masks paired, errors found before work begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from models.errors import UserError
from tasks import schema
from tasks.catalog.catalog import check_catalog, foreground_source, make_catalog
from tasks.catalog.settings import DataSettings

CLASSES = ("cat", "owl")


def picture(path: Path, size: tuple[int, int] = (8, 8), value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if path.suffix == ".jpg" else "L", size, value).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/1", "cat/2", "owl/1"):
        picture(tmp_path / "data" / f"{name}.jpg")
        mask = np.zeros((8, 8), np.uint8)
        mask[:4] = 255
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path / "data"


def settings(folder: Path, **more: object) -> DataSettings:
    return DataSettings.model_validate({"path": str(folder), **more})


def test_masks_are_paired_by_stem_in_a_parallel_folder(folder: Path) -> None:
    data = settings(folder, masks=str(folder.parent / "masks"))
    catalog = make_catalog(data, CLASSES)
    assert [Path(mask).stem for (mask,) in catalog["masks"].to_pylist()] == ["1", "2", "1"]
    assert foreground_source(catalog) == "annotated"
    assert check_catalog(catalog, data) == []


def test_without_masks_the_source_is_none(folder: Path) -> None:
    assert foreground_source(make_catalog(settings(folder), CLASSES)) == "none"


def test_extra_columns_stay_untouched(benchmark_folder: Path) -> None:
    data = settings(benchmark_folder, split="test")
    catalog = make_catalog(data, ("balloon", "cactus", "fish", "mushroom"))
    assert catalog.column_names[: len(schema.CATALOG)] == schema.CATALOG.names
    assert {"split", "group", "background", "object_seed"} <= set(catalog.column_names)
    assert len(catalog) == 64


def test_a_sample_keeps_the_shares_of_the_labels(tmp_path: Path) -> None:
    for index in range(30):
        picture(tmp_path / ("cat" if index < 20 else "owl") / f"{index}.jpg")
    catalog = make_catalog(settings(tmp_path, sample=9), CLASSES)
    labels = catalog["label"].to_pylist()
    assert (labels.count("cat"), labels.count("owl")) == (6, 3)
    assert catalog.equals(make_catalog(settings(tmp_path, sample=9), CLASSES))
    assert len(make_catalog(settings(tmp_path, limit=4), CLASSES)) == 4


@pytest.mark.full
def test_a_sample_is_the_same_in_every_process(benchmark_folder: Path) -> None:
    code = (
        "from tasks.catalog.catalog import make_catalog\n"
        "from tasks.catalog.settings import DataSettings\n"
        f"data = DataSettings(path={str(benchmark_folder)!r}, sample=7)\n"
        "classes = ('fish', 'mushroom', 'balloon', 'cactus')\n"
        "print(make_catalog(data, classes)['row_id'].to_pylist())"
    )
    samples = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(samples) == 1


def test_a_changed_file_changes_the_stamp(folder: Path) -> None:
    before = make_catalog(settings(folder), CLASSES)["stamp"].to_pylist()
    picture(folder / "cat" / "1.jpg", value=200)
    after = make_catalog(settings(folder), CLASSES)["stamp"].to_pylist()
    assert before[0] != after[0]
    assert before[1:] == after[1:]


def test_repeated_keys_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name\na.jpg\na.jpg\n")
    with pytest.raises(UserError, match=r"1 keys occur more than once \('a.jpg'\)"):
        make_catalog(settings(tmp_path / "t.csv"), CLASSES)


@pytest.mark.parametrize("name", ["stamp", "file_row_number", "File_Row_Number"])
def test_columns_with_our_names_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"file_name,{name}\na.jpg,1\n")
    with pytest.raises(UserError, match=f"'{name}' have names that the catalog uses"):
        make_catalog(settings(tmp_path / "t.csv"), CLASSES)


def test_a_group_column_that_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    further = {"place": ["sea"], "boxes": [[1.0]], "hash": [b"\xff"]}
    table = pa.table({"file_name": ["a.jpg"], "label": ["cat"], **further})
    pq.write_table(table, tmp_path / "t.parquet")
    given = settings(tmp_path / "t.parquet", group_column="place")
    assert make_catalog(given, CLASSES)["place"].to_pylist() == ["sea"]
    for column, words in (
        ("plaec", r"no further column 'plaec' \(did you mean 'place'\?\), it has 'place'"),
        ("mask", "no further column 'mask', it has 'place', 'boxes', 'hash': name another"),
        ("hash", "'hash' holds binary, not text: write it as text, or name another with"),
        ("boxes", "'boxes' holds list<element: double>, not one value for each image"),
    ):
        with pytest.raises(UserError, match=words):
            make_catalog(settings(tmp_path / "t.parquet", group_column=column), CLASSES)
    with pytest.raises(UserError, match="no further column 'place', it has none: name another"):
        make_catalog(settings(folder, group_column="place"), CLASSES)


def test_a_mask_folder_without_any_match_shows_both_sides(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "other" / "zebra.png")
    with pytest.raises(UserError, match=r"no mask in .* has the stem of an image"):
        make_catalog(settings(folder, masks=str(tmp_path / "other")), CLASSES)


def test_masks_of_all_splits_beside_pictures_of_one_name_the_folder_to_give(
    tmp_path: Path,
) -> None:
    for split in ("train", "test"):
        picture(tmp_path / "all" / split / "cat.png")
    data = tmp_path / "only"
    picture(data / "cat.png")
    with pytest.raises(UserError, match=r"'cat' may mean .*: give --masks the folder below .*all"):
        make_catalog(settings(data, masks=str(tmp_path / "all")), CLASSES)


def test_headers_are_checked_before_work_begins(folder: Path) -> None:
    masks = folder.parent / "masks"
    picture(masks / "cat" / "1.png", size=(8, 6))
    data = settings(folder, masks=str(masks))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "1 of 3 checked images will fail" in warning
    assert "is 8x6, image" in warning


def test_a_dataset_without_any_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name\nnowhere.jpg\n")
    data = settings(tmp_path / "t.csv")
    with pytest.raises(
        UserError,
        match=r"none of 1 images exists; first: .*nowhere.jpg: check the addresses",
    ):
        check_catalog(make_catalog(data, CLASSES), data)


def test_inverted_masks_are_suspected(folder: Path) -> None:
    masks = folder.parent / "masks"
    for mask in masks.rglob("*.png"):
        Image.new("L", (8, 8), 255).save(mask)
    data = settings(folder, masks=str(masks))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "--polarity background" in warning


def test_a_folder_and_a_mask_of_one_stem_are_united(folder: Path) -> None:
    masks = folder.parent / "masks"
    picture(masks / "cat" / "1" / "tail.png")
    picture(masks / "cat" / "1" / "ear.png")
    catalog = make_catalog(settings(folder, masks=str(masks)), CLASSES)
    found = [[Path(mask).name for mask in row] for row in catalog["masks"].to_pylist()]
    assert found == [["1.png", "ear.png", "tail.png"], ["2.png"], ["1.png"]]
    assert len(catalog["stamp"][0].as_py().split()) == 4


def test_two_masks_of_one_stem_are_refused(folder: Path) -> None:
    masks = folder.parent / "masks"
    picture(masks / "cat" / "1.bmp")
    message = r"has 'cat/1.bmp' and 'cat/1.png': keep one .* into a folder 'cat/1'"
    with pytest.raises(UserError, match=message):
        make_catalog(settings(folder, masks=str(masks)), CLASSES)


def test_masks_of_absolute_addresses_are_found_by_their_last_parts(folder: Path) -> None:
    table = folder.parent / "t.csv"
    names = ("cat/1", "owl/1")
    table.write_text("\n".join(["file_name", *(f"{folder}/{name}.jpg" for name in names)]))
    masks = folder.parent / "masks"
    catalog = make_catalog(settings(table, masks=str(masks)), CLASSES)
    assert catalog["masks"].to_pylist() == [[str(masks / f"{name}.png")] for name in names]


def test_masks_that_could_be_of_two_images_are_refused(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "flat" / "1.png")
    with pytest.raises(UserError, match="'1' may belong to 'cat/1' or to 'owl/1'"):
        make_catalog(settings(folder, masks=str(tmp_path / "flat")), CLASSES)


def test_a_changed_mask_changes_the_stamp(folder: Path) -> None:
    data = settings(folder, masks=str(folder.parent / "masks"))
    before = make_catalog(data, CLASSES)["stamp"].to_pylist()
    picture(folder.parent / "masks/owl/1.png", size=(9, 9), value=200)
    after = make_catalog(data, CLASSES)["stamp"].to_pylist()
    assert [old != new for old, new in zip(before, after, strict=True)] == [False, False, True]


def test_a_mask_has_the_upright_or_the_stored_size(tmp_path: Path) -> None:
    for stem, size in (("stored", (8, 6)), ("upright", (6, 8)), ("neither", (8, 8))):
        path = picture(tmp_path / "data" / f"{stem}.jpg", size=(8, 6))
        exif = Image.Exif()
        exif[0x0112] = 6
        with Image.open(path) as stored:
            stored.save(path, exif=exif)
        mask = picture(tmp_path / "masks" / f"{stem}.png", size=size, value=0)
        assert mask.exists()
    data = settings(tmp_path / "data", masks=str(tmp_path / "masks"))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "1 of 3 checked images will fail; first: mask" in warning
    assert "neither.png is 8x8" in warning


def test_values_count_when_masks_are_suspected(folder: Path) -> None:
    masks = folder.parent / "masks"
    for mask in masks.rglob("*.png"):
        index_HW = np.full((8, 8), 2, np.uint8)
        index_HW[0] = 1
        Image.fromarray(index_HW).save(mask)
    for values, warned in (("nonzero", True), ("1", False), ("2", True)):
        data = settings(folder, masks=str(masks), mask_values=values)
        warnings = check_catalog(make_catalog(data, CLASSES), data)
        assert ["--polarity background or other --mask-values" in w for w in warnings] == (
            [True] * warned
        )


def test_large_boxes_are_not_inverted_masks(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("file_name,bbox\na.jpg,0 0 8 8\n")
    data = settings(tmp_path / "t.csv", box_columns=("bbox",))
    catalog = make_catalog(data, CLASSES)
    assert foreground_source(catalog) == "box"
    assert check_catalog(catalog, data) == []


def test_regions_that_cannot_be_drawn_are_found_before_work_begins(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "t.csv").write_text("file_name,bbox\na.jpg,0 0 8 8\nb.jpg,5 5 -3 2\n")
    data = settings(tmp_path / "t.csv", box_columns=("bbox",))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "1 of 2 checked images will fail; first: region 1" in warning


def test_unlabelled_rows_stay(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    catalog = make_catalog(settings(tmp_path), CLASSES)
    assert catalog["label"].to_pylist() == [None]
    assert catalog.schema.field("label").type == pa.string()
