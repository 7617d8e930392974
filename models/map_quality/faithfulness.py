"""Does the prediction follow what a map calls important? Pixels go, or come back, in its order.

Shapes: B images, b of them in one call, C colours, H W pixels, h w cells of the map, t u tiles,
N things in an order, K classes, S states between the ends of a curve, s of them in one call.
A state is a picture of which some pixels are exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.map_quality.localisation import enlarge, is_ordered, ranks
from models.methods.smoothing import blur
from models.network.question import Question

VERSION = 1  # of all figures, those of models/map_quality/localisation.py among them
STEPS = 20  # of a curve, as many pixels each; a multiple of 10: 30%, 60% and 90% are states
TILES = 28  # a side: 8 pixels each at 224


@dataclass(frozen=True)
class Faithfulness:
    """Figures of each image (B,), from the target's probability; NaN where a map has no order."""

    deletion_mean: Tensor  # area under the curve from the picture to the data's mean, hottest first
    deletion_blur: Tensor  # from the picture to its blur
    insertion_mean: Tensor  # from the data's mean to the picture
    insertion_blur: Tensor
    morf: Tensor  # from the picture to its mean colour, by tiles, most relevant first
    lerf: Tensor  # least relevant first
    clean: Tensor  # probability of the picture as it is
    degraded: Tensor  # of its mean colour alone
    kept_30: Tensor  # when the hottest 30% of the pixels are the data's mean
    kept_60: Tensor
    kept_90: Tensor
    drop: Tensor  # share of the probability that is lost under the map as a veil
    increase: Tensor  # 1 where the probability grows under it, else 0


@dataclass(frozen=True)
class End:
    """What a curve begins or ends with."""

    picture_BCHW: Tensor  # or what broadcasts to it
    probability_B: Tensor


@dataclass(frozen=True)
class Ends:
    """All that does not depend on the map: once a batch, for every map of it."""

    clean: End
    mean: End  # of the data: zero
    blur: End
    colour: End  # the picture's own mean colour


@dataclass(frozen=True)
class Order:
    """When each pixel is exchanged."""

    rank_BHW: Tensor  # the pixels of a tile share theirs
    count: int  # of ranks

    def exchanged(self, image: slice, state_s: Tensor) -> Tensor:
        """Which pixels are, in each of these states (b, s, 1, H, W)."""
        first_s = (2 * self.count * state_s + STEPS) // (2 * STEPS)  # rounded half up
        return (self.rank_BHW[image, None] < first_s[:, None, None])[:, :, None]


def find_ends(asked: Question) -> Ends:
    """Three passes an image."""
    image_BCHW = asked.image_BCHW
    blank_1CHW = torch.zeros_like(image_BCHW[:1])
    with torch.no_grad():
        blank_1K = asked.logits_of(blank_1CHW).softmax(1)
    nothing_B111 = image_BCHW.new_zeros(()).expand(len(image_BCHW), 1, 1, 1)
    return Ends(
        clean=_end(asked, image_BCHW),
        mean=End(nothing_B111, blank_1K[0, asked.target_B]),
        blur=_end(asked, blur(image_BCHW)),
        colour=_end(asked, image_BCHW.mean((2, 3), keepdim=True)),
    )


def measure(asked: Question, map_Bhw: Tensor, ends: Ends) -> Faithfulness:
    """Every figure of maps of energy (never negative); 6 (STEPS - 1) + 1 passes an image."""
    map_BHW = enlarge(map_Bhw, asked.image_BCHW.shape[2:])
    pixels = hottest_first(map_BHW)
    most, least = _tiles_of(map_BHW)
    deletion_BS = curve(asked, ends.clean, ends.mean, pixels)
    found = {
        "deletion_mean": _area(deletion_BS),
        "deletion_blur": _area(curve(asked, ends.clean, ends.blur, pixels)),
        "insertion_mean": _area(curve(asked, ends.mean, ends.clean, pixels)),
        "insertion_blur": _area(curve(asked, ends.blur, ends.clean, pixels)),
        "morf": _area(curve(asked, ends.clean, ends.colour, most)),
        "lerf": _area(curve(asked, ends.clean, ends.colour, least)),
        "clean": ends.clean.probability_B,
        "degraded": ends.colour.probability_B,
        **{f"kept_{share}": deletion_BS[:, STEPS * share // 100] for share in (30, 60, 90)},
        **_under_veil(asked, map_BHW, ends.clean.probability_B),
    }
    ordered_B = is_ordered(map_Bhw)
    return Faithfulness(
        **{name: value.where(ordered_B, torch.nan) for name, value in found.items()}
    )


def hottest_first(map_BHW: Tensor) -> Order:
    """Pixel by pixel; equally hot ones by place."""
    return Order(ranks(map_BHW.flatten(1)).view_as(map_BHW), map_BHW[0].numel())


def curve(asked: Question, start: End, finish: End, order: Order) -> Tensor:
    """The target's probability on the way from one end to the other (B, STEPS + 1)."""
    images = max(1, asked.room // (STEPS - 1))  # in one call, all states of each
    between_BS = torch.cat(
        [
            _between(asked, start, finish, order, slice(first, first + images))
            for first in range(0, len(asked.target_B), images)
        ]
    )
    ends = start.probability_B[:, None], finish.probability_B[:, None]
    return torch.cat([ends[0], between_BS, ends[1]], 1)


def _end(asked: Question, picture_BCHW: Tensor) -> End:
    whole_BCHW = torch.empty_like(asked.image_BCHW).copy_(picture_BCHW)
    return End(picture_BCHW, _probabilities(asked, whole_BCHW, asked.target_B))


def _between(asked: Question, start: End, finish: End, order: Order, image: slice) -> Tensor:
    """Of these images (b, STEPS - 1)."""
    before_b1CHW, after_b1CHW = (end.picture_BCHW[image, None] for end in (start, finish))
    target_b1 = asked.target_B[image, None]
    found = []
    for state_s in torch.split(torch.arange(1, STEPS, device=target_b1.device), asked.room):
        is_after_bs1HW = order.exchanged(image, state_s)
        picture_bsCHW = torch.where(is_after_bs1HW, after_b1CHW, before_b1CHW)
        target_bs = target_b1.expand(-1, len(state_s))
        probability_N = _probabilities(asked, picture_bsCHW.flatten(0, 1), target_bs.flatten())
        found.append(probability_N.view_as(target_bs))
    return torch.cat(found, 1)


def _tiles_of(map_BHW: Tensor) -> tuple[Order, Order]:
    """The orders of tiles by mean heat: most relevant first, least relevant first."""
    height, width = map_BHW.shape[1:]
    tile_H, tile_W = (_tile_of(pixels, map_BHW.device) for pixels in (height, width))
    row_Ht, column_Wu = (functional.one_hot(tile).double() for tile in (tile_H, tile_W))
    # In double precision the sum does not depend on its order, so that ties stay ties.
    sum_Btu = torch.einsum("Ht,bHW,Wu->btu", row_Ht, map_BHW.double(), column_Wu)
    heat_BN = (sum_Btu / row_Ht.sum(0)[:, None] / column_Wu.sum(0)).flatten(1)
    found = []
    for score_BN in (heat_BN, -heat_BN):
        rank_Btu = ranks(score_BN).view_as(sum_Btu)
        found.append(Order(rank_Btu[:, tile_H][:, :, tile_W], heat_BN.shape[1]))
    return found[0], found[1]


def _tile_of(pixels: int, device: torch.device) -> Tensor:
    """Which of the tiles along a side each pixel is in; tiles differ by at most one pixel."""
    return torch.arange(pixels, device=device) * min(TILES, pixels) // pixels


def _under_veil(asked: Question, map_BHW: Tensor, clean_B: Tensor) -> dict[str, Tensor]:
    """Chattopadhyay et al. 2018: the picture times the map, scaled to 0..1."""
    low_B11 = map_BHW.amin((1, 2), keepdim=True)
    veil_BHW = (map_BHW - low_B11) / (map_BHW.amax((1, 2), keepdim=True) - low_B11)
    seen_B = _probabilities(asked, asked.image_BCHW * veil_BHW[:, None], asked.target_B)
    lost_B = clean_B - seen_B
    return {
        "drop": lost_B.clamp(min=0) / clean_B,
        "increase": (lost_B < 0).to(lost_B).where(lost_B.isfinite(), torch.nan),
    }


def _area(curve_BS: Tensor) -> Tensor:
    """Under the curve, by trapezoids; the pixels exchanged go from 0 to 1."""
    return torch.trapezoid(curve_BS, dx=1 / (curve_BS.shape[1] - 1), dim=1)


def _probabilities(asked: Question, picture_BCHW: Tensor, target_B: Tensor) -> Tensor:
    """Of each picture's class, never more pictures in one call than there is room for."""
    found = []
    for some_bCHW, target_b in zip(
        torch.split(picture_BCHW, asked.room), torch.split(target_B, asked.room), strict=True
    ):
        with torch.no_grad():
            probability_bK = asked.logits_of(some_bCHW).softmax(1)
        found.append(probability_bK.gather(1, target_b[:, None])[:, 0])
    return torch.cat(found)
