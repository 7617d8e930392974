"""Ways to move a picture within its frame, which keep all of its pixels.

Shapes: ... any dimensions before them, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Move:
    """Mirrored or not, then rolled by shares of the sides, around the edges."""

    mirrored: bool
    down: float
    right: float

    def apply(self, picture_HW: Tensor) -> Tensor:
        """Of one picture or of several, (..., H, W)."""
        height, width = picture_HW.shape[-2:]
        shift = round(self.down * height), round(self.right * width)
        turned_HW = picture_HW.flip(-1) if self.mirrored else picture_HW
        return turned_HW.roll(shift, (-2, -1))


MOVES = {  # of an image's own background, by the words that tables keep
    "mirrored": Move(True, 0, 0),
    "half a side right": Move(False, 0, 0.5),
    "half a side down": Move(False, 0.5, 0),
    "a third right, mirrored": Move(True, 0, 1 / 3),
    "a third left": Move(False, 0, -1 / 3),
    "half a side both ways, mirrored": Move(True, 0.5, 0.5),
}
