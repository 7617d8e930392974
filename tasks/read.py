"""One image and its mask, from bytes to the model's geometry. Shapes: C=3, H rows, W columns."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from models.preprocessing import Preprocessing
from tasks.catalog import mask_size_message
from tasks.places import read_bytes

Given = TypeVar("Given")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Row:
    """What a worker needs of a catalog row."""

    row_id: str
    image: str
    label: str | None
    masks: tuple[str, ...] | None = None  # addresses; their foregrounds are united
    mask_values: tuple[int, ...] | None = None  # what the foreground is in them; None: all but zero
    regions: str | None = None  # JSON: boxes, polygons and run lengths, in the image's pixels


@dataclass(frozen=True)
class Ground:
    """How pictures and masks are read, the same for every row."""

    polarity: str  # what a mask marks: foreground or background
    orientation: str  # upright: pictures are turned as their EXIF says; stored: they are not


@dataclass(frozen=True)
class Failure:
    """Why something is missing for a row, and what to do; a row of the failures table."""

    row_id: str
    stage: str  # read, foreground, or a method's name
    kind: Literal["permanent", "transient"]
    message: str
    remedy: str


@dataclass(frozen=True)
class Sample:
    """A readable image: the picture as the model sees it (uint8), the mask in the same geometry."""

    row: Row
    content_id: str
    picture_CHW: Tensor
    mask_HW: Tensor | None  # uint8, 255 = foreground
    foreground_id: str | None = None  # hash of masks' bytes, values and regions
    failure: Failure | None = None  # of the mask; the picture is fine


def read_sample(row: Row, preprocessing: Preprocessing, ground: Ground) -> Sample | Failure:
    """Read, hash and decode one row; a picture that cannot be read is a failure with its reason."""
    try:
        content = read_bytes(row.image)
    except OSError as error:
        told = f"image {row.image} cannot be read ({error.strerror or _one_line(error)})"
        return Failure(row.row_id, "read", "transient", told, "check the address, then run again")
    content_id = hashlib.blake2b(content, digest_size=16).hexdigest()
    try:
        image_CHW = decode(content)
        picture_CHW = preprocessing.place(image_CHW)
    except (RuntimeError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        told = f"image {row.image} cannot be decoded ({_one_line(error)})"
        return Failure(row.row_id, "read", "permanent", told, "export it again or drop the row")
    mask_HW, failure = None, None
    if row.masks:
        try:
            mask_CHW = decode_mask(row, (image_CHW.shape[2], image_CHW.shape[1]), ground)
            mask_HW = preprocessing.place(mask_CHW)[0]
        except (RuntimeError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
            away = isinstance(e, OSError) and e.errno is not None  # the address, not the content
            kind: Literal["permanent", "transient"] = "transient" if away else "permanent"
            remedy = "give a mask of the image's size, or none"
            failure = Failure(row.row_id, "foreground", kind, _one_line(e), remedy)
    return Sample(row, content_id, picture_CHW, mask_HW, None, failure)


def decode(content: bytes) -> Tensor:
    """uint8 RGB picture; what torchvision's decoders do not know or accept is left to PIL."""
    try:
        content_N = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        image_CHW: Tensor = decode_image(content_N, mode=ImageReadMode.RGB)
    except (RuntimeError, ValueError):
        with Image.open(io.BytesIO(content)) as picture:
            array_HWC = np.array(picture.convert("RGB"))
        return torch.from_numpy(array_HWC).permute(2, 0, 1)
    if image_CHW.ndim == 4:  # an animation: its first picture
        image_CHW = image_CHW[0]
    if image_CHW.dtype == torch.uint16:
        image_CHW = (image_CHW.int() >> 8).to(torch.uint8)
    return image_CHW


def decode_mask(row: Row, size: tuple[int, int], ground: Ground) -> Tensor:
    """The mask as one uint8 channel, 255 = foreground; refuses another size than the image's."""
    (mask,) = row.masks or ()
    with Image.open(io.BytesIO(read_bytes(mask))) as picture:
        if picture.size != size:
            raise ValueError(mask_size_message(mask, picture.size, row.image, size))
        marked = np.asarray(picture) != 0
    if marked.ndim == 3:
        alpha = marked.shape[2] in (2, 4)  # the last band of these marks nothing
        marked = marked[..., :-1].any(-1) if alpha else marked.any(-1)
    foreground_HW = marked if ground.polarity == "foreground" else ~marked
    return torch.from_numpy(foreground_HW.astype(np.uint8) * 255)[None]


def read_ahead(
    given: Iterable[Given], read: Callable[[Given], Read], threads: int, ahead: int
) -> Iterator[Read]:
    """Results in order, with up to `ahead` of them read by threads while the caller computes."""
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[Future[Read]] = deque()
        try:
            for item in given:
                waiting.append(pool.submit(read, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
