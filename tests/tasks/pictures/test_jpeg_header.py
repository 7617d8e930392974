"""The header read by hand is what PIL reads."""

from __future__ import annotations

import struct

import pytest

from tasks.pictures.jpeg_header import TABLES, read_header, read_quality, read_turn
from tests.support import encoded_pictures


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_turn_is_found_among_other_tags(order: str) -> None:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = [(0x0100, 4, 1, 9), (0x0112, 3, 1, 6), (0x0131, 2, 4, 1)]
    packed = b"".join(
        struct.pack(order + "HHI", *entry[:3])
        + (struct.pack(order + "HH", entry[3], 0) if entry[1] == 3 else b"\0\0\0\x09")
        for entry in entries
    )
    exif = mark + struct.pack(order + "IH", 8, len(entries)) + packed
    assert read_turn(exif) == 6
    for end in range(8 + 2 + 12 + 10):  # up to the value
        assert read_turn(exif[:end]) == 1


def test_a_header_is_what_pil_reads() -> None:
    for progressive in (False, True):
        content = encoded_pictures.encoded(
            encoded_pictures.noise(7, 31), "jpg", progressive=progressive
        )
        header = read_header(content)
        assert header is not None
        assert (header.columns, header.rows, header.bits, header.bands) == (31, 7, 8, 3)
        assert header.progressive == progressive


@pytest.mark.parametrize("progressive", [False, True])
def test_the_quality_is_the_one_that_a_picture_was_saved_with(progressive: bool) -> None:
    picture = encoded_pictures.noise(16, 16)
    for quality in range(1, 101):
        content = encoded_pictures.encoded(picture, "jpg", progressive=progressive, quality=quality)
        assert read_quality(content) == quality


def test_a_table_of_another_program_has_the_nearest_quality_and_a_broken_one_has_none() -> None:
    content = encoded_pictures.encoded(encoded_pictures.noise(16, 16), "jpg", quality=50)
    start = content.index(bytes((0xFF, TABLES))) + 5
    changed = content[:start] + bytes((content[start] + 1,)) + content[start + 1 :]
    assert read_quality(changed) == 50
    wide = struct.pack(">64H", *content[start : start + 64])
    segment = bytes((0xFF, TABLES)) + struct.pack(">HB", 3 + 128, 0x10) + wide
    assert read_quality(content[:2] + segment + content[2:]) == 50
    assert read_quality(content[: start + 20]) is None
    assert read_quality(content[:start]) is None
    assert read_quality(encoded_pictures.encoded(encoded_pictures.noise(16, 16), "png")) is None
