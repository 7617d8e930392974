"""Matches addresses to names: exactly, or by their last parts where these are unique."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.errors import UserError, list_names


def pair_names(addresses: Sequence[str], names: Sequence[str], advice: str) -> list[int | None]:
    """The index of the name that each address means, None where there is none; `advice` says what
    to do where an address may mean several.

    Where no address is a name as it is, its last parts (`val/1` of `/data/val/1`) may be one, or
    its file name may be that of a single name. Each name belongs to one address only.
    """
    by_name = {name: index for index, name in enumerate(names)}
    exact = [by_name.get(address) for address in addresses]
    if any(index is not None for index in exact):
        return exact
    by_file_name: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_file_name.setdefault(name.rpartition("/")[2], []).append(index)
    indices = [
        _find_by_tail(address, by_name, by_file_name, names, advice) for address in addresses
    ]
    _refuse_shared_names(addresses, indices, names, advice)
    return indices


def _find_by_tail(
    address: str,
    by_name: dict[str, int],
    by_file_name: dict[str, list[int]],
    names: Sequence[str],
    advice: str,
) -> int | None:
    index = next((by_name[tail] for tail in _tails(address) if tail in by_name), None)
    if index is not None:
        return index
    same = by_file_name.get(address.rpartition("/")[2], [])
    if len(same) > 1:
        candidates = list_names(names[index] for index in same)
        raise UserError(f"{address!r} may mean {candidates}: {advice}")
    return same[0] if same else None


def _tails(address: str) -> Iterator[str]:
    while "/" in address:
        address = address.partition("/")[2]
        yield address


def _refuse_shared_names(
    addresses: Sequence[str], indices: Sequence[int | None], names: Sequence[str], advice: str
) -> None:
    owners: dict[int, str] = {}
    for address, index in zip(addresses, indices, strict=True):
        if index is not None and owners.setdefault(index, address) != address:
            raise UserError(
                f"{names[index]!r} may belong to {owners[index]!r} or to {address!r}: {advice}"
            )
