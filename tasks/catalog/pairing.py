"""Which of the known names is meant by an address: exactly, or by its last parts where unique."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.errors import UserError, list_names


def pair_names(addresses: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """The place of each address among the known names, None where there is none.

    Where no address stands there as it is, its last parts (`val/1` of `/data/val/1`) and then its
    bare name may mean a known one, each of which belongs to one address only.
    """
    places = {name: place for place, name in enumerate(known)}
    exact = [places.get(address) for address in addresses]
    if any(place is not None for place in exact):
        return exact
    bare: dict[str, list[int]] = {}
    for place, name in enumerate(known):
        bare.setdefault(name.rpartition("/")[2], []).append(place)
    found = [_find_by_tail(address, places, bare, known) for address in addresses]
    _refuse_shared_names(addresses, found, known)
    return found


def _find_by_tail(
    address: str, places: dict[str, int], bare: dict[str, list[int]], known: Sequence[str]
) -> int | None:
    tail = next((places[tail] for tail in _tails(address) if tail in places), None)
    if tail is not None:
        return tail
    same = bare.get(address.rpartition("/")[2], [])
    if len(same) > 1:
        names = list_names(known[place] for place in same)
        raise UserError(f"{address!r} may mean {names}: give names relative to one folder")
    return same[0] if same else None


def _tails(address: str) -> Iterator[str]:
    while "/" in address:
        address = address.partition("/")[2]
        yield address


def _refuse_shared_names(
    addresses: Sequence[str], found: Sequence[int | None], known: Sequence[str]
) -> None:
    owners: dict[int, str] = {}
    for address, place in zip(addresses, found, strict=True):
        if place is not None and owners.setdefault(place, address) != address:
            raise UserError(
                f"{known[place]!r} may belong to {owners[place]!r} or to {address!r}: "
                "give names relative to one folder"
            )
