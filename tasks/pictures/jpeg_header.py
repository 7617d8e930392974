"""The header of a JPEG, read before any pixel is unpacked; by hand, since PIL takes longer.

Offsets are in bytes; EXIF turns are numbered 1 (upright) to 8 as in the standard.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

START = b"\xff\xd8\xff"
ORIENTATION = 0x0112  # EXIF's tag
EXIF, SCAN = 0xE1, 0xDA
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))  # markers
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the three are tables
PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))


@dataclass(frozen=True)
class JpegHeader:
    """Size as stored, the EXIF turn, and how the colours are stored."""

    columns: int
    rows: int
    turn: int  # 1 where EXIF is missing or nonsense
    bits: int
    bands: int
    progressive: bool


def read_header(content: bytes) -> JpegHeader | None:
    """The header of a JPEG; None where its segments do not follow one another."""
    start, turn, frame = 2, 1, None
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            start += 1 if marker == 0xFF else 2
            continue
        if marker == SCAN:
            break
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        if marker == EXIF and content[start + 4 : start + 10] == b"Exif\0\0":
            turn = read_turn(content[start + 10 : end])
        elif marker in FRAMES and frame is None:
            frame = (marker, content[start + 4 : start + 10])
        start = end
    if frame is None or len(frame[1]) < 6:
        return None
    bits, rows, columns, bands = struct.unpack(">BHHB", frame[1])
    return JpegHeader(columns, rows, turn, bits, bands, frame[0] in PROGRESSIVE)


def read_turn(exif: bytes) -> int:
    """The orientation in a block of EXIF, 1 to 8; 1 where it is missing or nonsense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for offset in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, offset)
            if tag == ORIENTATION and kind == 3:  # a short number
                return value if 1 <= value <= 8 else 1
    except struct.error:  # the block is truncated
        pass
    return 1
