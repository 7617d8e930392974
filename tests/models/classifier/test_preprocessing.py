"""The same pictures as torchvision's own presets make, and masks that stay under them."""

from __future__ import annotations

import pytest
import torch
import torchvision
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import to_pil_image

from models.classifier.bundle import describe_first_problem
from models.classifier.preprocessing import Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_LEVEL = 1 / 255 / min(STD)
SIZES = [(300, 260), (260, 301), (97, 400), (232, 232)]


def smooth_picture(rows: int, columns: int) -> Tensor:
    """uint8, with slopes as photographs have them, and some noise."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    waves = torch.stack([(y / 9).sin(), (x / 7).cos(), ((x + y) / 11).sin()])
    noise = torch.rand(waves.shape, generator=torch.Generator().manual_seed(0))
    return (110 + 90 * waves + 40 * noise).to(torch.uint8)


def preset(crop: int, resize: int, interpolation: str = "bilinear") -> ImageClassification:
    mode = torchvision.transforms.InterpolationMode(interpolation)
    return ImageClassification(crop_size=crop, resize_size=resize, interpolation=mode)


@pytest.mark.parametrize("size", SIZES)
def test_a_crop_is_exactly_torchvisions(size: tuple[int, int]) -> None:
    picture_CHW = smooth_picture(*size)
    shorter = min(size)  # so that their resize does nothing
    ours = Preprocessing(resize=shorter, crop=(90, 90), mean=MEAN, std=STD)
    ours_BCHW = ours.normalise(ours.resize_and_crop(picture_CHW)[None])
    torch.testing.assert_close(ours_BCHW[0], preset(90, shorter)(picture_CHW), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_a_resized_picture_is_torchvisions_within_one_grey_level(
    size: tuple[int, int], interpolation: str
) -> None:
    """PIL, floats and integers round differently: torchvision's own two ways differ as much."""
    picture_CHW = smooth_picture(*size)
    ours = Preprocessing.model_validate(
        {"resize": 73, "crop": [64, 64], "mean": MEAN, "std": STD, "interpolation": interpolation}
    )
    ours_CHW = ours.normalise(ours.resize_and_crop(picture_CHW)[None])[0]
    theirs = preset(64, 73, interpolation)
    for expected_CHW in (theirs(picture_CHW), theirs(to_pil_image(picture_CHW))):
        difference_CHW = (ours_CHW - expected_CHW).abs()
        assert difference_CHW.max() < 1.001 * GREY_LEVEL
        assert difference_CHW.mean() < 0.3 * GREY_LEVEL


def test_normalise_is_scale_then_mean_and_deviation() -> None:
    picture_BCHW = smooth_picture(8, 6)[None]
    values_BCHW = Preprocessing(crop=(8, 6), mean=MEAN, std=STD).normalise(picture_BCHW)
    assert values_BCHW.dtype == torch.float32
    for c in range(3):
        expected_HW = (picture_BCHW[0, c].double() / 255 - MEAN[c]) / STD[c]
        torch.testing.assert_close(values_BCHW[0, c].double(), expected_HW, rtol=0, atol=1e-6)


def test_denormalise_gives_the_picture_back() -> None:
    picture_BCHW = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    prepared = Preprocessing(crop=(16, 16), mean=MEAN, std=STD)
    assert torch.equal(prepared.denormalise(prepared.normalise(picture_BCHW)), picture_BCHW)
    beyond_BCHW = torch.full((1, 3, 16, 16), 1e3)
    assert (prepared.denormalise(beyond_BCHW) == 255).all()


def test_normalise_leaves_the_picture_alone() -> None:
    picture_BCHW = smooth_picture(8, 8)[None]
    before_BCHW = picture_BCHW.clone()
    Preprocessing(crop=(8, 8)).normalise(picture_BCHW)
    assert torch.equal(picture_BCHW, before_BCHW)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "prepared",
    [
        Preprocessing(resize=73, crop=(64, 64)),
        Preprocessing(resize=(48, 80)),
        Preprocessing(crop=(64, 96)),
        Preprocessing(resize=73, crop=(96, 64)),  # wider than the picture: edges are padded
    ],
    ids=Preprocessing.describe,
)
def test_a_mask_stays_under_its_picture(prepared: Preprocessing, size: tuple[int, int]) -> None:
    """A picture that IS its mask, three times, goes the same way."""
    mask_1HW = torch.zeros(1, *size, dtype=torch.uint8)
    mask_1HW[:, size[0] // 3 : size[0] // 2, size[1] // 4 : size[1] // 2] = 255
    placed_CHW = prepared.resize_and_crop(mask_1HW.expand(3, -1, -1).contiguous())
    assert prepared.resize_and_crop(mask_1HW).shape == (1, *prepared.size)
    assert placed_CHW.dtype == torch.uint8
    for c in range(3):
        assert torch.equal(placed_CHW[c], prepared.resize_and_crop(mask_1HW)[0])


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    picture_CHW = smooth_picture(64, 48)
    assert torch.equal(Preprocessing(crop=(64, 48)).resize_and_crop(picture_CHW), picture_CHW)
    assert torch.equal(Preprocessing(resize=(64, 48)).resize_and_crop(picture_CHW), picture_CHW)


def test_size_is_rows_and_columns() -> None:
    assert Preprocessing(resize=256, crop=(224, 192)).size == (224, 192)
    assert Preprocessing(resize=(64, 48)).size == (64, 48)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"resize": 256}, "it: pictures would have different sizes: set crop, or resize to "),
        ({}, "it: pictures would have different sizes: set crop, or resize to [rows"),
        ({"crop": [224]}, "it: crop.1: it is missing"),
        ({"crop": [0, 5]}, "it: crop.0: it must be above 0"),
        ({"crop": [5, 5], "std": [1, 0, 1]}, "it: std [1.0, 0.0, 1.0] is not of values from 0 to "),
        ({"crop": [5, 5], "std": [1, 1, 1e-320]}, "it: std [1.0, 1.0, 1e-320] is not of values "),
        ({"crop": [5, 5], "std": [1, 1, 58.395]}, "it: std [1.0, 1.0, 58.395] is not of values fr"),
        (
            {"crop": [5, 5], "std": [1, 1, "nan"]},
            "it: std [1.0, 1.0, nan] is not of values from 0 ",
        ),
        ({"crop": [5, 5], "mean": [0, "inf", 0]}, "it: mean [0.0, inf, 0.0] is not of values from"),
        (
            {"crop": [5, 5], "mean": [123.7, 116, 104]},
            "it: mean [123.7, 116.0, 104.0] is not of va",
        ),
        (
            {"crop": [10**6, 10**6]},
            "it: pictures of 1000000x1000000 pixels do not fit into memory: at ",
        ),
        (
            {"crop": [10**30, 1]},
            "it: pictures of 1x1000000000000000000000000000000 pixels do not fit",
        ),
        (
            {"resize": [10**5, 10**5], "crop": [5, 5]},
            "it: pictures resized to (100000, 100000) do ",
        ),
        (
            {"resize": 10**9, "crop": [5, 5]},
            "it: pictures resized to 1000000000 do not fit into me",
        ),
        ({"crop": [5, 5], "colour": "bgr"}, "it: colour: there is no such key"),
    ],
)
def test_a_preprocessing_that_cannot_work_is_refused(values: dict[str, object], line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Preprocessing.model_validate(values)
    assert describe_first_problem(caught.value, "it").startswith(line)
    assert "\n" not in describe_first_problem(caught.value, "it")


def test_it_describes_itself_in_one_line() -> None:
    words = Preprocessing(resize=256, crop=(224, 224), mean=MEAN, std=STD).describe()
    assert words == f"resized to 256, cropped to 224x224, mean {MEAN}, std {STD}"
