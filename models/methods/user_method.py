"""A user's own attribution method: `path/to/file.py:function`, loaded like a user's network.

    def my_method(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor

`images` (B, 3, H, W) are as the model gets them, `targets` (B) are the classes to explain, and the
maps (B, h, w) may be signed. The model is in evaluation mode and its weights are frozen; it is
restored after each call, and each call draws the same random numbers.
Shapes: B images, C=3 colours, H W pixels, h w cells of the map.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.errors import UserError
from models.network.explain_request import ExplainRequest
from models.network.isolation import fixed_seed, restoring
from models.user_calls import user_call
from models.user_code import UserFunction, load_function, split_address

TOLERANCE = 0.05  # of the largest value; float32 varies less with the batch size
_lock = threading.Lock()  # loading changes the path and the modules of the whole process
_loaded: dict[tuple[Path, str], tuple[UserFunction, list[tuple[int, int] | None]]] = {}


def digests_of(address: str) -> str:
    """The digests of the file and of the user's modules that it loads."""
    return _load(address).digests


def explain(request: ExplainRequest, address: str) -> Tensor:
    """Signed maps (B, h, w)."""
    return torch.cat([_explain_batch(batch, address) for batch in request.batches(1)])


def check(request: ExplainRequest, address: str) -> None:
    """Explain two random pictures together and alone; refuse maps that depend on the batch."""
    generator = torch.Generator().manual_seed(0)
    noise_2CHW = torch.randn(2, *request.image_BCHW.shape[1:], generator=generator)
    noise_2CHW[1] /= 2  # so that e.g. the batch's largest value is not the second's
    image_2CHW = noise_2CHW.to(request.image_BCHW)
    target_2 = request.logits_of(image_2CHW).argmax(1)
    pair = replace(request, image_BCHW=image_2CHW, target_B=target_2, batch_size=2)
    together_2hw = explain(pair, address)
    alone = [explain(batch, address) for batch in replace(pair, batch_size=1).batches(1)]
    _check_finite(address, [together_2hw, *alone])
    for together_hw, alone_1hw in zip(together_2hw, alone, strict=True):
        _check_same(address, together_hw, alone_1hw[0])


def _check_finite(address: str, maps: Sequence[Tensor]) -> None:
    numbers = torch.cat([map_Bhw.flatten() for map_Bhw in maps])
    invalid = int((~numbers.isfinite()).sum())
    if invalid:
        raise UserError(
            f"method {address} gives NaN or infinity in {invalid} of {len(numbers)} numbers for "
            "random pictures: return finite numbers, and look for divisions by zero"
        )


def _check_same(address: str, together_hw: Tensor, alone_hw: Tensor) -> None:
    """A map must not depend on the other images in its batch."""
    if together_hw.shape != alone_hw.shape:
        sizes = [f"{shape[0]}x{shape[1]}" for shape in (together_hw.shape, alone_hw.shape)]
        raise UserError(
            f"method {address} gives a map of {sizes[0]} cells in a batch of two and of {sizes[1]} "
            "alone: return the same number of cells for every image"
        )
    largest = float(torch.maximum(together_hw.abs().max(), alone_hw.abs().max()))
    difference = float((together_hw - alone_hw).abs().max())
    if difference > TOLERANCE * largest:
        raise UserError(
            f"method {address} gives an image another map when another image is in its "
            f"batch (by {difference / largest:.0%} of the largest value): make each map from its "
            "own image alone, and draw random numbers that do not depend on the batch"
        )


def _explain_batch(batch: ExplainRequest, address: str) -> Tensor:
    function = _load(address).function
    image_BCHW, target_B = batch.image_BCHW.detach().clone(), batch.target_B.clone()
    remedy = (
        "call it by itself, with the model, images (batch, 3, rows, columns) and targets (batch)"
    )
    with (
        user_call(f"method {address} raised", remedy, may_be_smaller=True),
        restoring(batch.network),
        fixed_seed(image_BCHW.device),
        torch.enable_grad(),
    ):
        maps = function(batch.network, image_BCHW, target_B)
    return _check_maps(maps, address, len(image_BCHW)).detach().to(batch.image_BCHW)


def _check_maps(maps: object, address: str, images: int) -> Tensor:
    """What the function returned, if it is one floating-point map per image."""
    if not isinstance(maps, Tensor):
        result = f"a {type(maps).__name__}"
    elif not maps.is_floating_point():
        result = f"a tensor of {maps.dtype}"
    elif maps.ndim != 3 or len(maps) != images or 0 in maps.shape:
        result = f"a tensor of shape {tuple(maps.shape)} for {images} images"
    else:
        return maps
    raise UserError(
        f"method {address} gives {result}: return a torch.Tensor of floating-point numbers, "
        "one map per image (images, rows, columns)"
    )


def _load(address: str) -> UserFunction:
    """The function; loaded once per process, and again when one of its files has changed."""
    path, name = split_address(address)
    key = (path.absolute(), name)
    with _lock:
        cached = _loaded.get(key)
        if cached is None or cached[1] != _stamps(cached[0]):
            function = load_function(address, "method")
            cached = _loaded[key] = (function, _stamps(function))
        return cached[0]


def _stamps(function: UserFunction) -> list[tuple[int, int] | None]:
    """Time and size of each of its files; None for a deleted one."""
    files = sorted(function.files.values())
    stats = [file.stat() if file.is_file() else None for file in files]
    return [stat and (stat.st_mtime_ns, stat.st_size) for stat in stats]
