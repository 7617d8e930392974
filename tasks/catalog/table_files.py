"""The files of tables: CSV, JSONL and Parquet, as columns of types that every later step takes.

In a CSV, a column becomes numbers only where they are written as Python writes them: `007`, `1.10`,
`1e5`, and integers of more than 64 bits stay text. Spaces around its columns' names are no part of
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from upath import UPath

from models.addresses import is_local
from models.errors import UserError, describe_os_error, list_names, printable
from tasks.storage.files import read_bytes
from tasks.storage.parquet import open_users_table

TABLES = (".csv", ".jsonl", ".parquet")
MOST_COLUMNS = 1000
LONGEST_HEADER = 1 << 20  # bytes of the first line of a CSV
LONGEST_LINE = 1 << 26  # bytes of a JSONL line
DEEPEST = 64  # brackets open at once in a JSONL line


def read_table_file(path: UPath, numeric: Collection[str] = ()) -> pa.Table:
    """The table in a file; in a CSV, the columns named `numeric` are read as numbers."""
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise UserError(
            f"data {path} is neither a folder, a table ({' '.join(TABLES)}) nor annotations (.json)"
        )
    try:
        table = _read(path, suffix, numeric)
    except OSError as error:
        raise UserError(f"table {path} cannot be read: {describe_os_error(error)}") from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"table {path} {_describe_damage(path, suffix)}") from error
    pa.default_memory_pool().release_unused()  # before the catalog takes as much again
    names = table.column_names
    _refuse_many_columns(len(names), path)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"table {path} has several columns {list_names(repeated)}: rename them")
    return _with_plain_types(table, path)


def spell_fractions(numbers: Any) -> Any:
    """Fractions as texts, written as Python writes them."""
    texts = numbers.cast(pa.string())
    marked = pc.match_substring_regex(texts, "[.e]")
    return pc.if_else(marked, texts, pc.binary_join_element_wise(texts, ".0", ""))


def _read(path: UPath, suffix: str, numeric: Collection[str]) -> pa.Table:
    if suffix == ".csv":
        return _read_csv(path, numeric)
    if suffix == ".jsonl":
        return _read_jsonl(path)
    table = open_users_table(path)
    _refuse_many_columns(len(table.schema_arrow), path)
    return table.read()


def _refuse_many_columns(count: int, path: UPath) -> None:
    if count > MOST_COLUMNS:
        raise UserError(
            f"table {path} has {count:,} columns: at most {MOST_COLUMNS:,} are allowed; "
            "leave out those that the audit does not need"
        )


def _read_csv(path: UPath, numeric: Collection[str]) -> pa.Table:
    header = _read_header(path)
    ragged: list[pyarrow.csv.InvalidRow] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    multiline = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep)
    as_texts = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
    )
    single = pyarrow.csv.ReadOptions(use_threads=False)  # threads would hold many blocks
    try:
        texts = pyarrow.csv.read_csv(_arrow_source(path), single, multiline, as_texts)
    except pa.ArrowInvalid as error:
        if not ragged:
            raise
        row = ragged[0]
        raise UserError(
            f"table {path} has {row.actual_columns} values in row {row.number}, but "
            f"{row.expected_columns} columns: {printable(row.text, 80)}"
        ) from error
    names = [name.strip() for name in texts.column_names]
    columns = [
        (_as_numbers if name in numeric else _as_written)(column)
        for name, column in zip(names, texts.columns, strict=True)
    ]
    return pa.table(columns, names=names)


def _read_header(path: UPath) -> list[str]:
    """The names of the columns; refuses more than are allowed before Arrow spends minutes."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    first = re.split(rb"[\r\n]", start, maxsplit=1)[0]
    if len(first) == LONGEST_HEADER or first.count(b",") >= MOST_COLUMNS:
        _refuse_many_columns(first.count(b",") + 1, path)
        raise UserError(f"table {path} has a first line of over 1 MiB: is it a CSV with a header?")
    multiline = pyarrow.csv.ParseOptions(
        newlines_in_values=True, invalid_row_handler=lambda _: "skip"
    )
    with pyarrow.csv.open_csv(_arrow_source(path), parse_options=multiline) as file:
        names: list[str] = file.schema.names
    return names


def _as_written(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers where they are written as Python would write them again, else the texts."""
    values = pc.if_else(pc.equal(texts, ""), None, texts)
    if values.null_count == len(values):
        return texts
    for kind in (pa.int64(), pa.float64()):
        try:
            numbers = values.cast(kind)
        except pa.ArrowInvalid:
            continue
        integers = kind == pa.int64()
        again = numbers.cast(pa.string()) if integers else spell_fractions(numbers)
        if again.equals(values):
            return numbers
    return texts


def _as_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers however they are written; texts where one is none."""
    try:
        return pc.if_else(pc.equal(texts, ""), None, texts).cast(pa.float64())
    except pa.ArrowInvalid:
        return texts


def _read_jsonl(path: UPath) -> pa.Table:
    _refuse_deep(path)
    blocks = pyarrow.json.ReadOptions(block_size=LONGEST_LINE)
    table = pyarrow.json.read_json(_arrow_source(path), read_options=blocks)
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:  # Arrow 25 misreads [null, 1] before any list has had a value
        raise UserError(
            f"table {path} has lists that begin with null, which are misread: "
            "leave nulls out of them, or write the table as Parquet"
        ) from error
    return table


def _refuse_deep(path: UPath) -> None:
    """Arrow's reader recurses at each level, and crashes the process when the stack overflows."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.count(b"[") + line.count(b"{") > DEEPEST < _depth(line):
                raise UserError(
                    f"table {path} has lists nested more than {DEEPEST} deep in line {number}: "
                    "write plain values"
                )


def _depth(line: bytes) -> int:
    """The most brackets that are open at once, not counting those in texts."""
    brackets = np.frombuffer(re.sub(rb'"(?:\\.|[^"\\])*"|[^][{}]', b"", line), np.uint8)
    opening = np.isin(brackets, np.frombuffer(b"[{", np.uint8))
    return int(np.cumsum(np.where(opening, 1, -1)).max(initial=0))


def _describe_damage(path: UPath, suffix: str) -> str:
    """What is wrong with a file that Arrow refused: its own words are for programmers."""
    if path.stat().st_size == 0:
        return "is empty: write it again"
    if suffix == ".csv":
        return f"is not {'CSV' if _is_utf8(path) else 'UTF-8 text'}: save it as CSV in UTF-8"
    if suffix == ".jsonl":
        return _describe_lines(path)
    return "is not a Parquet file, or only a part of one: write it again"


def _is_utf8(path: UPath) -> bool:
    try:
        with path.open("r", encoding="utf-8") as file:
            return all(True for _ in file)
    except UnicodeDecodeError:
        return False


def _describe_lines(path: UPath) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not _is_object(line):
                return f"is not JSONL at line {number}: write one JSON object per line, in UTF-8"
    return "has values of several types in one column, such as texts and numbers: write one type"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8")), dict)
    except ValueError:
        return False


def _with_plain_types(table: pa.Table, path: UPath) -> pa.Table:
    """Categories and views as the values that they stand for: few functions of Arrow take them."""
    for index, field in enumerate(table.schema):
        kind = _plain_type(field.type)
        if kind != field.type:
            try:
                table = table.set_column(index, field.name, table[field.name].cast(kind))
            except pa.ArrowException as error:
                raise UserError(
                    f"table {path} has {field.type} in column {field.name!r}, which cannot be "
                    f"kept: write it as {kind}, or drop the column"
                ) from error
    return table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The same type without dictionaries and views, also inside lists and structs."""
    types = pa.types
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return pa.string() if types.is_string_view(kind) else pa.binary()
    if types.is_struct(kind):
        return pa.struct([_plain_field(field) for field in kind])
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(_plain_field(kind.value_field))
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))


def _arrow_source(path: UPath) -> Any:
    return str(path) if is_local(path) else pa.BufferReader(read_bytes(str(path)))
