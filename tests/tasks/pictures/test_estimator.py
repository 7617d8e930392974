"""Estimators by their settings; segmenters estimate batches, and a picture fails for itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from models.errors import UserError
from tasks.pictures.estimator import AT_ONCE, Estimator, load_estimator, load_same_estimator
from tasks.pictures.rows import Row
from tasks.pictures.samples import MaskReading, Reader, Sample
from tasks.pictures.segmentation import Estimate
from tasks.pictures.settings import ForegroundSettings
from tests.support.onnx_segmenters import red_segmenter

SIZE = (8, 8)


def rows(folder: Path, count: int) -> list[Row]:
    """Pictures of growing brightness; the last is missing."""
    for number in range(count - 1):
        Image.new("RGB", SIZE, (10 * number,) * 3).save(folder / f"{number}.png")
    return [Row(str(number), str(folder / f"{number}.png"), None) for number in range(count)]


class Brightness:
    """Marks pictures by their first value; keeps how many it was given at once."""

    def __init__(self, refused: int | None = None) -> None:
        self.refused, self.counts = refused, list[int]()

    def one(self, picture_CHW: Tensor) -> Estimate:
        return self.batch(picture_CHW[None])[0]

    def batch(self, picture_BCHW: Tensor) -> list[Estimate]:
        self.counts.append(len(picture_BCHW))
        if self.refused is not None and (picture_BCHW[:, 0, 0, 0] == self.refused).any():
            raise ZeroDivisionError("no such brightness")
        return [Estimate(it[0], float(it[0, 0, 0]) / 255) for it in picture_BCHW]


def reader(brightness: Brightness) -> Reader:
    estimator = Estimator(brightness.one, "brightness", brightness.batch)
    return Reader(Preprocessing(crop=SIZE), MaskReading("foreground", "upright"), estimator)


def test_batches_are_estimated_at_once(tmp_path: Path) -> None:
    brightness, some = Brightness(), rows(tmp_path, 8)
    batches = list(reader(brightness).read_batches([some[:3], some[3:]], threads=2, ahead=4))
    assert brightness.counts == [3, 4]
    assert [len(batch) for batch in batches] == [3, 5]
    samples = [sample for batch in batches for sample in batch]
    alone = list(map(reader(Brightness()), some))
    for sample, other in zip(samples[:-1], alone[:-1], strict=True):
        assert isinstance(sample, Sample)
        assert isinstance(other, Sample)
        assert sample.estimated
        assert sample.estimate is not None
        assert other.estimate is not None
        assert sample.estimate.confidence == other.estimate.confidence
        assert torch.equal(sample.estimate.mask_HW, other.estimate.mask_HW)
    assert samples[-1] == alone[-1]


def test_a_picture_that_cannot_be_estimated_fails_alone(tmp_path: Path) -> None:
    brightness, some = Brightness(refused=20), rows(tmp_path, 5)[:-1]
    (samples,) = reader(brightness).read_batches([some], threads=1, ahead=1)
    assert brightness.counts == [4, 1, 1, 1, 1]
    for number, sample in enumerate(samples):
        assert isinstance(sample, Sample)
        assert (sample.failure is None) == (number != 2) == sample.estimated


def test_any_number_of_rows_is_read_in_order(tmp_path: Path) -> None:
    brightness, count = Brightness(), AT_ONCE + 3
    samples = list(reader(brightness).read_rows(rows(tmp_path, count), threads=2))
    assert brightness.counts == [AT_ONCE, 2]
    ids = [it.row.row_id if isinstance(it, Sample) else it.row_id for it in samples]
    assert ids == [str(number) for number in range(count)]


def test_an_onnx_file_is_an_estimator(tmp_path: Path) -> None:
    address = red_segmenter(tmp_path / "isnet.onnx", offset=0.0)
    settings = ForegroundSettings(source=address)
    estimator = load_estimator(settings, SIZE)
    assert estimator is not None
    assert estimator.estimate_batch is not None
    draw = torch.Generator().manual_seed(0)
    shape = (AT_ONCE + 2, 3, *SIZE)
    picture_BCHW = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
    estimates = estimator.estimate_batch(picture_BCHW)
    assert len(estimates) == len(picture_BCHW)
    for picture_CHW, estimate in zip(picture_BCHW, estimates, strict=True):
        assert torch.equal(estimate.mask_HW > 0, picture_CHW[0] >= 128)
        assert estimator.estimate(picture_CHW).confidence == pytest.approx(estimate.confidence)


def test_another_file_is_not_the_estimator_of_the_run(tmp_path: Path) -> None:
    settings = ForegroundSettings(source=red_segmenter(tmp_path / "red.onnx"))
    estimator = load_estimator(settings, SIZE)
    assert estimator is not None
    same = load_same_estimator(settings, SIZE, estimator.digest)
    assert same is not None
    assert same.digest == estimator.digest
    with pytest.raises(UserError, match="is a different estimator of the foreground here"):
        load_same_estimator(settings, SIZE, "another")


def test_what_is_no_estimator_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        ForegroundSettings(source="estimat")
    assert (
        "unknown source 'estimat' (did you mean 'estimate'?); known are annotated, estimate, "
        "network, torchvision:NAME, onnx:FILE, rembg:NAME and path/to/file.py:function"
    ) in str(caught.value)
