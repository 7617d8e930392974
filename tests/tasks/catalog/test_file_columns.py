"""Columns of images and masks under unusual names: found by their files, used where unambiguous."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import UserError
from tasks.catalog.catalog import list_data, make_catalog
from tasks.catalog.listing import Listing
from tasks.catalog.settings import DataSettings

Picture = Callable[[np.random.Generator], Image.Image]

COUNT = 6
SIZE = (24, 16)  # columns and rows


def photograph(draw: np.random.Generator) -> Image.Image:
    return Image.fromarray(draw.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8))


def disc() -> np.ndarray:
    """From 0 outside to 1 inside, with a soft outline."""
    rows, columns = (np.linspace(-1, 1, side) for side in SIZE[::-1])
    inside: np.ndarray = np.clip(8 * (0.5 - rows[:, None] ** 2 - columns**2) + 0.5, 0, 1)
    return inside


def binary(_: np.random.Generator) -> Image.Image:
    return Image.fromarray((disc() > 0.5).astype(np.uint8) * 255)


def soft(_: np.random.Generator) -> Image.Image:
    return Image.fromarray((disc() * 255).astype(np.uint8))


def palette(_: np.random.Generator) -> Image.Image:
    mask = Image.fromarray((disc() > 0.5).astype(np.uint8) * 7).convert("P")
    mask.putpalette(list(range(256)) * 3)
    return mask


def one_bit(draw: np.random.Generator) -> Image.Image:
    return binary(draw).convert("1")


def coloured(_: np.random.Generator) -> Image.Image:
    colours = np.array([[0, 0, 0], [200, 30, 60]], np.uint8)
    return Image.fromarray(colours[(disc() > 0.5).astype(int)])


def smaller(draw: np.random.Generator) -> Image.Image:
    return binary(draw).resize((12, 8))


def grey_photograph(draw: np.random.Generator) -> Image.Image:
    return photograph(draw).convert("L")


def even(_: np.random.Generator) -> Image.Image:
    return Image.new("RGB", SIZE, (9, 9, 9))


MASKS: tuple[Picture, ...] = (binary, soft, palette, one_bit, coloured)
OTHERS: tuple[Picture, ...] = (photograph, smaller, grey_photograph, even)


def dataset(folder: Path, columns: Mapping[str, Picture] = {}, *, image: str = "file_name") -> Path:
    """A table with a column of pictures for each drawing, and the pictures."""
    draw = np.random.default_rng(0)
    columns = {image: photograph, **columns}
    rows = []
    for number in range(COUNT):
        row = {"label": "cat"}
        for name, picture in columns.items():
            row[name] = f"{name}s/{number}.png"
            (folder / row[name]).parent.mkdir(exist_ok=True)
            picture(draw).save(folder / row[name])
        rows.append(row)
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "sightline")
    return caplog


def listed(path: Path, **settings: object) -> Listing:
    return list_data(DataSettings.model_validate({"path": str(path), **settings}))


@pytest.mark.parametrize("name", ["mask_filename", "segmentation", "seg_path", "annotation"])
@pytest.mark.parametrize("picture", MASKS, ids=lambda it: it.__name__)
def test_masks_are_found_by_their_files(
    name: str, picture: Picture, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    path = dataset(tmp_path, {name: picture})
    listing = listed(path)
    assert listing.masks.to_pylist() == [[f"{name}s/{number}.png"] for number in range(6)]
    assert name not in listing.extra.column_names
    assert log.messages == [f"table {path}: column '{name}' holds masks: taken as the foreground"]


@pytest.mark.parametrize("name", ["place_filename", "seg_path"])
@pytest.mark.parametrize("picture", OTHERS, ids=lambda it: it.__name__)
def test_other_pictures_are_named_with_the_option(
    name: str, picture: Picture, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    listing = listed(dataset(tmp_path, {name: picture}))
    assert listing.masks.null_count == 6
    assert name in listing.extra.column_names
    (line,) = log.messages
    assert f"names further pictures in '{name}', which were not taken as masks" in line
    assert line.endswith("name it with --mask-column")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"seg_path": binary, "place": photograph}, "seg_path"),
        ({"seg_path": binary, "edges": binary}, "seg_path"),
        ({"edges": binary, "place": photograph}, "edges"),
        ({"seg_path": binary, "mask_file": soft}, None),
        ({"edges": binary, "seg_path": photograph}, None),
        ({"edges": binary, "outlines": soft}, None),
    ],
)
def test_one_column_is_used_and_several_are_named(
    columns: dict[str, Picture],
    found: str | None,
    tmp_path: Path,
    log: pytest.LogCaptureFixture,
) -> None:
    listing = listed(dataset(tmp_path, columns))
    assert (listing.masks.null_count == 0) == (found is not None)
    (line,) = log.messages
    if found is not None:
        assert f"column '{found}' holds masks" in line
    else:
        assert "--mask-column" in line
        assert any(f"'{name}'" in line for name in columns)


@pytest.mark.parametrize(
    "settings",
    [{"mask_column": "other"}, {"masks": "here"}],
    ids=["a column is named", "a folder is named"],
)
def test_nothing_is_sought_where_masks_are_named(
    settings: dict[str, str], tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    path = dataset(tmp_path, {"seg_path": binary, "other": soft})
    settings = {key: str(tmp_path) if key == "masks" else value for key, value in settings.items()}
    listing = listed(path, **settings)
    assert "seg_path" in listing.extra.column_names
    assert log.messages == []


def test_a_usual_name_comes_first(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    listing = listed(dataset(tmp_path, {"mask": soft, "seg_path": binary}))
    assert listing.masks.to_pylist()[0] == ["masks/0.png"]
    assert log.messages == []


def test_files_that_are_not_there_are_said(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    path = dataset(tmp_path, {"mask_filename": binary})
    (tmp_path / "mask_filenames").rename(tmp_path / "elsewhere")
    assert listed(path).masks.null_count == 6
    (line,) = log.messages
    assert f"the files in column 'mask_filename' are not below {tmp_path}" in line
    assert "(first: mask_filenames/0.png)" in line
    assert "--images" in line


def test_a_few_missing_and_broken_files_change_nothing(tmp_path: Path) -> None:
    path = dataset(tmp_path, {"seg_path": binary})
    (tmp_path / "seg_paths/0.png").unlink()
    (tmp_path / "seg_paths/1.png").write_bytes(b"no picture")
    assert listed(path).masks.null_count == 0


def test_several_masks_of_an_image_and_rows_without(tmp_path: Path) -> None:
    dataset(tmp_path, {"seg_path": binary})
    masks = [["seg_paths/0.png", "seg_paths/1.png"], [], None, ["seg_paths/3.png"]]
    expected = [masks[0], None, None, masks[3]]
    rows = [
        {"file_name": f"file_names/{number}.png", "segments": mask}
        for number, mask in enumerate(masks)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert listed(tmp_path / "t.jsonl").masks.to_pylist() == expected
    lines = [
        "file_name,segments",
        *(f"{it['file_name']},{'|'.join(it['segments'] or ())}" for it in rows),
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert listed(tmp_path / "t.csv").masks.to_pylist() == expected


@pytest.mark.parametrize("name", ["filepath", "photo", "url"])
def test_images_are_found_by_their_files(
    name: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    path = dataset(tmp_path, {"seg_path": binary}, image=name)
    listing = listed(path)
    assert listing.image.to_pylist()[0] == f"{name}s/0.png"
    assert listing.masks.null_count == 0
    assert log.messages[0] == f"table {path}: column '{name}' holds pictures: taken as the images"


def test_several_columns_of_images_are_refused(tmp_path: Path) -> None:
    path = dataset(tmp_path, {"right": photograph}, image="left")
    with pytest.raises(UserError) as caught:
        listed(path)
    assert str(caught.value) == (
        f"table {path} has pictures in the columns 'left', 'right': "
        "name the one to audit with --image-column"
    )
    assert listed(path, image_column="right").image.to_pylist()[0] == "rights/0.png"


def test_addresses_at_other_places_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: object) -> None:
        raise AssertionError(f"{address} was opened")

    path = dataset(tmp_path)
    lines = path.read_text().splitlines()
    others = ("s3://bucket/1.png", "https://example.org/1.png", "memory://1.png")
    for other in others:
        text = [f"{lines[0]},seg_path", *(f"{line},{other}" for line in lines[1:])]
        path.write_text("\n".join(text) + "\n")
        monkeypatch.setattr("tasks.storage.files.as_path", refuse)
        assert listed(path).masks.null_count == 6


@pytest.mark.parametrize("value", ["", "notes", "a.txt", "\0.png", "..png", "/"])
def test_other_texts_are_no_files(
    value: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    path = dataset(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},seg", *(f"{it},{value}" for it in lines[1:])]) + "\n")
    listing = listed(path)
    assert listing.masks.null_count == COUNT
    assert listing.extra.column_names == ["seg"]
    assert all("--images" in line for line in log.messages)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = dataset(tmp_path, {"seg_path": binary})
    for number in range(5):
        (tmp_path / f"seg_paths/{number}.png").unlink()
        os.mkfifo(tmp_path / f"seg_paths/{number}.png")
    assert listed(path).masks.null_count == 6


def test_found_masks_are_in_the_catalog(tmp_path: Path) -> None:
    path = dataset(tmp_path, {"seg_path": binary})
    catalog = make_catalog(DataSettings(path=str(path)), ("cat", "owl"))
    assert catalog["masks"].to_pylist()[0] == [str(tmp_path / "seg_paths/0.png")]
    assert "seg_path" not in catalog.column_names
