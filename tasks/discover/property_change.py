"""A whole picture given a property of another: as blurred as it, or as poor a JPEG.

Some shortcuts are in every pixel: another background has them beside the object alone. Shapes: B
images, M pictures whose property is given, C=3, H W pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.classifier.preprocessing import Preprocessing
from tasks.pictures.properties import measure_pictures
from tasks.pictures.samples import Sample

Property = Literal["sharpness", "jpeg_quality"]
CHANGED: dict[str, Property] = {  # by the grouping that finds them
    "low sharpness": "sharpness",
    "low jpeg_quality": "jpeg_quality",
}
DEVIATIONS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4, 1.8, 2.4, 3.2)  # pixels, of blurs
BEST = 100.0  # quality that changes nothing, of files of other formats


@dataclass(frozen=True)
class PropertyChange:
    """What is given, and how normalised images become pictures again."""

    name: Property
    preprocessing: Preprocessing

    def level(self, sample: Sample) -> float:
        """Of a picture that it is taken from; its file was measured."""
        if self.name == "jpeg_quality":
            quality = None if sample.file is None else sample.file.jpeg_quality
            return BEST if quality is None else quality
        return float(measure_pictures(sample.picture_CHW[None])["sharpness"])

    def put(self, image_BCHW: Tensor, mask_BHW: Tensor, level: float) -> Tensor:
        """Images, objects included, at this level if they were better before; unchanged where it
        has no meaning."""
        if not np.isfinite(level):
            return image_BCHW
        if self.name == "jpeg_quality":
            return self._compress(image_BCHW, level)
        return self._blur(image_BCHW, level)

    def _compress(self, image_BCHW: Tensor, quality: float) -> Tensor:
        if quality >= BEST:
            return image_BCHW
        pictures = [
            _compress(it, int(quality)) for it in self.preprocessing.denormalise(image_BCHW)
        ]
        return self.preprocessing.normalise(torch.stack(pictures).to(image_BCHW.device))

    def _blur(self, image_BCHW: Tensor, level: float) -> Tensor:
        """By the weakest blur after which each image is no sharper than this."""
        result_BCHW, sharp_B = image_BCHW.clone(), torch.ones(len(image_BCHW), dtype=torch.bool)
        for deviation in DEVIATIONS:
            blurred_BCHW = _blur(image_BCHW, deviation)
            result_BCHW[sharp_B] = blurred_BCHW[sharp_B]
            measured = measure_pictures(self.preprocessing.denormalise(blurred_BCHW))["sharpness"]
            sharp_B &= (measured > level).to(sharp_B.device)
            if not sharp_B.any():
                break
        return result_BCHW


def _compress(picture_CHW: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(picture_CHW.permute(1, 2, 0).cpu().numpy()).save(file, "jpeg", quality=quality)
    with Image.open(file) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _blur(image_BCHW: Tensor, deviation: float) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    if not deviation:
        return image_BCHW
    kernel = 2 * round(3 * deviation) + 1
    blurred_BCHW: Tensor = gaussian_blur(image_BCHW, [kernel, kernel], [deviation, deviation])
    return blurred_BCHW
