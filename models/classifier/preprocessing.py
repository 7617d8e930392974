"""From a decoded picture to what the network reads. Shapes: B images, C=3 colours, H W pixels.

The geometry (resize, centre crop) is one function for pictures and masks, so that both stay
aligned; the values (scale, mean, std) are applied to whole batches on the device.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, model_validator

from models.addresses import read_text
from models.errors import UserError, find_position
from models.file_kinds import suggest_option

if TYPE_CHECKING:  # settings are checked without torch
    from torch import Tensor

LARGEST = 200_000_000  # pixels of a picture, before and after it is resized
LARGEST_INPUT = 32_000_000  # pixels of what a network reads: its first layer alone takes gigabytes
SMALLEST_STD, LARGEST_VALUE = 1e-4, 10.0  # of values from 0 to 1
OTHER_VALUES = "is not of values from 0 to 1; divide mean and std by 255 if they are of 0 to 255"

Colours = tuple[float, float, float]  # red, green, blue


def refuse_impossible_values(mean: Colours | None, std: Colours | None) -> None:
    """Neither NaN, which is in no range, nor values that a picture would vanish beside."""
    for name, values, least in (("mean", mean, -LARGEST_VALUE), ("std", std, SMALLEST_STD)):
        if not all(least <= value <= LARGEST_VALUE for value in values or ()):
            raise ValueError(f"{name} {list(values or ())} {OTHER_VALUES}")


class Preprocessing(BaseModel):
    """How a model's pictures are prepared: resize (shorter side, or rows and columns), centre crop,
    and the scale of their values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    crop: tuple[PositiveInt, PositiveInt] | None = None
    mean: Colours = (0.5, 0.5, 0.5)
    std: Colours = (0.5, 0.5, 0.5)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True

    @model_validator(mode="after")
    def _has_possible_values(self) -> Preprocessing:
        refuse_impossible_values(self.mean, self.std)
        return self

    @model_validator(mode="after")
    def _has_one_size(self) -> Preprocessing:
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError(
                "pictures would have different sizes: set crop, or resize to [rows, columns]"
            )
        self._refuse_sizes_beyond_memory()
        return self

    def _refuse_sizes_beyond_memory(self) -> None:
        rows, columns = self.size
        if rows * columns > LARGEST_INPUT:
            raise ValueError(
                f"pictures of {columns}x{rows} pixels do not fit into memory: at most "
                f"{LARGEST_INPUT // 10**6} million pixels are allowed"
            )
        shorter = self.resize if isinstance(self.resize, int) else 1
        resized = self.resize if isinstance(self.resize, tuple) else (shorter, shorter)
        if resized[0] * resized[1] > LARGEST:
            raise ValueError(
                f"pictures resized to {self.resize} do not fit into memory: at most "
                f"{LARGEST // 10**6} million pixels are allowed"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of every preprocessed picture."""
        size = self.crop or self.resize
        assert isinstance(size, tuple)
        return size

    def describe(self) -> str:
        """One line for logs and reports."""
        resize = "not resized" if self.resize is None else f"resized to {self.resize}"
        crop = "" if self.crop is None else f", cropped to {self.crop[0]}x{self.crop[1]}"
        return f"{resize}{crop}, mean {self.mean}, std {self.std}"

    def resize_and_crop(self, picture_CHW: Tensor) -> Tensor:
        """A uint8 picture or mask of any size, resized and cropped to `size`; still uint8."""
        size = tuple(picture_CHW.shape[-2:])
        if self.resize in (None, size) and self.crop in (None, size):
            return picture_CHW

        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional as geometry

        if self.resize is not None:
            self._refuse_growth(*picture_CHW.shape[-2:])
            target = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            picture_CHW = geometry.resize(
                picture_CHW, target, InterpolationMode(self.interpolation), antialias=self.antialias
            )
        if self.crop is not None:
            picture_CHW = geometry.center_crop(picture_CHW, list(self.crop))
        return picture_CHW

    def _refuse_growth(self, rows: int, columns: int) -> None:
        """A very long, narrow picture would grow beyond memory when its shorter side is resized."""
        if isinstance(self.resize, int):
            shorter, longer = sorted((rows, columns))
            length = self.resize * longer // shorter
            if self.resize * length > LARGEST:
                raise UserError(
                    f"its {columns}x{rows} pixels, resized to {self.resize} on the shorter side, "
                    f"would be {length} on the longer: at most {LARGEST // 10**6} million "
                    "pixels are allowed"
                )

    def normalise(self, picture_BCHW: Tensor) -> Tensor:
        """uint8 pictures as the network reads them: float32, (x / 255 - mean) / std."""
        import torch

        device = picture_BCHW.device
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=device)[:, None, None]
        shift = torch.tensor(
            [-m / s for m, s in zip(self.mean, self.std, strict=True)], device=device
        )[:, None, None]
        return picture_BCHW.float().mul_(scale).add_(shift)

    def denormalise(self, image_BCHW: Tensor) -> Tensor:
        """Normalised images back to uint8 pictures."""
        import torch

        mean_C11, std_C11 = (
            torch.tensor(values, device=image_BCHW.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        picture_BCHW = 255 * (image_BCHW * std_C11 + mean_C11)
        return picture_BCHW.round().clamp(0, 255).to(torch.uint8)


def read_preprocessing(value: object) -> object:
    """The content of the JSON file that a text names; anything else as it is."""
    if not isinstance(value, str):
        return value
    text = read_text(value)
    if text is None:
        raise UserError(f"preprocessing {value} not found: give a JSON file of resize, crop, …")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        words = suggest_option(text, "--preprocessing") or "correct it there"
        raise UserError(
            f"preprocessing {value} is not JSON{find_position(error)}: {words}"
        ) from error
