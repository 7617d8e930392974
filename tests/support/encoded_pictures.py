"""Pictures in every format and mode, whole, and some by hand whose headers may lie."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

ROWS, COLUMNS = 16, 24
SEED = 20
STARTS = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b"P6 9 9 9 ")
Files = Iterator[tuple[str, bytes]]  # name and content

FORMATS: dict[str, dict[str, Any]] = {  # how whole pictures are saved, by name
    "a.jpg": {},
    "progressive.jpg": {"progressive": True},
    "restarts.jpg": {"restart_marker_blocks": 1},
    "a.png": {},
    "a.gif": {},
    "lossy.webp": {},
    "lossless.webp": {"lossless": True},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "deflate.tif": {"compression": "tiff_deflate"},
    "jpeg.tif": {"compression": "jpeg"},
    "a.ppm": {},
    "a.avif": {},
}
MODES = {  # modes, and what can hold them
    "1": ("png", "tif", "bmp", "gif"),
    "L": ("png", "jpg", "tif", "webp", "pgm", "gif"),
    "P": ("png", "gif", "tif", "bmp"),
    "LA": ("png", "tif", "webp"),
    "RGB": ("png", "jpg", "tif", "webp", "ppm", "avif"),
    "RGBA": ("png", "tif", "webp", "avif"),
    "CMYK": ("jpg", "tif"),
    "YCbCr": ("jpg", "tif"),
    "I;16": ("png", "tif"),
    "I": ("tif",),
    "F": ("tif",),
    "LAB": ("tif",),
}


def noise(rows: int = ROWS, columns: int = COLUMNS) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(SEED).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    )


def encoded(picture: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    suffix = name.rpartition(".")[2]
    kind = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(suffix, suffix.upper())
    picture.save(file, kind, **options)
    return file.getvalue()


def whole() -> dict[str, bytes]:
    """One sound picture of every format."""
    return {name: encoded(noise(), name, **options) for name, options in FORMATS.items()}


def png(columns: int, rows: int, bits: int = 8, colours: int = 2, data: bytes = b"") -> bytes:
    """A PNG by hand, whose header may lie."""
    head = struct.pack(">IIBBBBB", columns, rows, bits, colours, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def wide_tiff(colours_HW3: np.ndarray) -> bytes:
    """A TIFF of 16 bits a colour, which PIL does not write."""
    rows, columns, data = *colours_HW3.shape[:2], colours_HW3.astype("<u2").tobytes()
    after = 8 + 2 + 9 * 12 + 4
    tags = [(256, columns), (257, rows), (258, after), (259, 1), (262, 2)]
    tags += [(273, after + 6), (277, 3), (278, rows), (279, len(data))]
    packed = b"".join(struct.pack("<HHII", tag, 4 if tag != 258 else 3, 1, v) for tag, v in tags)
    packed = packed.replace(struct.pack("<HHI", 258, 3, 1), struct.pack("<HHI", 258, 3, 3))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + packed + bytes(4) + struct.pack("<HHH", 16, 16, 16) + data


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """A sound PNG with one more chunk after its header."""
    content = encoded(noise(), "png")
    return content[:33] + _chunk(kind, data) + content[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def of_mode(mode: str, size: tuple[int, int]) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint16).reshape(size[::-1]))
    if mode == "LAB":
        return Image.new("LAB", size, (50, 10, 10))
    return noise(size[1], size[0]).convert(mode)
