"""Does the prediction depend on what a map calls important? Pixels are removed or restored in its
order.

Shapes: B images, b of them in one call, C colours, H W pixels, h w cells of the map, t u tiles,
N ranks in an order, K classes, S states between the endpoints of a curve, s of them in one call.
A state is a picture of which some pixels are replaced.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.map_quality.localisation import enlarge, is_ordered, ranks
from models.methods.smoothing import blur
from models.network.explain_request import ExplainRequest

VERSION = 1  # of all figures, those of models/map_quality/localisation.py among them
STEPS = 20  # of a curve, of equally many pixels; a multiple of 10: 30%, 60% and 90% are states
TILES = 28  # per side: 8 pixels each at 224


@dataclass(frozen=True)
class Faithfulness:
    """Figures of each image (B,), from the target's probability; NaN for a constant map."""

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
    drop: Tensor  # share of the probability that is lost when the picture is multiplied by the map
    increase: Tensor  # 1 if the probability grows by that, else 0


@dataclass(frozen=True)
class Endpoint:
    """The first or the last state of a curve."""

    picture_BCHW: Tensor  # or what broadcasts to it
    probability_B: Tensor


@dataclass(frozen=True)
class Endpoints:
    """All that does not depend on the map: computed once per batch, for all its maps."""

    clean: Endpoint
    mean: Endpoint  # of the data: zero
    blur: Endpoint
    colour: Endpoint  # the picture's own mean colour


@dataclass(frozen=True)
class Order:
    """The order in which pixels are replaced."""

    rank_BHW: Tensor  # the pixels of a tile have the same rank
    count: int  # of ranks

    def is_replaced(self, image: slice, state_s: Tensor) -> Tensor:
        """Which pixels are replaced, in each of these states (b, s, 1, H, W)."""
        first_s = (2 * self.count * state_s + STEPS) // (2 * STEPS)  # rounded half up
        return (self.rank_BHW[image, None] < first_s[:, None, None])[:, :, None]


def find_endpoints(request: ExplainRequest) -> Endpoints:
    """Three passes per image."""
    image_BCHW = request.image_BCHW
    blank_1CHW = torch.zeros_like(image_BCHW[:1])
    with torch.no_grad():
        blank_1K = request.logits_of(blank_1CHW).softmax(1)
    zero_B111 = image_BCHW.new_zeros(()).expand(len(image_BCHW), 1, 1, 1)
    return Endpoints(
        clean=_endpoint(request, image_BCHW),
        mean=Endpoint(zero_B111, blank_1K[0, request.target_B]),
        blur=_endpoint(request, blur(image_BCHW)),
        colour=_endpoint(request, image_BCHW.mean((2, 3), keepdim=True)),
    )


def measure(request: ExplainRequest, map_Bhw: Tensor, ends: Endpoints) -> Faithfulness:
    """Every figure of non-negative maps; 6 (STEPS - 1) + 1 passes per image."""
    map_BHW = enlarge(map_Bhw, request.image_BCHW.shape[2:])
    pixels = hottest_first(map_BHW)
    most, least = _tile_orders(map_BHW)
    deletion_BS = curve(request, ends.clean, ends.mean, pixels)
    figures = {
        "deletion_mean": _area(deletion_BS),
        "deletion_blur": _area(curve(request, ends.clean, ends.blur, pixels)),
        "insertion_mean": _area(curve(request, ends.mean, ends.clean, pixels)),
        "insertion_blur": _area(curve(request, ends.blur, ends.clean, pixels)),
        "morf": _area(curve(request, ends.clean, ends.colour, most)),
        "lerf": _area(curve(request, ends.clean, ends.colour, least)),
        "clean": ends.clean.probability_B,
        "degraded": ends.colour.probability_B,
        **{f"kept_{share}": deletion_BS[:, STEPS * share // 100] for share in (30, 60, 90)},
        **_drop_and_increase(request, map_BHW, ends.clean.probability_B),
    }
    ordered_B = is_ordered(map_Bhw)
    return Faithfulness(
        **{name: value.where(ordered_B, torch.nan) for name, value in figures.items()}
    )


def hottest_first(map_BHW: Tensor) -> Order:
    """Pixel by pixel; equally hot ones by position."""
    return Order(ranks(map_BHW.flatten(1)).view_as(map_BHW), map_BHW[0].numel())


def curve(request: ExplainRequest, start: Endpoint, finish: Endpoint, order: Order) -> Tensor:
    """The target's probability from one endpoint to the other (B, STEPS + 1)."""
    images = max(1, request.batch_size // (STEPS - 1))  # in one call, all states of each
    between_BS = torch.cat(
        [
            _curve_between(request, start, finish, order, slice(first, first + images))
            for first in range(0, len(request.target_B), images)
        ]
    )
    ends = start.probability_B[:, None], finish.probability_B[:, None]
    return torch.cat([ends[0], between_BS, ends[1]], 1)


def _endpoint(request: ExplainRequest, picture_BCHW: Tensor) -> Endpoint:
    whole_BCHW = torch.empty_like(request.image_BCHW).copy_(picture_BCHW)
    return Endpoint(picture_BCHW, _probabilities(request, whole_BCHW, request.target_B))


def _curve_between(
    request: ExplainRequest, start: Endpoint, finish: Endpoint, order: Order, image: slice
) -> Tensor:
    """The target's probability in the states between, for these images (b, STEPS - 1)."""
    before_b1CHW, after_b1CHW = (end.picture_BCHW[image, None] for end in (start, finish))
    target_b1 = request.target_B[image, None]
    probabilities = []
    for state_s in torch.split(torch.arange(1, STEPS, device=target_b1.device), request.batch_size):
        is_after_bs1HW = order.is_replaced(image, state_s)
        picture_bsCHW = torch.where(is_after_bs1HW, after_b1CHW, before_b1CHW)
        target_bs = target_b1.expand(-1, len(state_s))
        probability_N = _probabilities(request, picture_bsCHW.flatten(0, 1), target_bs.flatten())
        probabilities.append(probability_N.view_as(target_bs))
    return torch.cat(probabilities, 1)


def _tile_orders(map_BHW: Tensor) -> tuple[Order, Order]:
    """Tiles in order of mean heat: most relevant first, and least relevant first."""
    height, width = map_BHW.shape[1:]
    tile_H, tile_W = (_tile_index(pixels, map_BHW.device) for pixels in (height, width))
    row_Ht, column_Wu = (functional.one_hot(tile).double() for tile in (tile_H, tile_W))
    # In float64 the sum does not depend on the order of summation, so that ties stay ties.
    sum_Btu = torch.einsum("Ht,bHW,Wu->btu", row_Ht, map_BHW.double(), column_Wu)
    heat_BN = (sum_Btu / row_Ht.sum(0)[:, None] / column_Wu.sum(0)).flatten(1)
    orders = []
    for score_BN in (heat_BN, -heat_BN):
        rank_Btu = ranks(score_BN).view_as(sum_Btu)
        orders.append(Order(rank_Btu[:, tile_H][:, :, tile_W], heat_BN.shape[1]))
    return orders[0], orders[1]


def _tile_index(pixels: int, device: torch.device) -> Tensor:
    """The index of each pixel's tile along a side; tiles differ by at most one pixel."""
    return torch.arange(pixels, device=device) * min(TILES, pixels) // pixels


def _drop_and_increase(
    request: ExplainRequest, map_BHW: Tensor, clean_B: Tensor
) -> dict[str, Tensor]:
    """Chattopadhyay et al. 2018: the prediction for the picture times the map scaled to 0..1."""
    low_B11 = map_BHW.amin((1, 2), keepdim=True)
    scaled_BHW = (map_BHW - low_B11) / (map_BHW.amax((1, 2), keepdim=True) - low_B11)
    masked_B = _probabilities(request, request.image_BCHW * scaled_BHW[:, None], request.target_B)
    lost_B = clean_B - masked_B
    return {
        "drop": lost_B.clamp(min=0) / clean_B,
        "increase": (lost_B < 0).to(lost_B).where(lost_B.isfinite(), torch.nan),
    }


def _area(curve_BS: Tensor) -> Tensor:
    """The area under the curve, by trapezoids; the share of replaced pixels goes from 0 to 1."""
    return torch.trapezoid(curve_BS, dx=1 / (curve_BS.shape[1] - 1), dim=1)


def _probabilities(request: ExplainRequest, picture_BCHW: Tensor, target_B: Tensor) -> Tensor:
    """The probability of each picture's target, in calls of `batch_size` pictures."""
    probabilities = []
    for picture_bCHW, target_b in zip(
        torch.split(picture_BCHW, request.batch_size),
        torch.split(target_B, request.batch_size),
        strict=True,
    ):
        with torch.no_grad():
            probability_bK = request.logits_of(picture_bCHW).softmax(1)
        probabilities.append(probability_bK.gather(1, target_b[:, None])[:, 0])
    return torch.cat(probabilities)
