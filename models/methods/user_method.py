"""A user's own attribution method: `path/to/file.py:function`, loaded as a user's network is.

    def my_method(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor

`images` (B, 3, H, W) are as the model gets them, `targets` (B) are the classes to explain, and the
maps (B, h, w) may be signed. The model is in evaluation mode and its weights are frozen; what the
function leaves in it is taken out again, and each call draws the same random numbers.
Shapes: B images, C=3 colours, H W pixels, h w cells of the map.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.errors import UserError, describe_error, printable
from models.network.isolation import fixed_seed, restoring
from models.network.question import Question
from models.user_code import UserFunction, load_function, split_address

TOLERANCE = 0.05  # of the largest value: more than float32 changes with the size of a batch
_lock = threading.Lock()  # loading changes the path and the modules of the whole process
_loaded: dict[tuple[Path, str], tuple[UserFunction, list[tuple[int, int] | None]]] = {}


def digests_of(address: str) -> str:
    """Of the file and of the user's modules that it loads."""
    return _load(address).digests


def explain(asked: Question, address: str) -> Tensor:
    """Signed maps (B, h, w)."""
    return torch.cat([_explain_part(part, address) for part in asked.parts(1)])


def check(asked: Question, address: str) -> None:
    """Explain two random pictures together and alone; refuse maps that are not their own."""
    generator = torch.Generator().manual_seed(0)
    noise_2CHW = torch.randn(2, *asked.image_BCHW.shape[1:], generator=generator)
    noise_2CHW[1] /= 2  # what a batch has in common, such as its largest value, is not the second's
    image_2CHW = noise_2CHW.to(asked.image_BCHW)
    target_2 = asked.logits_of(image_2CHW).argmax(1)
    pair = replace(asked, image_BCHW=image_2CHW, target_B=target_2, room=2)
    together_2hw = explain(pair, address)
    alone = [explain(part, address) for part in replace(pair, room=1).parts(1)]
    _check_finite(address, [together_2hw, *alone])
    for together_hw, alone_1hw in zip(together_2hw, alone, strict=True):
        _check_same(address, together_hw, alone_1hw[0])


def _check_finite(address: str, maps: Sequence[Tensor]) -> None:
    numbers = torch.cat([map_Bhw.flatten() for map_Bhw in maps])
    broken = int((~numbers.isfinite()).sum())
    if broken:
        raise UserError(
            f"method {address} gives {broken} of {len(numbers)} numbers that are NaN or infinite, "
            "for random pictures, together and alone: give finite ones, and look for divisions by "
            "zero"
        )


def _check_same(address: str, together_hw: Tensor, alone_hw: Tensor) -> None:
    """A map that another image changes is no property of its image: batches would decide it."""
    if together_hw.shape != alone_hw.shape:
        sizes = [f"{shape[0]}x{shape[1]}" for shape in (together_hw.shape, alone_hw.shape)]
        raise UserError(
            f"method {address} gives a map of {sizes[0]} cells in a batch of two and of {sizes[1]} "
            "alone: give the same number of cells for every image"
        )
    largest = float(torch.maximum(together_hw.abs().max(), alone_hw.abs().max()))
    difference = float((together_hw - alone_hw).abs().max())
    if difference > TOLERANCE * largest:
        raise UserError(
            f"method {address} gives an image another map when another image is in its "
            f"batch (by {difference / largest:.0%} of the largest value): make each map from its "
            "own image alone, and draw random numbers that do not depend on the batch"
        )


def _explain_part(part: Question, address: str) -> Tensor:
    function = _load(address).function
    image_BCHW, target_B = part.image_BCHW.detach().clone(), part.target_B.clone()
    try:
        with restoring(part.network), fixed_seed(image_BCHW.device), torch.enable_grad():
            maps = function(part.network, image_BCHW, target_B)
    except (Exception, SystemExit) as error:  # anything, of the user's
        if "memory" in describe_error(error).lower():  # a smaller batch may help
            raise
        raise UserError(
            f"method {address} raised {printable(describe_error(error))}: call it by "
            "itself, with the model, images (batch, 3, rows, columns) and targets (batch)"
        ) from error
    return _as_maps(maps, address, len(image_BCHW)).detach().to(part.image_BCHW)


def _as_maps(maps: object, address: str, images: int) -> Tensor:
    """What the function returned, where it is a floating-point map an image."""
    if not isinstance(maps, Tensor):
        found = f"a {type(maps).__name__}"
    elif not maps.is_floating_point():
        found = f"a tensor of {maps.dtype}"
    elif maps.ndim != 3 or len(maps) != images or 0 in maps.shape:
        found = f"a tensor of shape {tuple(maps.shape)} for {images} images"
    else:
        return maps
    raise UserError(
        f"method {address} gives {found}: return a torch.Tensor of floating-point numbers, "
        "one map an image (images, rows, columns)"
    )


def _load(address: str) -> UserFunction:
    """The function; loaded once in a process, and again when one of its files has changed."""
    path, name = split_address(address)
    key = (path.absolute(), name)
    with _lock:
        known = _loaded.get(key)
        if known is None or known[1] != _stamps(known[0]):
            function = load_function(address, "method")
            known = _loaded[key] = (function, _stamps(function))
        return known[0]


def _stamps(function: UserFunction) -> list[tuple[int, int] | None]:
    """Time and size of each of its files, None where one is gone."""
    files = sorted(function.files.values())
    stats = [file.stat() if file.is_file() else None for file in files]
    return [stat and (stat.st_mtime_ns, stat.st_size) for stat in stats]
