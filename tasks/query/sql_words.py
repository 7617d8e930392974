"""Names, texts, files and numbers as SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from upath import UPath

from models.addresses import is_local


def read_parquet(path: UPath, pattern: str = "") -> str:
    """A file, or the files of a folder."""
    return _read_files(address_literal(path, pattern))


def read_numbered(path: UPath) -> str:
    """A file, with the number of each row."""
    return _read_files(f"{address_literal(path)}, file_row_number = true")


def _read_files(arguments: str) -> str:
    """Their own columns alone: DuckDB would take those of `label=cat/` in an address, too, and put
    them in place of a file's."""
    return f"read_parquet({arguments}, hive_partitioning = false)"


def address_literal(path: UPath, pattern: str = "") -> str:
    """DuckDB reads `*`, `?` and `[` of an address as patterns unless they stand in brackets."""
    address = str(path.absolute()) if is_local(path) else str(path)
    escaped = re.sub(r"([*?\[])", r"[\1]", address)
    return text_literal(f"{escaped}/{pattern}" if pattern else escaped)


def quote(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def finite(values: str) -> str:
    """Numbers that are not finite are missing."""
    return f"CASE WHEN isfinite({values}) THEN {values} END"


def distinct_names(names: Sequence[str]) -> list[str]:
    """As DuckDB calls columns of these names: case does not count there."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, count = name, 0
        while free.casefold() in taken:
            count += 1
            free = f"{name}_{count}"
        taken.add(free.casefold())
        found.append(free)
    return found
