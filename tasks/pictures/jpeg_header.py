"""The header of a JPEG, read before any pixel is unpacked; by hand, since PIL takes longer.

Offsets are in bytes; EXIF turns are numbered 1 (upright) to 8 as in the standard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

START = b"\xff\xd8\xff"
ORIENTATION = 0x0112  # EXIF's tag
EXIF, SCAN, TABLES = 0xE1, 0xDA, 0xDB
WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))  # markers
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the three are tables
PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
LUMINANCE_64 = np.array(  # the standard's table of quality 50, in the order of the file (zigzag)
    [
        *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40),
        *(26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51),
        *(56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87),
        *(95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99),
    ]
)


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
    turn, frame = 1, None
    for marker, start, end in _segments(content):
        if marker == EXIF and content[start : start + 6] == b"Exif\0\0":
            turn = read_turn(content[start + 6 : end])
        elif marker in FRAMES and frame is None:
            frame = (marker, content[start : start + 6])
    if frame is None or len(frame[1]) < 6:
        return None
    bits, rows, columns, bands = struct.unpack(">BHHB", frame[1])
    return JpegHeader(columns, rows, turn, bits, bands, frame[0] in PROGRESSIVE)


def read_quality(content: bytes) -> float | None:
    """The quality, 1 to 100, whose standard table is nearest to the one for luminance; None of
    anything but a JPEG with tables."""
    if not content.startswith(START):
        return None
    for marker, start, end in _segments(content):
        if marker == TABLES and start < end:  # the first table is that of the luminance
            width = 2 if content[start] >> 4 else 1
            table = content[start + 1 : min(end, start + 1 + 64 * width)]
            if len(table) == 64 * width:
                found_64 = np.frombuffer(table, ">u2" if width == 2 else "u1").astype(int)
                return 1.0 + int(np.abs(_STANDARD_Q64 - found_64).sum(1).argmin())
    return None


def _standard_tables() -> np.ndarray:
    """(100, 64): the table of each quality from 1 to 100, as the IJG's library scales it."""
    quality_Q = np.arange(1, 101)
    scale_Q = np.where(quality_Q < 50, 5000 // quality_Q, 200 - 2 * quality_Q)
    return ((LUMINANCE_64 * scale_Q[:, None] + 50) // 100).clip(1, 255)


_STANDARD_Q64 = _standard_tables()


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment before the first scan, and where its content begins and ends."""
    start = 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            start += 1 if marker == 0xFF else 2
            continue
        if marker == SCAN:
            return
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        yield marker, start + 4, end
        start = end


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
