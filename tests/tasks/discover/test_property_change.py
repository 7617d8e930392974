"""A property of one picture given to others: as blurred, or as poor a JPEG."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.classifier.preprocessing import Preprocessing
from tasks.discover.property_change import Property, PropertyChange
from tasks.pictures.properties import FileProperties, measure_pictures
from tasks.pictures.rows import Row
from tasks.pictures.samples import Sample

PREPARED = Preprocessing(crop=(64, 64), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def pictures(count: int = 4) -> Tensor:
    """Of blots: edges, and plain between them."""
    generator = torch.Generator().manual_seed(3)
    blots_BCHW = torch.rand(count, 3, 8, 8, generator=generator)
    return (255 * functional.interpolate(blots_BCHW, (64, 64))).to(torch.uint8)


def put(name: Property, level: float) -> Tensor:
    """uint8 pictures after the change."""
    change = PropertyChange(name, PREPARED)
    image_BCHW = PREPARED.normalise(pictures())
    return PREPARED.denormalise(change.put(image_BCHW, torch.zeros(4, 64, 64), level))


@pytest.mark.parametrize("level", [0.7, 0.9])
def test_no_image_is_sharper_than_the_level_afterwards(level: float) -> None:
    assert (measure_pictures(pictures())["sharpness"] > level).all()
    assert (measure_pictures(put("sharpness", level))["sharpness"] <= level).all()


def test_an_image_that_is_blurred_enough_stays_as_it_is() -> None:
    assert torch.equal(put("sharpness", 10.0), pictures())
    assert torch.equal(put("sharpness", float("nan")), pictures())


def test_a_poorer_jpeg_differs_more() -> None:
    apart = [
        float((put("jpeg_quality", quality).float() - pictures().float()).abs().mean())
        for quality in (100, 90, 50, 10)
    ]
    assert apart[0] == 0
    assert apart == sorted(apart)
    assert apart[-1] > 2 * apart[1]


def test_the_level_is_measured_on_the_picture_or_its_file() -> None:
    file = FileProperties(64, 64, 1.0, 35.0)
    sample = Sample(Row("a", "a.jpg", None), "0", pictures(1)[0], None, file=file)
    assert PropertyChange("jpeg_quality", PREPARED).level(sample) == 35
    sharpness = float(measure_pictures(pictures(1))["sharpness"])
    assert PropertyChange("sharpness", PREPARED).level(sample) == pytest.approx(sharpness)


def test_a_file_of_another_format_is_the_best() -> None:
    sample = Sample(Row("a", "a.png", None), "0", pictures(1)[0], None)
    assert PropertyChange("jpeg_quality", PREPARED).level(sample) == 100
