"""Where the map of an exemplar lies; tests/flows/test_pattern_page.py has the pictures of a run."""

from __future__ import annotations

import numpy as np

from tasks.discover.pattern_pictures import attended


def test_the_outline_holds_half_of_the_energy_and_no_pixel_more_than_it_needs() -> None:
    map_HW = np.random.default_rng(0).random((12, 9)) ** 3
    attended_HW = attended(map_HW, None)
    assert attended_HW is not None
    held = map_HW[attended_HW]
    assert held.sum() >= map_HW.sum() / 2 > held.sum() - held.min()
    assert held.min() > map_HW[~attended_HW].max()


def test_energy_on_the_object_and_below_zero_does_not_count() -> None:
    map_HW = np.array([[9.0, 1.0], [-5.0, 3.0]])
    mask_HW = np.array([[True, False], [False, False]])
    attended_HW = attended(map_HW, mask_HW)
    assert attended_HW is not None
    assert attended_HW.tolist() == [[False, False], [False, True]]


def test_without_energy_beside_the_object_nothing_is_outlined() -> None:
    assert attended(np.zeros((4, 4)), None) is None
    assert attended(np.full((4, 4), np.nan), None) is None
    assert attended(np.ones((4, 4)), np.ones((4, 4), bool)) is None
