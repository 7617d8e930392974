"""Which addresses a table, an annotation file or a run may name, and what they must not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.addresses import (
    REMOTE,
    STORAGE,
    has_secret,
    is_local,
    is_web,
    place_of,
    remove_secrets,
    without_file_protocol,
)
from models.errors import UserError, printable
from tasks.catalog.settings import DataSettings


@dataclass(frozen=True)
class AllowedAddresses:
    """Local files, the buckets that the settings name, and what the user allows besides."""

    places: frozenset[str]

    @classmethod
    def of(cls, data: DataSettings) -> AllowedAddresses:
        named = (data.path, data.images, data.masks)
        places = {place_of(address) for address in named if address and not is_local(address)}
        return cls(frozenset(places | set(data.allow_addresses or ())))

    def without_web(self) -> AllowedAddresses:
        """For addresses that a run names, which may be somebody else's."""
        return AllowedAddresses(frozenset(p for p in self.places if not is_web(p)))

    def include(self, address: str) -> bool:
        return is_local(without_file_protocol(address)) or place_of(address) in self.places

    def check(self, addresses: pa.Array, what: str) -> None:
        """Refuse addresses at other places, and those that a run must not keep."""
        for address in remote_ones(addresses):
            if not self.include(address):
                raise UserError(_describe_refusal(address, what))
        refuse_secrets(addresses, what)


def remote_ones(addresses: pa.Array) -> Iterator[str]:
    """The addresses that are not local, in order."""
    remote = addresses.filter(pc.match_substring(addresses, REMOTE))
    return (address.as_py() for address in remote)


def refuse_secrets(texts: pa.Array, what: str) -> None:
    """Refuse texts with a password or a signature: the catalog, and so the run, would keep them."""
    found = next((text for text in remote_ones(texts) if has_secret(text)), None)
    if found is not None:
        raise UserError(
            f"{what} {printable(remove_secrets(found))} holds a password, a token or a signature, "
            "which would be kept with the run: give s3://, gs:// or abfs:// addresses and the "
            "credentials in the environment, or download the files"
        )


def remove_secrets_from(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """The table without passwords, tokens and signatures, and the columns that held some."""
    changed = []
    for index, name in enumerate(table.column_names):
        column = table[name]
        if any(has_secret(text) for array in _texts(column) for text in remote_ones(array)):
            values = [_clean(value) for value in column.to_pylist()]
            table = table.set_column(index, name, pa.array(values, column.type))
            changed.append(name)
    return table, changed


def _texts(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.Array]:
    """All texts in a column, also those in its lists, structs and dictionaries."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        for chunk in column.chunks:
            yield from _texts(chunk)
    elif pa.types.is_dictionary(kind):
        yield from _texts(column.dictionary)
    elif pa.types.is_struct(kind):
        for field in column.flatten():
            yield from _texts(field)
    elif pa.types.is_nested(kind):
        yield from _texts(column.values if pa.types.is_map(kind) else column.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield column
    elif pa.types.is_string_view(kind):
        yield column.cast(pa.string())


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return remove_secrets(value) if has_secret(value) else value
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):  # the latter are pairs of a map
        return type(value)(_clean(inner) for inner in value)
    return value


def _describe_refusal(address: str, what: str) -> str:
    place = place_of(address)
    known = place.partition(REMOTE)[0] in STORAGE or is_web(place)
    remedy = (
        f"allow others with --allow-addresses {printable(remove_secrets(place), 100)}"
        if known
        else "copy the files to one of them"
    )
    return (
        f"{what} {printable(remove_secrets(address))} is neither a local file nor where the data "
        f"lies: {remedy}"
    )
