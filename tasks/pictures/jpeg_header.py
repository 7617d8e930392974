"""What a JPEG says of itself before any pixel is unpacked, by hand: PIL's opening costs more.

Positions are bytes; EXIF turns are numbered 1 (upright) to 8 as the standard does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

START = b"\xff\xd8\xff"
ORIENTATION = 0x0112  # EXIF's tag
EXIF, SCAN = 0xE1, 0xDA
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # those three are tables
PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))


@dataclass(frozen=True)
class JpegHeader:
    """Size as stored, the EXIF turn, and how its colours are kept."""

    columns: int
    rows: int
    turn: int  # 1 where EXIF says nothing, or nonsense
    bits: int
    bands: int
    progressive: bool


def read_header(content: bytes) -> JpegHeader | None:
    """The header of a JPEG; None where its segments do not follow one another."""
    at, turn, frame = 2, 1, None
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == SCAN:
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == EXIF and content[at + 4 : at + 10] == b"Exif\0\0":
            turn = read_turn(content[at + 10 : end])
        elif marker in FRAMES and frame is None:
            frame = (marker, content[at + 4 : at + 10])
        at = end
    if frame is None or len(frame[1]) < 6:
        return None
    bits, rows, columns, bands = struct.unpack(">BHHB", frame[1])
    return JpegHeader(columns, rows, turn, bits, bands, frame[0] in PROGRESSIVE)


def read_turn(exif: bytes) -> int:
    """The orientation in a block of EXIF, 1 to 8; 1 where it says nothing, or nonsense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, at)
            if tag == ORIENTATION and kind == 3:  # a short number
                return value if 1 <= value <= 8 else 1
    except struct.error:  # it ends before its end
        pass
    return 1
