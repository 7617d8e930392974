"""How pictures stand in a page."""

from __future__ import annotations

import numpy as np

from reports.rendering import picture_address


def test_pictures_have_the_smaller_format() -> None:
    drawing_HW3 = np.zeros((64, 64, 3), np.uint8)
    drawing_HW3[20:40, 20:40] = 255
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert picture_address(drawing_HW3).startswith("data:image/png;base64,")
    assert picture_address(noise_HW3).startswith("data:image/jpeg;base64,")
