"""Training images: unreadable ones are left out, and files are as good as memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from tasks.catalog.catalog import make_catalog
from tasks.catalog.settings import DataSettings
from tasks.finetune.images import TrainingImages, read_training_images
from tasks.pictures.estimator import Estimator
from tasks.pictures.samples import MaskReading, Reader
from tasks.pictures.segmentation import Estimate

SIDE, CLASSES = 64, ("cat", "dog")
READER = Reader(Preprocessing(crop=(SIDE, SIDE)), MaskReading("foreground", "upright"))
HEADER = "file_name,label,mask,x,y,w,h,group"


def square(top: int, left: int, side: int) -> np.ndarray:
    mask_HW = np.zeros((SIDE, SIDE), np.uint8)
    mask_HW[top : top + side, left : left + side] = 255
    return mask_HW


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six noisy pictures and the mask of a square."""
    generator = np.random.default_rng(0)
    for number in range(6):
        noise_HW3 = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(noise_HW3).save(tmp_path / f"{number}.png")
    Image.fromarray(square(10, 20, 16)).save(tmp_path / "mask.png")
    return tmp_path


def catalog_of(folder: Path, *lines: str, **settings: object) -> pa.Table:
    (folder / "table.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    values = {"path": str(folder / "table.csv"), **settings}
    return make_catalog(DataSettings.model_validate(values), CLASSES)


def test_broken_pictures_are_left_out_and_logged(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "1.png").write_bytes(b"no picture")
    progress: list[tuple[int, int]] = []
    catalog = catalog_of(
        pictures, "0.png,cat,mask.png,,,,,a", "1.png,cat,,,,,,b", "2.png,dog,nowhere.png,,,,,c"
    )
    images = read_training_images(
        catalog, CLASSES, READER, on_picture=lambda *now: progress.append(now)
    )
    assert images.label_N.tolist() == [0, 1]
    assert images.known_N.tolist() == [True, False]
    assert images.group_N is not None
    assert images.group_N.tolist() == [0, 1]
    third_HW3 = np.asarray(Image.open(pictures / "2.png"))
    assert images.image_NCHW[1].permute(1, 2, 0).equal(torch.from_numpy(third_HW3.copy()))
    assert progress == [(1, 3), (2, 3), (3, 3)]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "sightline"]
    assert line.startswith("2 of 3 pictures cannot be used in full; first: image ")
    assert "1.png cannot be decoded" in line


def test_without_readable_pictures_there_are_no_training_images(pictures: Path) -> None:
    (pictures / "0.png").write_bytes(b"no picture")
    catalog = catalog_of(pictures, "0.png,cat,,,,,,a")
    for rows in (catalog, catalog.slice(0, 0)):
        images = read_training_images(rows, CLASSES, READER)
        assert (len(images), len(images.donor_rows())) == (0, 0)


def test_a_box_and_a_mask_of_it_are_the_same_foreground(pictures: Path) -> None:
    columns = ("x", "y", "w", "h")
    lines = ("0.png,cat,,20,10,16,16,a", "1.png,dog,,0,0,5,64,a")
    boxes = catalog_of(pictures, *lines, box_columns=columns)
    masks = catalog_of(pictures, "0.png,cat,mask.png,20,10,16,16,a")
    boxed, masked = (read_training_images(catalog, CLASSES, READER) for catalog in (boxes, masks))
    assert boxed.known_N.all()
    assert boxed.mask_NHW[0].equal(masked.mask_NHW[0])
    assert boxed.mask_NHW[0].equal(torch.from_numpy(square(10, 20, 16)))


def guess(picture_CHW: Tensor) -> Estimate:
    return Estimate(torch.from_numpy(square(30, 30, 10)), 0.9)


def test_estimated_foregrounds_grow_and_annotated_ones_stay(pictures: Path) -> None:
    catalog = catalog_of(pictures, "0.png,cat,mask.png,,,,,a", "1.png,cat,,,,,,b")
    reader = Reader(READER.preprocessing, READER.reading, Estimator(guess, "a guess"))
    images = read_training_images(catalog, CLASSES, reader)
    assert images.known_N.all()
    assert images.mask_NHW[0].equal(torch.from_numpy(square(10, 20, 16)))
    assert images.mask_NHW[1].equal(torch.from_numpy(square(28, 28, 14)))


@pytest.mark.parametrize(
    ("groups", "numbers"),
    [(("sea", "land", "sea"), [1, 0, 1]), ((3, 1, 1), [1, 0, 0]), (("sea", "", "sea"), None)],
)
def test_groups_are_numbered_by_name_or_unknown(
    groups: tuple[object, ...], numbers: list[int] | None, pictures: Path
) -> None:
    lines = [f"{number}.png,cat,,,,,,{group}" for number, group in enumerate(groups)]
    catalog = catalog_of(pictures, *lines)
    group_N = read_training_images(catalog, CLASSES, READER).group_N
    assert (None if group_N is None else group_N.tolist()) == numbers
    assert read_training_images(catalog, CLASSES, READER, group_column="site").group_N is None


def test_unlabelled_images_have_no_class(pictures: Path) -> None:
    catalog = catalog_of(pictures, "0.png,dog,,,,,,a", "1.png,,,,,,,b")
    assert read_training_images(catalog, CLASSES, READER).label_N.tolist() == [1, -1]


def test_pictures_in_files_are_those_in_memory_and_leave_nothing(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = catalog_of(pictures, *[f"{number}.png,cat,mask.png,,,,,a" for number in range(6)])
    in_memory = read_training_images(catalog, CLASSES, READER, tmp_path / "files")
    assert not (tmp_path / "files").exists()
    monkeypatch.setattr("tasks.finetune.images.SHARE", 0.0)
    in_files = read_training_images(catalog, CLASSES, READER, tmp_path / "files")
    assert (tmp_path / "files").is_dir()
    assert not list((tmp_path / "files").iterdir())
    assert in_files.image_NCHW.equal(in_memory.image_NCHW)
    assert in_files.mask_NHW.equal(in_memory.mask_NHW)
    assert in_files.image_NCHW.float().std() > 10


def test_a_full_disk_is_refused_before_anything_is_written(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.finetune.images.SHARE", 0.0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"1 pictures take 0.0 GB, and .* give an --out with"):
        read_training_images(
            catalog_of(pictures, "0.png,cat,,,,,,a"), CLASSES, READER, tmp_path / "files"
        )


def test_donors_have_a_known_object_and_enough_background() -> None:
    mask_NHW = torch.zeros(5, 10, 10, dtype=torch.uint8)
    for row, rows in enumerate((3, 6, 7, 0, 3)):  # 0.3, 0.6, 0.7, none and 0.3 of the picture
        mask_NHW[row, :rows] = 255
    images = TrainingImages.of(
        torch.zeros(5, 3, 10, 10, dtype=torch.uint8), torch.arange(5), mask_NHW
    )
    assert images.donor_rows().tolist() == [0, 1, 4]
    known_N = torch.tensor([True, True, True, True, False])
    assert replace(images, known_N=known_N).donor_rows().tolist() == [0, 1]
    assert replace(images, known_N=torch.zeros(5, dtype=torch.bool)).donor_rows().tolist() == []
