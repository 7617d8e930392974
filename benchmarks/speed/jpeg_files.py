"""JPEG files that cost a decoder what photographs cost: 500x375, about 100 kB, made from a seed.

Noise of every scale, as natural pictures have it, with a few sharp shapes on top.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

VERSION = 1  # of the pictures; another version is another folder
SIZE = (500, 375)  # columns and rows
OCTAVES = (4, 16, 64, 250, 500)  # columns of the grids that the noise is enlarged from
QUALITY = 92


def photographs(count: int) -> Path:
    """A folder of so many photographs, kept between runs in the machine's temporary folder."""
    folder = Path(tempfile.gettempdir()) / f"sightline-photographs-{VERSION}-{count}"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        if not path.exists():
            temporary = path.with_suffix(".tmp")
            draw(number).save(temporary, "JPEG", quality=QUALITY)
            temporary.replace(path)
    return folder


def draw(number: int) -> Image.Image:
    """One photograph."""
    generator = np.random.default_rng(number)
    picture_HWC = sum(_octave(columns, generator) for columns in OCTAVES)
    picture = Image.fromarray(np.clip(128 + picture_HWC, 0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, width, height = generator.integers(20, 300, 4)
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        brush.ellipse((x, y, x + width, y + height), outline=colour, width=5)
    return picture


def _octave(columns: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of one scale: the finer, the fainter."""
    rows = max(3, columns * SIZE[1] // SIZE[0])
    noise_hwC = generator.normal(0, 1, (rows, columns, 3)).astype(np.float32)
    channels = [
        np.asarray(Image.fromarray(noise_hwC[..., channel]).resize(SIZE, Image.Resampling.BICUBIC))
        for channel in range(3)
    ]
    enlarged_HWC: np.ndarray = np.stack(channels, axis=-1) * (60 / columns**0.3)
    return enlarged_HWC
