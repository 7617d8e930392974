"""Broken and strange pictures, masks and regions, always the same ones.

Pictures have 16 rows and 24 columns where nothing else is said. What would run code when it is read
as its own format leaves a marker file behind: none may ever be there.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.encoded_pictures import (
    COLUMNS,
    MODES,
    ROWS,
    SEED,
    Files,
    encoded,
    noise,
    of_mode,
    png,
    whole,
    with_chunk,
)
from tests.support.fuzz_tables import Touch, numpy_pickle


def sound() -> Files:
    """Pictures that must be read."""
    yield from whole().items()
    yield from _modes()
    for rows, columns in ((1, 1), (1, 300), (300, 1), (2, 3), (8, 8), (17, 1000)):
        for suffix in ("jpg", "png", "webp", "gif", "tif"):
            name = f"{columns}x{rows}.{suffix}"
            yield name, encoded(noise(rows, columns), name)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        for suffix in ("jpg", "png", "webp", "tif", "avif"):
            yield f"turn {turn}.{suffix}", encoded(noise(), suffix, exif=exif)
    yield from _odd_names()
    yield from _animations()
    for name, exif_bytes in _broken_exif():
        yield f"{name}.jpg", encoded(noise(), "jpg", exif=b"Exif\0\0" + exif_bytes)
        yield f"{name}.png", encoded(noise(), "png", exif=exif_bytes)
    yield "a jpeg.png", encoded(noise(), "jpg")
    yield "a png.jpg", encoded(noise(), "png")
    yield "bytes after it.jpg", encoded(noise(), "jpg") + b"more" * 100
    yield "bytes after it.png", encoded(noise(), "png") + b"more" * 100
    yield "huge text.png", with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    yield "huge profile.png", with_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    yield "broken profile.png", with_chunk(b"iCCP", b"nonsense")
    yield "transparent palette.png", encoded(_palette(), "png", transparency=bytes(range(256)))
    yield "transparent colour.png", encoded(noise(), "png", transparency=(1, 2, 3))


def broken() -> Files:
    """What must be a failure, each time with a remedy."""
    yield from _bombs()
    yield from _headers()
    yield "empty.jpg", b""
    yield "zeros.png", bytes(1000)
    yield "text.jpg", b"this is no picture\n" * 20
    yield "page.jpg", b"<!DOCTYPE html><html><title>404</title>Not found</html>"
    yield "drawing.png", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "heic.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    yield "video.jpg", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200)
    yield "jpeg2000.jpg", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200)
    yield "zip.jpg", b"PK\x03\x04" + bytes(100)
    yield "tiff of floats.tif", encoded(Image.new("F", (9, 9), 0.5), "tif")
    yield "tiff of 32 bits.tif", encoded(Image.new("I", (9, 9), 70000), "tif")
    for name, content in whole().items():
        for kept in sorted({len(content) * part // 10 for part in range(1, 9)}):
            yield f"cut at {kept} {name}", content[:kept]


def strange() -> Files:
    """What may be read or refused, as long as it is one of both."""
    generator = np.random.default_rng(SEED)
    for name, content in whole().items():
        for number in range(8):
            flipped = bytearray(content)
            for _ in range(1 + number % 4):
                flipped[generator.integers(len(flipped))] ^= int(generator.integers(1, 256))
            yield f"flipped {number} {name}", bytes(flipped)
        for missing in (1, 2, 3, 8):
            yield f"without {missing} {name}", content[:-missing]
        for at in (12, 20, 40):
            filled = bytearray(content)
            filled[at : at + 4] = b"\xff\xff\xff\xff"
            yield f"filled at {at} {name}", bytes(filled)
    for number in range(12):
        start = (
            b"\xff\xd8\xff\xe0",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"II*\0",
            b"BM",
            b"P6 9 9 9 ",
        )
        noise_bytes = generator.bytes(50 * number)
        yield f"noise {number}.jpg", start[number % 6] + noise_bytes


def executable(marker: Path) -> Files:
    """What would make the marker if anything ran it."""
    command = f"touch {marker}"
    postscript = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%{command}) (w) file\n"
    yield "postscript.jpg", postscript.encode()
    yield "postscript with a preview.jpg", _dos_eps(postscript.encode())
    yield "pickle.jpg", pickle.dumps(Touch(marker))
    yield "array.png", numpy_pickle(marker)
    yield "pdf.jpg", f"%PDF-1.4\n1 0 obj<</S/Launch/F({command})>>endobj".encode()
    yield "script.tif", f"#!/bin/sh\n{command}\n".encode()
    entity = f"<!DOCTYPE svg [<!ENTITY x SYSTEM 'file://{marker}'>]><svg>&x;</svg>"
    yield "entity.webp", entity.encode()


def write_odd_places(folder: Path) -> list[str]:
    """Files that are none: each must be a failure, and none may be waited for."""
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "nowhere.jpg").symlink_to(folder / "missing.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 40)
    names = ["pipe.jpg", "folder.jpg", "loop.jpg", "nowhere.jpg", "zero.jpg", "sparse.jpg"]
    return [str(folder / name) for name in names]


def masks() -> Files:
    """Masks of every kind: used, or a failure that leaves the picture."""
    for mode, suffixes in MODES.items():
        for suffix in suffixes:
            for size in ((COLUMNS, ROWS), (ROWS, COLUMNS), (1, 1)):
                name = f"{size[0]}x{size[1]} {mode.replace(';', ' ')}.{suffix}"
                yield name, encoded(of_mode(mode, size), suffix)
    for name, content in whole().items():
        yield f"cut {name}", content[: len(content) // 2]
    yield from list(_bombs())
    yield "empty.png", b""
    yield "text.png", b"no mask"


def regions() -> Iterator[str]:
    """Texts of regions, most of them broken."""
    numbers: list[Any] = [-1, 0, 1e30, -1e30, 1e309, None, True, "1", [1], {}, 10**4000, 0.1]
    for number in numbers:
        for index in range(4):
            box: list[Any] = [1, 1, 5, 5]
            box[index] = number
            yield json.dumps([{"box": box}])
        yield json.dumps([{"polygons": [[1, 1, 9, 1, 9, number]]}])
        yield json.dumps([{"counts": [number, ROWS * COLUMNS], "size": [ROWS, COLUMNS]}])
        yield json.dumps([{"counts": [10, ROWS * COLUMNS - 10], "size": [number, COLUMNS]}])
    yield json.dumps([{"polygons": [[0, 0, 1e8, 0, 1e8, 1e8]]}])
    yield json.dumps([{"polygons": [[0, 0, 900, 900] * 5000]}])
    yield json.dumps([{"polygons": [[1, 1, 2, 2]]}, {"box": [1, 1, 2, 2]}])
    yield json.dumps([{"polygons": [[1, 1, 9, 1, 9, 9, 4]]}])
    yield json.dumps([{"polygons": [[5, 5, 5, 5, 5, 5]]}])
    yield json.dumps([{"counts": [1 << 39] * 3, "size": [1 << 20, 1 << 20]}])
    for counts in ("", "0", "~~~~", "ooooooooooooooooooooooooooooo", "é", "\0", "PPYo1"):
        yield json.dumps([{"counts": counts, "size": [ROWS, COLUMNS]}])
    yield from ("", "null", "7", "{}", "[]", "[1]", "[[]]", "[{}]", "{", "NaN", "\0", "é")
    yield "[" * 100_000
    yield json.dumps([{"box": [1, 1, 2, 2], "polygons": []}])
    yield json.dumps([{"polygons": []}])
    yield json.dumps([{"polygons": [[]]}])
    yield json.dumps([{"polygons": {"a": 1}}])


def _bombs() -> Files:
    """A few bytes that say that they are thousands of millions of pixels."""
    side = 50_000
    yield "bomb.png", png(side, side, 1, 0, bytes(1 << 20))
    yield "bomb.ppm", b"P4 %d %d\n" % (side, side) + bytes(1000)
    gif = bytearray(encoded(noise(), "gif"))
    gif[6:10] = struct.pack("<HH", side, side)
    yield "bomb.gif", bytes(gif)
    bmp = bytearray(encoded(noise(), "bmp"))
    bmp[18:26] = struct.pack("<ii", side, side)
    yield "bomb.bmp", bytes(bmp)
    for name in ("a.jpg", "progressive.jpg"):
        jpeg = bytearray(whole()[name])
        at = jpeg.index(b"\xff\xc0" if name == "a.jpg" else b"\xff\xc2")
        jpeg[at + 5 : at + 9] = struct.pack(">HH", side, side)
        yield f"bomb {name}", bytes(jpeg)
    webp = bytearray(whole()["lossless.webp"])
    webp[21:25] = struct.pack("<I", 16383 | 16383 << 14)
    yield "bomb.webp", bytes(webp)
    for name in ("a.tif", "lzw.tif", "deflate.tif"):
        tiff = whole()[name]
        for tag, value in ((256, COLUMNS), (257, ROWS)):
            for kind, form in ((3, "<HHIHxx"), (4, "<HHII")):
                large = struct.pack("<HHII", tag, 4, 1, side)
                tiff = tiff.replace(struct.pack(form, tag, kind, 1, value), large)
        yield f"bomb {name}", tiff


def _headers() -> Files:
    """Sizes of zero, colours and bits that no format has."""
    for columns, rows in ((0, 0), (0, 9), (9, 0), (2**31, 1), (2**32 - 1, 2**32 - 1)):
        yield f"{columns}x{rows}.png", png(columns, rows)
    for bits, colours in ((3, 2), (8, 1), (8, 5), (99, 99), (0, 0)):
        yield f"{bits} bits {colours} colours.png", png(9, 9, bits, colours, bytes(999))
    yield "no data.png", png(9, 9)
    jpeg = encoded(noise(), "jpg")
    at = jpeg.index(b"\xff\xc0")
    for index, value in ((4, 12), (5, 0), (9, 2), (9, 99), (9, 0)):
        changed = bytearray(jpeg)
        changed[at + index] = value
        if index == 5:
            changed[at + 5 : at + 7] = b"\0\0"
        yield f"jpeg with {value} at {index}.jpg", bytes(changed)
    yield "no frame.jpg", jpeg[:at] + jpeg[at + 19 :]
    yield "only markers.jpg", b"\xff\xd8" + b"\xff" * 5000
    yield "zero segments.jpg", b"\xff\xd8" + b"\xff\xe1\0\0" * 5000


def _modes() -> Files:
    for mode, suffixes in MODES.items():
        for suffix in suffixes:
            if mode not in ("I", "F", "LAB"):
                yield (
                    f"mode {mode.replace(';', ' ')}.{suffix}",
                    encoded(of_mode(mode, (COLUMNS, ROWS)), suffix),
                )


def _palette() -> Image.Image:
    return noise().quantize(256)


def _animations() -> Files:
    frames = [Image.new("RGB", (COLUMNS, ROWS), colour) for colour in ("red", "green", "blue")]
    for suffix in ("gif", "webp", "png", "tif", "avif"):
        options = {"save_all": True, "append_images": frames[1:]}
        yield f"animated.{suffix}", encoded(frames[0], suffix, **options)


def _odd_names() -> Files:
    content = encoded(noise(), "png")
    names = [
        "a b",
        "it's",
        'a "b"',
        "a\nb",
        "a\tb",
        "ünïcödé 图片",
        "😀",
        "$(touch x)",
        "`x`",
        ";x",
    ]
    for name in [*names, "%s%n", "a#b?c=d", "<b>x", "-rf", "\x1b[31mred", "x" * 240, "a,b"]:
        yield f"{name}.png", content


def _broken_exif() -> Files:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    yield "exif without an end", b"II*\0\x08\0\0\0\xff\xff" + entry
    yield "exif far away", b"II*\0\xff\xff\xff\xff"
    yield "exif cut", b"II*\0\x08\0\0\0\x01\0" + entry[:5]
    yield "exif of 9", b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 9, 0)
    yield "exif of text", b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI4s", 0x0112, 2, 4, b"6\0\0\0")
    yield "exif that circles", b"II*\0\x08\0\0\0\x01\0" + entry + b"\x08\0\0\0"
    yield "exif of nothing", b""
    yield "exif of noise", np.random.default_rng(SEED).bytes(500)


def _dos_eps(postscript: bytes) -> bytes:
    return b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(postscript)) + bytes(20) + postscript
