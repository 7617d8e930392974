"""Foregrounds and maps of turned, cropped and estimated pictures lie on what a viewer shows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from models.classifier.preprocessing import Preprocessing
from tasks.catalog.allowed_addresses import AllowedAddresses
from tasks.export.picture_files import PictureFiles
from tasks.pictures.estimator import load_estimator
from tasks.pictures.rows import Row
from tasks.pictures.samples import MaskReading, Reader, Sample
from tasks.pictures.settings import ForegroundSettings
from tasks.runs.folder import RunFolder
from tasks.runs.reader import Run

PREPARED = Preprocessing(resize=64, crop=(64, 64))
READER = Reader(PREPARED, MaskReading("foreground", "upright"))
FILES = PictureFiles(READER, AllowedAddresses(frozenset()))


def write_turned(folder: Path, turn: int) -> Path:
    """A bright square left of the middle of a wide picture, stored so that EXIF turns it."""
    shown_HW3 = np.zeros((90, 160, 3), np.uint8)
    shown_HW3[30:60, 50:80] = 255
    stored = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}.get(turn)
    picture = Image.fromarray(shown_HW3)
    picture = picture if stored is None else picture.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = turn
    picture.save(folder / "turned.png", exif=exif)
    assert (
        np.asarray(ImageOps.exif_transpose(Image.open(folder / "turned.png"))) == shown_HW3
    ).all()
    return folder / "turned.png"


@pytest.mark.parametrize("orientation", ["upright", "stored"])
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_map_and_mask_lie_on_the_upright_picture(
    orientation: str, turn: int, tmp_path: Path
) -> None:
    """What the model sees stands in for its map: it has to come back to where a viewer shows it."""
    path = write_turned(tmp_path, turn)
    stored = Image.open(path)
    shown = ImageOps.exif_transpose(stored).convert("L")
    mask = shown if orientation == "upright" else Image.fromarray(np.asarray(stored.convert("L")))
    mask.save(tmp_path / "mask.png")  # as the model sees the picture
    files = replace(FILES, reader=replace(READER, reading=MaskReading("foreground", orientation)))
    row = Row("a", str(path), None, masks=(str(tmp_path / "mask.png"),))
    picture, seen_HW3 = files.read(row), files.shown(row)
    assert picture is not None
    assert seen_HW3 is not None
    assert picture.size == (90, 160)
    window = files.window(picture)
    placed_HW = picture.upright(window.place(seen_HW3[..., 0] / 255, (window.rows, window.columns)))
    expected_HW = np.asarray(shown) > 0
    assert ((placed_HW > 0.5) == expected_HW).mean() > 0.995  # but for the square's edge
    mask_HW = files.foreground(row, picture)
    assert mask_HW is not None
    assert (mask_HW == expected_HW).all()


def test_an_estimate_lies_where_the_audit_s_did(benchmark_folder: Path) -> None:
    image = benchmark_folder / "images/test/00003.png"
    settings = ForegroundSettings(source="estimate")
    estimator = load_estimator(settings, (40, 40))
    prepared = Preprocessing(resize=48, crop=(40, 40))
    reader = replace(READER, preprocessing=prepared, estimator=estimator)
    files, row = replace(FILES, reader=reader), Row("a", str(image), None)
    sample, picture = reader(row), files.read(row)
    assert isinstance(sample, Sample)
    assert sample.mask_HW is not None
    assert picture is not None
    mask_HW = files.foreground(row, picture)
    assert mask_HW is not None
    assert mask_HW.shape == (64, 64)
    again_HW = prepared.resize_and_crop(_as_tensor(mask_HW))[0].numpy() >= 128
    assert (again_HW == (sample.mask_HW.numpy() >= 128)).mean() > 0.95


def test_no_code_is_run_that_a_run_names(finished_run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(finished_run.path, tmp_path / "run")
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n")
    path = tmp_path / "run" / "run.json"
    state = json.loads(path.read_text())
    state["settings"]["foreground"]["source"] = f"{tmp_path / 'code.py'}:segment"
    state["identity"]["estimator"] = "0" * 32
    path.write_text(json.dumps(state))
    assert PictureFiles.of(Run.at(tmp_path / "run")).reader.estimator is None
    assert not (tmp_path / "was_run").exists()


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    for name in ("text.png", "gone.png", "zero\0byte.png", ""):
        row = Row("a", str(tmp_path / name), None)
        assert FILES.read(row) is None
        assert FILES.shown(row) is None
    assert FILES.read(Row("a", "s3://elsewhere/a.png", None)) is None


def _as_tensor(mask_HW: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask_HW.astype(np.uint8) * 255)[None]
