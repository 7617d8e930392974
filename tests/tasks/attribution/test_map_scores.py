"""Scores in Arrow: null where they are undefined, and as the oracles compute them elsewhere."""

from __future__ import annotations

import pytest
import torch

from tasks import schema
from tasks.attribution.map_scores import score_maps


def test_a_map_on_the_object_scores_one_and_an_even_map_lifts_one() -> None:
    mask_BHW = torch.zeros(2, 8, 8)
    mask_BHW[:, :4, :4] = 1
    map_Bhw = torch.zeros(2, 4, 4)
    map_Bhw[0, :2, :2] = 3.0
    map_Bhw[1] = 1.0
    rows = score_maps(["on", "even"], map_Bhw, mask_BHW).to_pylist()
    on = {"row_id": "on", "area": 0.25, "share": 1.0, "lift": 4.0, "pointing": True}
    assert rows[0] == on | {"centred_lift": None}
    assert rows[1]["share"] == 0.25
    assert rows[1]["lift"] == 1.0


def test_lift_is_compared_with_that_of_other_images_masks() -> None:
    """A map of the middle, where most objects are, has lift without looking at the picture."""
    middle_HW, corner_HW = torch.zeros(8, 8), torch.zeros(8, 8)
    middle_HW[2:6, 2:6] = 1
    corner_HW[:2, :2] = 1
    other_Mhw = torch.stack([middle_HW, middle_HW, corner_HW])
    middle, both = score_maps(
        ["middle", "both"],
        torch.stack([middle_HW, middle_HW + corner_HW]),
        torch.stack([middle_HW, corner_HW]),
        other_Mhw,
    ).to_pylist()
    assert middle["lift"] == pytest.approx(4)
    assert middle["centred_lift"] == pytest.approx(4 / ((4 + 4 + 0) / 3))
    on_middle, on_corner = 16 / 20 / 0.25, 4 / 20 / 0.0625
    assert both["centred_lift"] == pytest.approx(on_corner / ((2 * on_middle + on_corner) / 3))


def test_a_map_of_zeros_has_no_share() -> None:
    row = score_maps(["zero"], torch.zeros(1, 2, 2), torch.ones(1, 4, 4)).to_pylist()[0]
    assert (row["share"], row["lift"], row["pointing"]) == (None, None, None)
    assert row["area"] == 1.0


def test_an_empty_foreground_has_no_lift() -> None:
    row = score_maps(["empty"], torch.ones(1, 2, 2), torch.zeros(1, 4, 4)).to_pylist()[0]
    assert (row["share"], row["lift"]) == (0.0, None)


def test_no_rows_keep_the_schema() -> None:
    record = score_maps([], torch.zeros(0, 2, 2), torch.zeros(0, 4, 4))
    assert record.schema == schema.SCORES
    assert record.num_rows == 0


@pytest.mark.parametrize("cells", [(3, 3), (5, 7)])
def test_an_even_map_lifts_one_also_where_cells_do_not_divide_pixels(
    cells: tuple[int, int],
) -> None:
    mask_BHW = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0)).round()
    row = score_maps(["even"], torch.ones(1, *cells), mask_BHW).to_pylist()[0]
    assert row["lift"] == pytest.approx(1.0, abs=1e-6)
