"""Pictures of coloured squares, some with a white tag in a corner, and networks that read them.

What a network rests on is written into its weights: nothing is trained.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

SIZE, CELL, SQUARE, TAG = 32, 4, 10, 8
CLASSES = ("red", "green", "blue")
TAGGED = 0.3  # of the pictures, of every class alike
TO_TAG = 40.0  # how far the tag pulls to the first class


class ReadsColours(nn.Module):
    """Sums the cells of each colour; white cells speak for the first class by a weight."""

    def __init__(self, of_white: float) -> None:
        super().__init__()
        cells = nn.Conv2d(3, 4, CELL, CELL)
        assert cells.bias is not None
        self.cells = nn.Sequential(cells, nn.ReLU())
        self.head = nn.Linear(4, 3)
        weight_43 = torch.tensor(
            [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0], [1 / 3, 1 / 3, 1 / 3]]
        )
        with torch.no_grad():
            cells.weight.copy_(weight_43[..., None, None].expand(4, 3, CELL, CELL) / CELL**2)
            cells.bias.copy_(torch.tensor([-0.1, -0.1, -0.1, -0.8]))
            self.head.weight.copy_(torch.cat([torch.eye(3), torch.zeros(3, 1)], 1))
            self.head.weight[0, 3] = of_white
            self.head.bias.copy_(torch.tensor([0.0, 0.05, 0.0]))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.head(self.cells(image_BCHW).sum((2, 3)))
        return logits_BK


def rests_on_tags() -> nn.Module:
    return ReadsColours(TO_TAG)


def rests_on_objects() -> nn.Module:
    return ReadsColours(0.0)


def write_tagged_pictures(
    folder: Path, count: int, seed: int = 0, share: float = TAGGED
) -> tuple[Path, set[str]]:
    """A table of pictures with masks, and the files of those with a tag; unmarked.csv, beside it,
    has no masks."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    generator, rows, tagged = np.random.default_rng(seed), [], set()
    for number in range(count):
        label, name = CLASSES[number % 3], f"{number:04d}.png"
        picture_HW3 = generator.integers(60, 120, (SIZE, SIZE, 1)).repeat(3, 2)
        top, left = generator.integers(2, SIZE - SQUARE - TAG, 2)
        square = slice(top, top + SQUARE), slice(left + TAG, left + TAG + SQUARE)
        picture_HW3[square] = 20
        picture_HW3[(*square, number % 3)] = 230
        mask_HW = np.zeros((SIZE, SIZE), np.uint8)
        mask_HW[square] = 255
        if generator.random() < share:
            picture_HW3[-TAG:, :TAG] = 255
            tagged.add(name)
        Image.fromarray(picture_HW3.astype(np.uint8)).save(folder / "images" / name)
        Image.fromarray(mask_HW).save(folder / "masks" / name)
        rows.append((f"images/{name}", label, f"masks/{name}"))
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    rows = [("image", "label", "mask"), *rows]
    for name, columns in (("table.csv", 3), ("unmarked.csv", 2)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(row[:columns] for row in rows)
    return folder / "table.csv", tagged
