"""A small dataset in VOC's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_voc(root: Path) -> Path:
    """Three pictures: a cat, a bird beside a cat, and one that no split names."""
    for folder in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    objects = {"2007_1": ["cat", "cat"], "2007_2": ["bird", "cat"], "2007_3": ["bird"]}
    for stem, names in objects.items():
        Image.new("RGB", (8, 8)).save(root / "JPEGImages" / f"{stem}.jpg")
        index_HW = np.zeros((8, 8), np.uint8)
        index_HW[1:3], index_HW[3], index_HW[5:7] = 8, 255, 3
        mask = Image.fromarray(index_HW)
        mask.putpalette([n for colour in range(256) for n in (colour, 0, 0)])
        mask.save(root / "SegmentationClass" / f"{stem}.png")
        text = "".join(f"<object><name>{name}</name></object>" for name in names)
        (root / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{text}</annotation>")
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_1\n2007_2\n")
    (root / "ImageSets/Segmentation/train.txt").write_text("")
    return root
