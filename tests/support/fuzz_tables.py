"""Tables of images, most of them broken; and values that run a command when they are unpickled."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.encoded_pictures import Files


def tables(marker: Path) -> Files:
    """Tables that are a catalog or one line that says what is wrong with them."""
    good = b"file_name,label\na.png,cat\nb.png,dog\n"
    yield "good.csv", good
    yield "no label.csv", b"file_name\na.png\n"
    yield "empty.csv", b""
    yield "header only.csv", b"file_name,label\n"
    yield "blank lines.csv", b"\n\n\n"
    yield "ragged.csv", b"file_name,label\na.png\nb.png,dog,more\n"
    yield "zero bytes.csv", b"file_name,label\na\0.png,cat\n"
    yield "only zeros.csv", bytes(500)
    yield "latin.csv", "file_name,label\né.png,café\n".encode("latin-1")
    yield "utf-16.csv", good.decode().encode("utf-16")
    yield "bom.csv", b"\xef\xbb\xbf" + good
    yield "windows.csv", good.replace(b"\n", b"\r\n")
    yield "old mac.csv", good.replace(b"\n", b"\r")
    yield "huge field.csv", b"file_name,label\n" + b"a" * (1 << 22) + b",cat\n"
    yield from _columns()
    yield "twice.csv", b"file_name,file_name\na.png,b.png\n"
    yield "twice empty.csv", b"file_name,,\na.png,1,2\n"
    yield "open quote.csv", b'file_name,label\n"a.png,cat\n'
    yield "formulas.csv", b"file_name,label\n\"=cmd|'/c calc'!A1\",@SUM(1)\n+1,-1\n"
    yield "outside.csv", b"file_name,label\n../../../../etc/passwd,cat\n/etc/passwd,dog\n"
    yield "devices.csv", b"file_name\n/dev/zero\n/dev/stdin\n/proc/self/mem\n.\n..\n/\n"
    yield "protocols.csv", b"file_name\nnowhere://a\n://\nfile://\nmemory://a.png\nlocal:///\n"
    yield "repeated.csv", b"file_name\na.png\na.png\n"
    yield "missing names.csv", b"file_name,label\n,cat\n"
    yield "reserved.csv", b"file_name,row_id,masks,stamp\na.png,1,2,3\n"
    yield "pickle.csv", pickle.dumps(Touch(marker))
    yield "semicolons.csv", good.replace(b",", b";")
    yield "good.jsonl", b'{"file_name": "a.png", "label": "cat"}\n'
    yield "empty.jsonl", b""
    yield "array.jsonl", b'[{"file_name": "a.png"}]'
    yield "numbers.jsonl", b"1\n2\n"
    yield "half.jsonl", b'{"file_name": "a.png"}\n{"file_na'
    yield "nested.jsonl", b'{"file_name": {"a": 1}, "label": ["cat"]}\n'
    yield "mixed.jsonl", b'{"file_name": "a.png"}\n{"file_name": 7}\n'
    yield "nulls.jsonl", b'{"file_name": null, "label": null}\n'
    yield "deadly deep.jsonl", b'{"file_name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"
    yield "deep.jsonl", b'{"file_name": ' + b"[" * 500 + b"]" * 500 + b"}\n"
    yield "twice.jsonl", b'{"file_name": "a.png", "file_name": "b.png"}\n'
    yield "surrogate.jsonl", b'{"file_name": "\\ud800.png"}\n'
    yield "zero bytes.jsonl", b'{"file_name": "a\\u0000.png"}\n'
    yield "pickle.jsonl", pickle.dumps(Touch(marker))
    yield "empty.parquet", b""
    yield "magic.parquet", b"PAR1PAR1"
    yield "pickle.parquet", pickle.dumps(Touch(marker))
    yield "zip.parquet", b"PK\x03\x04" + bytes(100)
    yield "script.parquet", f"#!/bin/sh\ntouch {marker}\n".encode()
    yield from _parquets()


def _columns() -> Files:
    """Too many columns, and keys that other readers change."""
    yield "many columns.csv", b",".join(b"c%d" % n for n in range(100_000)) + b"\n"
    yield "many commas.csv", b"file_name\na.png" + b"," * 100_000 + b"\n"
    yield "numbers.csv", b"file_name,label,row_id\na.png,1.10,1e5\nb.png,007,100000\n"
    yield (
        "long keys.csv",
        b"file_name,row_id\na.png,12345678901234567890\nb.png,12345678901234567891\n",
    )
    yield "long keys.jsonl", b'{"file_name": "a.png", "row_id": 12345678901234567890}\n'
    yield "controls.csv", b"file_name,label\na\x1b[31m.png,\x1b]0;x\x07\n"


class Touch:
    """Unpickled, it makes the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def _parquets() -> Files:
    names = pa.array(["a.png", "b.png"])
    columns: dict[str, pa.Table] = {
        "good": pa.table({"file_name": names, "label": ["cat", "dog"]}),
        "no rows": pa.table({"file_name": names[:0]}),
        "no columns": pa.table({}),
        "lists": pa.table({"file_name": [["a.png"], ["b.png"]]}),
        "structs": pa.table({"file_name": [{"bytes": b"x", "path": "a.png"}] * 2}),
        "bytes": pa.table({"file_name": [b"\xff", b"\xfe"]}),
        "numbers": pa.table({"file_name": [1, 2], "label": [0.5, 1.5]}),
        "nulls": pa.table({"file_name": pa.nulls(2)}),
        "labels of lists": pa.table({"file_name": names, "label": [["a"], ["b", "c"]]}),
        "dictionary": pa.table({"file_name": names.dictionary_encode()}),
        "dictionary beside": pa.table({"file_name": names, "x": names.dictionary_encode()}),
        "views": pa.table({"file_name": names.cast(pa.string_view()), "x": pa.nulls(2)}),
        "large": pa.table({"file_name": names.cast(pa.large_string())}),
        "twice": pa.Table.from_arrays([names, names], names=["file_name", "file_name"]),
    }
    for name, table in columns.items():
        file = io.BytesIO()
        pq.write_table(table, file)
        yield f"{name}.parquet", file.getvalue()
        if name == "good":
            content = file.getvalue()
            for kept in (4, 50, len(content) // 2, len(content) - 4):
                yield f"cut at {kept}.parquet", content[:kept]
            yield "footer of noise.parquet", content[:-40] + bytes(32) + content[-8:]


def numpy_pickle(marker: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Touch(marker)], dtype=object), allow_pickle=True)
    return file.getvalue()
