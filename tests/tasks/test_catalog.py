"""The catalog: user columns untouched, masks paired, mistakes found before work begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks import schema
from tasks.catalog import (
    CatalogMistake,
    DataSettings,
    check_catalog,
    foreground_source,
    make_catalog,
)

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


def test_a_sample_is_the_same_in_every_process(benchmark_folder: Path) -> None:
    code = (
        "from tasks.catalog import DataSettings, make_catalog\n"
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
    with pytest.raises(CatalogMistake, match=r"1 keys stand more than once \('a.jpg'\)"):
        make_catalog(settings(tmp_path / "t.csv"), CLASSES)


def test_columns_with_our_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name,stamp\na.jpg,1\n")
    with pytest.raises(CatalogMistake, match=r"'stamp' have names that the catalog uses"):
        make_catalog(settings(tmp_path / "t.csv"), CLASSES)


def test_a_mask_folder_that_pairs_with_nothing_shows_both(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "other" / "zebra.png")
    with pytest.raises(CatalogMistake, match=r"no mask in .* has the stem of an image"):
        make_catalog(settings(folder, masks=str(tmp_path / "other")), CLASSES)


def test_headers_are_checked_before_work_begins(folder: Path) -> None:
    masks = folder.parent / "masks"
    picture(masks / "cat" / "1.png", size=(8, 6))
    data = settings(folder, masks=str(masks))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "1 of 3 images looked at will fail" in warning
    assert "is 8x6, image" in warning


def test_nothing_readable_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file_name\nnowhere.jpg\n")
    data = settings(tmp_path / "t.csv")
    with pytest.raises(CatalogMistake, match="none of 1 images looked at can be used"):
        check_catalog(make_catalog(data, CLASSES), data)


def test_inverted_masks_are_suspected(folder: Path) -> None:
    masks = folder.parent / "masks"
    for mask in masks.rglob("*.png"):
        Image.new("L", (8, 8), 255).save(mask)
    data = settings(folder, masks=str(masks))
    (warning,) = check_catalog(make_catalog(data, CLASSES), data)
    assert "--polarity background" in warning


def test_unlabelled_rows_stay(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    catalog = make_catalog(settings(tmp_path), CLASSES)
    assert catalog["label"].to_pylist() == [None]
    assert catalog.schema.field("label").type == pa.string()
