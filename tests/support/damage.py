"""Files as a failing disk, another program or an enemy leaves them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Damage = Callable[[bytes, random.Random], bytes]


def emptied(content: bytes, chance: random.Random) -> bytes:
    return b""


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flipped(content: bytes, chance: random.Random) -> bytes:
    """One bit is another."""
    bit = chance.randrange(8 * len(content))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def replaced(content: bytes, chance: random.Random) -> bytes:
    """Random bytes of the same size."""
    return chance.randbytes(len(content))


def overwritten(content: bytes, chance: random.Random) -> bytes:
    """A block of zeros, as of a disk that lost a sector."""
    at = chance.randrange(len(content))
    return (content[:at] + bytes(64) + content[at + 64 :])[: len(content)]


def another_table(content: bytes, chance: random.Random) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"row_id": [1, 2], "mine": ["a", None]}), sink)
    return bytes(sink.getvalue())


OF_ANY_FILE: tuple[Damage, ...] = (emptied, truncated, flipped, replaced, overwritten)


def change_one_value(content: bytes, chance: random.Random) -> bytes:
    """JSON in which one value, at any depth, has another type."""
    value = json.loads(content)
    _change(value, chance)
    return json.dumps(value).encode()


def another_json(content: bytes, chance: random.Random) -> bytes:
    values = (b"null", b"[]", b"{}", b'"text"', b"17", b"[" * 100_000, b"\xff\xfe{", b"NaN")
    return chance.choice(values)


def damages_of(path: Path) -> tuple[Damage, ...]:
    if path.suffix == ".json":
        return (*OF_ANY_FILE, change_one_value, another_json)
    return (*OF_ANY_FILE, another_table) if path.suffix == ".parquet" else OF_ANY_FILE


def _change(value: Any, chance: random.Random) -> None:
    """Replace one inner value of a list or an object."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    inner = value[key]
    if isinstance(inner, dict | list) and inner and chance.random() < 0.7:
        _change(inner, chance)
    else:
        value[key] = chance.choice([None, [], {}, "text", -1, 10**30, True, [{"a": 1}]])
