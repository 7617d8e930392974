"""A network that marks the foreground of pictures without annotations.

Addresses: `torchvision:NAME` (its segmentation networks) with weights, `onnx:FILE`, `rembg:NAME`,
`path/to/file.py:function` (the user's code). Shapes: B pictures, C=3 colours, H W pixels,
K classes, 0 the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.classifier import weights as weight_files
from models.classifier.architectures import BuiltNetwork
from models.classifier.onnx_networks import build_onnx, build_rembg
from models.errors import SegmenterError, describe_error, list_names, suggest
from models.network.capture import as_found
from models.user_code import build_from_file

VERSION = 1  # of how masks are made from logits; part of every digest
TRIAL_SIZE = (224, 224)  # rows and columns
WITH_WEIGHTS = {"onnx": build_onnx, "rembg": build_rembg}  # by scheme
AUXILIARY = "aux_classifier"  # a head that only training uses
EXPECTED = "(batch, 1 or classes, rows, columns), of the picture's size or smaller"


@dataclass(frozen=True)
class Segmenter:
    """A network from RGB (0 to 1) to logits; `digest` names its numbers and how they are read."""

    network: nn.Module
    address: str
    digest: str

    def segment(self, picture_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (uint8, 255 = foreground) of uint8 pictures on the network's device, and how
        certain they are, 0 to 1; 0 where all or nothing is foreground."""
        with as_found(self.network), torch.no_grad():
            output = self.network(picture_BCHW.float() / 255)
        foreground_BHW = _foreground(self._logits(output, picture_BCHW), picture_BCHW)
        marked_BHW = foreground_BHW >= 0.5
        certainty_B = (2 * foreground_BHW - 1).abs().mean((1, 2)).nan_to_num()
        has_both_B = marked_BHW.any(2).any(1) & ~marked_BHW.all(2).all(1)
        return marked_BHW.to(torch.uint8) * 255, certainty_B * has_both_B

    def _logits(self, output: object, picture_BCHW: Tensor) -> Tensor:
        """The network's logits, bare or under `out`; refuses any other output."""
        logits = output["out"] if isinstance(output, Mapping) and "out" in output else output
        if not isinstance(logits, Tensor):
            raise SegmenterError(
                f"segmenter {self.address} gives a {type(logits).__name__}, not logits {EXPECTED}: "
                "return one tensor of them, bare or in a dict as 'out'"
            )
        rows, columns = picture_BCHW.shape[2:]
        fits = logits.ndim == 4 and len(logits) == len(picture_BCHW) and 0 not in logits.shape
        if not fits or logits.shape[2] > rows or logits.shape[3] > columns:
            raise SegmenterError(
                f"segmenter {self.address} gives {tuple(logits.shape)} for pictures "
                f"{tuple(picture_BCHW.shape)}: logits must be {EXPECTED}"
            )
        return logits.float()


def load_segmenter(
    address: str,
    weights: str | None = None,
    *,
    size: tuple[int, int] = TRIAL_SIZE,
    allow_pickle: bool = False,
) -> Segmenter:
    """Build and fill the network, and try it on a black picture of that size."""
    built = _build(address, weights, allow_pickle)
    name = f"segmenter {VERSION} {built.name}"
    digest = weight_files.digest_of(built.network, name, built.source)
    segmenter = Segmenter(built.network, address, digest)
    picture_BCHW = torch.zeros(1, 3, *size, dtype=torch.uint8)
    try:
        segmenter.segment(picture_BCHW)
    except SegmenterError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise SegmenterError(
            f"segmenter {address} does not accept pictures {tuple(picture_BCHW.shape)} "
            f"of RGB from 0 to 1: {describe_error(error)}"
        ) from error
    return segmenter


def _foreground(logits_BKHW: Tensor, picture_BCHW: Tensor) -> Tensor:
    """Foreground probabilities (B, H, W): of the only class, or of all classes but the first."""
    if logits_BKHW.shape[2:] != picture_BCHW.shape[2:]:
        logits_BKHW = functional.interpolate(
            logits_BKHW, list(picture_BCHW.shape[2:]), mode="bilinear", align_corners=False
        )
    if logits_BKHW.shape[1] == 1:
        return logits_BKHW[:, 0].sigmoid()
    return 1 - logits_BKHW.softmax(1)[:, 0]


def _build(address: str, weights: str | None, allow_pickle: bool) -> BuiltNetwork:
    scheme, _, name = address.partition(":")
    if scheme == "torchvision":
        return BuiltNetwork(_torchvision(name, weights, allow_pickle), address)
    if scheme in WITH_WEIGHTS:
        if weights is not None:
            raise SegmenterError(
                f"segmenter {address} has its own weights: leave --foreground-weights out"
            )
        return WITH_WEIGHTS[scheme](name)
    if ".py:" not in address:
        raise SegmenterError(
            f"segmenter {address!r} is not understood: give torchvision:NAME, onnx:FILE, "
            "rembg:NAME or path/to/file.py:function"
        )
    network, source = build_from_file(address, "segmenter")
    if weights is not None:
        weight_files.fill(network, weight_files.read_state(weights, allow_pickle), weights)
    return BuiltNetwork(network, address, source)


def _torchvision(name: str, weights: str | None, allow_pickle: bool) -> nn.Module:
    """A network with as many classes as the weights have, which reads RGB from 0 to 1."""
    import torchvision
    from torchvision.transforms import Normalize

    known = torchvision.models.list_models(module=torchvision.models.segmentation)
    if name not in known:
        raise SegmenterError(
            f"torchvision has no segmentation network {name!r}{suggest(name, known)}; "
            f"known are {list_names(known)}"
        )
    named = torchvision.models.get_model_weights(name)
    if weights is None:
        raise SegmenterError(
            f"torchvision:{name} needs weights: a file, or one of "
            f"{list_names([*named.__members__, 'DEFAULT'])}"
        )
    if weights in named.__members__:
        state = weight_files.download(named[weights])
    else:
        state = weight_files.read_state(weights, allow_pickle)
    state = {key: value for key, value in state.items() if AUXILIARY not in key.split(".")}
    build = partial(_empty, name)
    network = build(weight_files.count_classes(build, state, weights))
    weight_files.fill(network, state, weights)
    values = named.DEFAULT.transforms()
    return nn.Sequential(Normalize(values.mean, values.std), network)


def _empty(name: str, num_classes: int) -> nn.Module:
    """A network with random weights; torchvision would download those of the trunk by default."""
    import torchvision

    network: nn.Module = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=False
    )
    return network
